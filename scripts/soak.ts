/**
 * Many seeds of a simulated world over all cores: `bun scripts/soak.ts [COUNT] [FROM] [cluster]`.
 * Prints the totals, and each seed that found something with what it found.
 */
import { complaints, runSeeds, totals } from "../tests/simulation/seeds.ts";

const [count = "5000", from = "1", world = "replicas"] = process.argv.slice(2);
if (world !== "replicas" && world !== "cluster") throw new Error(`there is no world ${world}`);
const startedMs = performance.now();
let done = 0;
const reports = await runSeeds({
  from: Number(from),
  count: Number(count),
  world,
  onReport: (report) => {
    for (const line of complaints([report])) console.log(line);
    if (++done % 500 === 0) console.log(`${done} of ${count} seeds`);
  },
});
const red = reports.filter(({ violations }) => violations.length > 0);
const outcomes = new Map<string, number>();
for (const report of reports) {
  for (const [what, times] of Object.entries(report.outcomes)) {
    outcomes.set(what, (outcomes.get(what) ?? 0) + times);
  }
}
console.log(totals(reports));
console.log(
  [...outcomes].sort(([, a], [, b]) => b - a).map(([what, times]) => `${what} ${times}`).join(", "),
);
console.log(
  `${((performance.now() - startedMs) / 1000).toFixed(0)} s; ${red.length} seeds are red`,
);
process.exit(red.length > 0 ? 1 : 0);
