import { expect, test } from "bun:test";
import {
  READS_ROWS,
  readsWorkload,
  type Workload,
  writeDecimal,
  writesWorkload,
} from "../../../../src/cli/bench/workload.ts";

const target = { url: new URL("http://127.0.0.1:8080"), database: "bench" };

function bodyText(workload: Workload, sequence: number): string {
  const into = new Uint8Array(workload.bodyBytesMax);
  return new TextDecoder().decode(into.subarray(0, workload.body(into, sequence)));
}

test("digits are those of the number", () => {
  const into = new Uint8Array(20);
  for (const value of [0, 1, 9, 10, 99, 100, 12_345, 2 ** 32, Number.MAX_SAFE_INTEGER]) {
    const end = writeDecimal(into, 2, value);
    expect(new TextDecoder().decode(into.subarray(2, end))).toBe(String(value));
  }
});

test("a write is one INSERT whose parameters are its own", () => {
  const workload = writesWorkload(target);
  for (const sequence of [0, 7, 1_234_567, Number.MAX_SAFE_INTEGER]) {
    expect(JSON.parse(bodyText(workload, sequence))).toEqual({
      statements: [{
        sql: "INSERT INTO bench_writes (number, text) VALUES (?, ?)",
        params: [sequence, `the text of row ${sequence}`],
      }],
    });
  }
});

test("reads hit every key once before any key twice", () => {
  const workload = readsWorkload(target);
  const keys = new Set<number>();
  for (let sequence = 0; sequence < READS_ROWS; sequence++) {
    keys.add(JSON.parse(bodyText(workload, sequence)).params[0]);
  }
  expect(keys.size).toBe(READS_ROWS);
  expect([Math.min(...keys), Math.max(...keys)]).toEqual([1, READS_ROWS]);
});
