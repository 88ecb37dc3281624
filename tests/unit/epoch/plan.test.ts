import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Listed, planCatchUp, planRestore } from "../../../src/epoch/plan.ts";

const object = (level: number, min: number, max: number, size = 1): Listed => ({
  level,
  min,
  max,
  size,
});
const level0 = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => object(0, from + index, from + index));

describe("a plan", () => {
  test("begins with the newest snapshot and extends it by the objects that reach furthest", () => {
    const objects = [
      ...level0(20, 30),
      object(9, 1, 10),
      object(9, 1, 15),
      object(1, 11, 20),
      object(1, 21, 25),
      object(2, 14, 22),
    ];
    expect(planRestore(objects)).toEqual({
      kind: "complete",
      objects: [object(9, 1, 15), object(2, 14, 22), object(1, 21, 25), ...level0(26, 30)],
      epoch: 30,
    });
  });

  test("uses nothing that ends after the target", () => {
    const objects = [...level0(1, 9), object(9, 1, 5), object(9, 1, 8), object(1, 6, 8)];
    expect(planRestore(objects, 7)).toEqual({
      kind: "complete",
      objects: [object(9, 1, 5), ...level0(6, 7)],
      epoch: 7,
    });
    expect(planRestore(objects, 5)).toMatchObject({ objects: [object(9, 1, 5)], epoch: 5 });
    expect(planRestore(objects, 4)).toMatchObject({ objects: level0(1, 4), epoch: 4 });
  });

  test("reports the epoch that is missing", () => {
    const objects = [object(9, 1, 3), ...level0(5, 6)];
    expect(planRestore(objects)).toMatchObject({ kind: "gap", missing: 4, wanted: 6 });
    expect(planRestore(level0(1, 3), 5)).toMatchObject({ kind: "gap", missing: 4, wanted: 5 });
    expect(planRestore([object(1, 1, 9)], 5)).toMatchObject({ kind: "gap", missing: 1 });
    expect(planRestore([], 1)).toMatchObject({ kind: "gap", missing: 1 });
    expect(planRestore([])).toEqual({ kind: "complete", objects: [], epoch: 0 });
  });

  test("to catch up begins at the own epoch and needs no snapshot", () => {
    const objects = [...level0(5, 9), object(9, 1, 8), object(1, 4, 6)];
    expect(planCatchUp(objects, 5)).toMatchObject({
      kind: "complete",
      objects: [object(1, 4, 6), ...level0(7, 9)],
    });
    expect(planCatchUp(objects, 9)).toEqual({ kind: "complete", objects: [], epoch: 9 });
    expect(planCatchUp(objects, 12)).toEqual({ kind: "complete", objects: [], epoch: 12 });
    expect(planCatchUp(objects, 2)).toMatchObject({ kind: "gap", missing: 3, wanted: 9 });
  });

  test("of equal reach takes the smaller object, then the higher level", () => {
    expect(planRestore([object(1, 1, 4, 9), object(2, 1, 4, 5)]).objects)
      .toEqual([object(2, 1, 4, 5)]);
    expect(planRestore([object(1, 1, 4), object(2, 1, 4)]).objects).toEqual([object(2, 1, 4)]);
  });

  test("is the shortest there is, without a gap, for any objects", () => {
    const listed = fc.tuple(fc.integer({ min: 1, max: 12 }), fc.nat(5), fc.nat(3))
      .map(([min, more, level]) => object(level, min, level === 0 ? min : min + more));
    fc.assert(
      fc.property(fc.array(listed, { maxLength: 14 }), fc.nat(14), (objects, target) => {
        const plan = planRestore(objects, target);
        let epoch = 0;
        for (const { min, max } of plan.objects) {
          expect(min).toBeLessThanOrEqual(epoch + 1);
          expect(max).toBeGreaterThan(epoch);
          epoch = max;
        }
        expect(epoch).toBeLessThanOrEqual(target);
        const shortest = shortestNaive(objects, target);
        expect(plan.kind).toBe(shortest === null ? "gap" : "complete");
        if (shortest !== null) expect(plan.objects.length).toBe(shortest);
        if (plan.kind === "gap") expect(plan.missing).toBe(epoch + 1);
      }),
      { numRuns: 500 },
    );
  });
});

/** Breadth first over all epochs that any object leads to. */
function shortestNaive(objects: readonly Listed[], target: number): number | null {
  let reached = new Set([0]);
  for (let steps = 0; steps <= 20; steps++) {
    if (reached.has(target)) return steps;
    const next = new Set(reached);
    for (const epoch of reached) {
      for (const { min, max } of objects) if (min <= epoch + 1 && max > epoch) next.add(max);
    }
    reached = next;
  }
  return null;
}
