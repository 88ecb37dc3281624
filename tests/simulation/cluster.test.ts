/**
 * Elections, links and forwarding in a world that does not behave. `SEEDS=200` runs more seeds,
 * `FROM=1000` others, and `SEED=7` one of them again, exactly as it was (`LOUD=1` tells all that
 * happens).
 */
import { expect, test } from "bun:test";
import { ClusterWorld } from "../support/cluster-world.ts";
import { complaints, runSeeds, totals } from "./seeds.ts";

const { SEED, SEEDS, FROM, LOUD, SIMULATION } = process.env;
const count = Number(SEEDS ?? (SIMULATION === "short" ? 10 : 40));
const MINUTES_MS = 60_000 * (2 + count / 50);

if (SEED !== undefined) {
  test(`one leads and all agree at the end of seed ${SEED}`, () => {
    const report = new ClusterWorld({ seed: Number(SEED), isLoud: LOUD !== undefined }).run();
    console.log(report);
    expect(report.violations).toEqual([]);
  }, MINUTES_MS);
} else {
  test(`one leads and all agree at the end of ${count} seeds [I1 to I9]`, async () => {
    const reports = await runSeeds({ from: Number(FROM ?? 1), count, world: "cluster" });
    console.log(totals(reports));
    expect(complaints(reports)).toEqual([]);
    expect(reports.length).toBe(count);
    // Enough has happened for that to mean something.
    const sum = (name: "acknowledged" | "faults" | "claims") =>
      reports.reduce((all, report) => all + report[name], 0);
    expect(sum("acknowledged")).toBeGreaterThan(10 * count);
    expect(sum("faults")).toBeGreaterThan(count);
    expect(sum("claims")).toBeGreaterThan(2 * count);
  }, MINUTES_MS);

  test("a cluster to which nothing happens has one claim, and answers everything", () => {
    const report = new ClusterWorld({ seed: 1, isCalm: true, roughMs: 120_000 }).run();
    expect(report.violations).toEqual([]);
    expect([report.claims, report.faults]).toEqual([1, 0]);
    expect(report.acknowledged).toBeGreaterThan(10);
    expect(report.outcomes).not.toContainAnyKeys(["uncertain", "unavailable", "silent"]);
  }, MINUTES_MS);

  test("the same seed is the same cluster, and another seed another", () => {
    const hash = (seed: number) => new ClusterWorld({ seed, roughMs: 30_000 }).run().hash;
    const first = hash(3);
    expect(hash(3)).toBe(first);
    expect(hash(4)).not.toBe(first);
  }, MINUTES_MS);
}
