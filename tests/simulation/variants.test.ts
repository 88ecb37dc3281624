/** The simulation must find what it is for: each broken variant of the product goes red. */
import { afterAll, describe, expect, test } from "bun:test";
import { runSeeds } from "./seeds.ts";
import { VARIANTS } from "./variants.ts";

const { SEED, SIMULATION } = process.env;
const isShort = SEED !== undefined || SIMULATION === "short";

test("every variant changes what it names", () => {
  for (const variant of VARIANTS) {
    for (const { file } of variant.changes) expect(variant.text(file)).toBeString();
  }
});

describe.skipIf(isShort)("broken variants", () => {
  const rows: string[][] = [];

  for (const variant of VARIANTS) {
    test(`"${variant.name}" goes red within ${variant.seedsMax} seeds`, async () => {
      const reports = await runSeeds({
        from: 1,
        count: variant.seedsMax,
        variant: variant.name,
        world: variant.world,
        stopsAtFirst: true,
      });
      const red = reports.find(({ violations }) => violations.length > 0);
      const caughtBy = red?.violations[0]?.split("\n")[0] ?? "nothing";
      rows.push([variant.name, variant.breaks, caughtBy, String(red?.seed ?? "-")]);
      expect(caughtBy).toStartWith("[");
    }, 240_000);
  }

  afterAll(() => console.log(table(["variant", "breaks", "caught by", "seeds"], rows)));
});

if (isShort) console.log("broken variants skipped: only the whole suite runs them");

function table(head: readonly string[], rows: readonly string[][]): string {
  const LONGEST = 78;
  const cells = [head, ...rows].map((row) => row.map((cell) => cell.slice(0, LONGEST)));
  const widths = head.map((_, at) => Math.max(...cells.map((row) => row[at]?.length ?? 0)));
  return cells.map((row) =>
    row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join("  ").trimEnd()
  )
    .join("\n");
}
