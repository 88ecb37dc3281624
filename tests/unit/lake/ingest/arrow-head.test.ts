import { expect, test } from "bun:test";
import * as arrow from "apache-arrow";
import { checkHead } from "../../../../src/lake/ingest/arrow-head.ts";
import { checkFlatbuffer, type Shape } from "../../../../src/lake/ingest/flatbuffer.ts";

/** The heads of the messages of a small stream, from which tests make damaged ones. */
function heads(): Uint8Array[] {
  const bytes = arrow.tableToIPC(
    new arrow.Table({ x: arrow.vectorFromArray(["a", null], new arrow.Utf8()) }),
    "stream",
  );
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const found: Uint8Array[] = [];
  for (let at = 0; view.getUint32(at + 4, true) > 0;) {
    const head = bytes.slice(at + 8, at + 8 + view.getUint32(at + 4, true));
    found.push(head);
    at += 8 + head.length + checkHead(head);
  }
  return found;
}

test("the heads of a stream are sound, and tell how long the bodies are", () => {
  const [schema, batch] = heads();
  expect(checkHead(schema!)).toBe(0);
  expect(checkHead(batch!) % 8).toBe(0);
  expect(checkHead(batch!)).toBeGreaterThan(0);
});

test("a head that is cut, or any byte of which is another, is read or refused within its bytes", () => {
  for (const head of heads()) {
    for (let at = 0; at < head.length; at++) {
      // The last bytes are padding.
      if (at < head.length - 8) expect(() => checkHead(head.subarray(0, at))).toThrow();
      for (const byte of [0, 1, 0x7f, 0xff]) {
        const damaged = head.slice();
        damaged[at] = byte;
        try {
          expect(checkHead(damaged)).toBeGreaterThanOrEqual(0);
        } catch (error) {
          expect(error).toBeInstanceOf(Error);
        }
      }
    }
  }
});

test("a batch of more rows, values or nulls than there can be is refused", () => {
  const [, batch] = heads();
  const view = new DataView(batch!.buffer, batch!.byteOffset, batch!.byteLength);
  const places = (value: bigint) =>
    Array.from({ length: batch!.length / 8 }, (_, index) => index * 8)
      .filter((at) => view.getBigInt64(at, true) === value);
  // The length of the batch and that of its column are the only numbers 2, its nulls the only 1.
  const reasons = new Set<string>();
  for (const [value, wrong] of [[2n, 2n ** 40n], [2n, -1n], [1n, 3n]] as const) {
    for (const at of places(value)) {
      const damaged = batch!.slice();
      new DataView(damaged.buffer).setBigInt64(at, wrong, true);
      try {
        checkHead(damaged);
      } catch (error) {
        reasons.add(String(error));
      }
    }
  }
  expect([...reasons].join("\n")).toContain("a batch has 1099511627776 rows; allowed: 4194304");
  expect([...reasons].join("\n")).toContain("a batch has -1 rows");
  expect([...reasons].join("\n")).toContain("a column has 1099511627776 values and 1 nulls");
  expect([...reasons].join("\n")).toContain("a column has 2 values and 3 nulls");
});

const node: Shape = () => ({ 0: { tables: node } });

/** Tables one below another: each has a vector of `count` offsets, all of them to the next. */
function tables(count: number, levels: number): Uint8Array {
  const levelBytes = 20 + 4 * count;
  const bytes = new DataView(new ArrayBuffer(4 + levelBytes * (levels + 1)));
  bytes.setUint32(0, 4 + 8, true);
  for (let level = 0; level < levels; level++) {
    const vtable = 4 + level * levelBytes;
    const table = vtable + 8;
    bytes.setUint16(vtable, 6, true);
    bytes.setUint16(vtable + 2, 8, true);
    bytes.setUint16(vtable + 4, 4, true);
    bytes.setInt32(table, 8, true);
    // The vector stands behind its table; all of its offsets lead to the next one.
    bytes.setUint32(table + 4, 4, true);
    bytes.setUint32(table + 8, count, true);
    for (let item = 0; item < count; item++) {
      const at = table + 12 + 4 * item;
      if (at + 4 <= bytes.byteLength) bytes.setUint32(at, vtable + levelBytes + 8 - at, true);
    }
  }
  return new Uint8Array(bytes.buffer);
}

test("tables that share parts are not followed for ever", () => {
  expect(() => checkFlatbuffer(tables(8, 40), node)).toThrow("it has too many parts");
  expect(() => checkFlatbuffer(tables(1, 80), node)).toThrow("it has too many parts");
});

test("a vector that is longer than the bytes is refused before it is followed", () => {
  const bytes = tables(1, 3);
  new DataView(bytes.buffer).setUint32(4 + 8 + 8, 0x4000_0000, true);
  expect(() => checkFlatbuffer(bytes, node)).toThrow("an offset leads out of it");
});
