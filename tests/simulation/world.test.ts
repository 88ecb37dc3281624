/**
 * The cluster in a world that does not behave. `SEEDS=1000` runs more seeds, `FROM=1000` others, and
 * `SEED=7` one of them again, exactly as it was (`LOUD=1` tells all that happens).
 */
import { expect, test } from "bun:test";
import { World } from "../support/world.ts";
import { complaints, runSeeds, totals } from "./seeds.ts";

const { SEED, SEEDS, FROM, LOUD, SIMULATION } = process.env;
const count = Number(SEEDS ?? (SIMULATION === "short" ? 20 : 200));
const MINUTES_MS = 60_000 * (2 + count / 50);

if (SEED !== undefined) {
  test(`the invariants hold in seed ${SEED}`, () => {
    const report = new World({ seed: Number(SEED), isLoud: LOUD !== undefined }).run();
    console.log(report);
    expect(report.violations).toEqual([]);
  }, MINUTES_MS);
} else {
  test(`the invariants hold in ${count} seeds [I1 to I14]`, async () => {
    const reports = await runSeeds({ from: Number(FROM ?? 1), count });
    console.log(totals(reports));
    expect(complaints(reports)).toEqual([]);
    expect(reports.length).toBe(count);
  }, MINUTES_MS);

  test("a world in which nothing goes wrong is quiet, and everything is acknowledged", () => {
    const report = new World({ seed: 1, nodes: 1, isCalm: true, roughMs: 120_000 }).run();
    expect(report.violations).toEqual([]);
    expect(report.acknowledged).toBeGreaterThan(10);
    expect(Object.keys(report.outcomes).sort()).toEqual([
      "answered",
      "conflict",
      "invalid",
      "missing",
    ]);
  });

  test("the same seed is the same run, and another seed another", () => {
    const hash = (seed: number) => new World({ seed, roughMs: 30_000 }).run().hash;
    const first = hash(3);
    expect(hash(3)).toBe(first);
    expect(hash(4)).not.toBe(first);
  }, MINUTES_MS);
}
