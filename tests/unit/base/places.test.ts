import { expect, test } from "bun:test";
import { Places } from "../../../src/base/places.ts";

/** Work that ends when the test says so. */
function works(count: number) {
  const begun: number[] = [];
  const ends = Array.from({ length: count }, () => Promise.withResolvers<void>());
  return {
    begun,
    ends,
    run: (index: number) => {
      begun.push(index);
      return ends[index]!.promise;
    },
  };
}

const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

test("as many pieces of work run as there are places, the rest in the order in which they came", async () => {
  const places = new Places(2);
  const { begun, ends, run } = works(4);
  const all = [0, 1, 2, 3].map((index) => places.run(() => run(index)));
  expect(begun).toEqual([0, 1]);
  ends[1]!.resolve();
  await settled();
  expect(begun).toEqual([0, 1, 2]);
  ends[0]!.resolve();
  await settled();
  expect(begun).toEqual([0, 1, 2, 3]);
  for (const { resolve } of ends) resolve();
  await Promise.all(all);
});

test("work that fails gives its place back, and whoever comes later does not overtake", async () => {
  const places = new Places(1);
  const { begun, ends, run } = works(3);
  const first = places.run(() => run(0)).catch((error) => error);
  const second = places.run(() => run(1));
  ends[0]!.reject("broken");
  expect(await first).toBe("broken");
  const third = places.run(() => run(2));
  await settled();
  expect(begun).toEqual([0, 1]);
  ends[1]!.resolve();
  ends[2]!.resolve();
  await Promise.all([second, third]);
  expect(begun).toEqual([0, 1, 2]);
});
