import { expect, test } from "bun:test";
import { release } from "../../../src/base/release.ts";

test("memory is given back where all of it is done with", () => {
  const bytes = new Uint8Array(4_096).fill(7);
  release(bytes);
  expect([bytes.length, bytes.buffer.byteLength]).toEqual([0, 0]);
  release(bytes);
});

test("memory that others may have a part in stays", () => {
  const whole = new Uint8Array(4_096).fill(7);
  release(whole.subarray(0, 4_095));
  release(whole.subarray(1));
  expect([whole.length, whole[0], whole[4_095]]).toEqual([4_096, 7, 7]);
  const shared = new Uint8Array(new SharedArrayBuffer(16));
  release(shared);
  expect(shared.length).toBe(16);
});
