import { expect, test } from "bun:test";
import { seededRandom } from "../../../../src/base/random.ts";
import { Histogram } from "../../../../src/cli/bench/histogram.ts";

test("an empty histogram answers 0", () => {
  const histogram = new Histogram();
  expect([histogram.count, histogram.percentileMs(50), histogram.maxMs, histogram.meanMs])
    .toEqual([0, 0, 0, 0]);
});

test("small latencies are exact", () => {
  const histogram = new Histogram();
  for (let us = 1; us <= 200; us++) histogram.record(us / 1000);
  expect(histogram.percentileMs(50)).toBe(0.1);
  expect(histogram.percentileMs(99)).toBe(0.198);
  expect(histogram.percentileMs(100)).toBe(0.2);
  expect([histogram.minMs, histogram.maxMs, histogram.meanMs]).toEqual([0.001, 0.2, 0.1005]);
});

test("the 99.9th percentile of a thousand is the 999th", () => {
  const histogram = new Histogram();
  for (let index = 0; index < 999; index++) histogram.record(0.001);
  histogram.record(1_000);
  expect(histogram.percentileMs(99.9)).toBe(0.001);
  expect(histogram.percentileMs(99.91)).toBe(1_000);
});

test("a percentile is never below the true one and at most 0.8 % above", () => {
  const random = seededRandom(11);
  for (const scale of [300, 70_000, 9_000_000, 2_000_000_000]) {
    const histogram = new Histogram();
    const values = Array.from({ length: 5_000 }, () => 1 + random.below(scale));
    for (const value of values) histogram.record(value / 1000);
    values.sort((a, b) => a - b);
    for (const percent of [0.1, 1, 25, 50, 90, 99, 99.9, 100]) {
      const exact = values[Math.ceil((percent / 100) * values.length - 1e-6) - 1]! / 1000;
      const found = histogram.percentileMs(percent);
      expect(found).toBeGreaterThanOrEqual(exact);
      expect(found).toBeLessThanOrEqual(exact * 1.008);
    }
    expect(histogram.maxMs).toBe(values.at(-1)! / 1000);
  }
});

test("what no bucket holds is counted in the first or the last", () => {
  const histogram = new Histogram();
  histogram.record(-5);
  histogram.record(1e12);
  expect(histogram.count).toBe(2);
  expect(histogram.minMs).toBe(0);
  expect(histogram.percentileMs(100)).toBe(2_147_483.647);
});
