import { expect, test } from "bun:test";
import { dampingMs } from "../../../src/election/damping.ts";

test("a node that is deposed soon after its claim waits, twice as long each time, up to a minute", () => {
  const waits = [0];
  for (let time = 0; time < 8; time++) waits.push(dampingMs(waits.at(-1) ?? 0, 5_000));
  expect(waits.slice(1)).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
});

test("a node that led for a minute starts over without a wait", () => {
  expect(dampingMs(32_000, 60_000)).toBe(0);
  expect(dampingMs(0, 5_000)).toBe(1_000);
});
