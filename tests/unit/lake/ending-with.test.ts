import { expect, test } from "bun:test";
import { endingWith } from "../../../src/lake/ending-with.ts";

async function* pieces(): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(Uint8Array.of(1));
  yield Uint8Array.of(2);
}

async function* broken(): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(Uint8Array.of(1));
  throw new Error("broken");
}

test("what is held goes when the body was read to its end, left, or broke", async () => {
  const told: string[] = [];
  for await (const _ of endingWith(pieces(), () => told.push("read"))) expect(told).toEqual([]);
  for await (const _ of endingWith(pieces(), () => told.push("left"))) break;
  const reading = async () => {
    for await (const _ of endingWith(broken(), () => told.push("broke")));
  };
  expect(await reading().catch((error) => error.message)).toBe("broken");
  expect(told).toEqual(["read", "left", "broke"]);
});

test("what is held goes too when nobody has begun to read", async () => {
  let done = 0;
  await endingWith(pieces(), () => done++)[Symbol.asyncIterator]().return?.();
  expect(done).toBe(1);
});
