/**
 * The whole suite: the binary, the sources, then one folder of tests after another. Ends with the
 * line "N passed, N failed", behind which ", N skipped" may follow. Building, formatting, linting
 * and type checking count as one test each.
 */
import { join } from "node:path";
import { type Counts, countsOf, root, run, SOURCE_STEPS, type Step, suite } from "./step.ts";

const binary = join(root, "dist/headgate");
const environment = { HEADGATE_BINARY: binary };
const MINUTE_MS = 60_000;

const CHECKS: readonly Step[] = [
  { name: "build", command: ["bun", "scripts/build.ts"], timeoutMs: 5 * MINUTE_MS },
  ...SOURCE_STEPS,
];

const SUITES: readonly (Step | undefined)[] = [
  suite("unit", { testTimeoutMs: 10_000, timeoutMs: 5 * MINUTE_MS }),
  suite("property", { testTimeoutMs: MINUTE_MS, timeoutMs: 10 * MINUTE_MS }),
  suite("simulation", { testTimeoutMs: 5 * MINUTE_MS, timeoutMs: 20 * MINUTE_MS }),
  suite("ducklake", { testTimeoutMs: MINUTE_MS, timeoutMs: 10 * MINUTE_MS }),
  suite("s3", { testTimeoutMs: MINUTE_MS, timeoutMs: 15 * MINUTE_MS, environment }),
  suite("cluster", { testTimeoutMs: 4 * MINUTE_MS, timeoutMs: 55 * MINUTE_MS, environment }),
  suite("browser", { testTimeoutMs: MINUTE_MS, timeoutMs: 10 * MINUTE_MS, environment }),
];

const total = { passed: 0, failed: 0, skipped: 0 };
const reasons = new Set<string>();

function add(counts: Counts): void {
  total.passed += counts.passed;
  total.failed += counts.failed;
  total.skipped += counts.skipped;
}

for (const step of CHECKS) {
  const outcome = await run(step);
  add({ passed: outcome.ok ? 1 : 0, failed: outcome.ok ? 0 : 1, skipped: 0 });
  console.log(`${outcome.ok ? "ok    " : "FAILED"} ${step.name} ${outcome.seconds.toFixed(1)} s`);
  if (!outcome.ok) console.log(outcome.output);
}

let testsRan = 0;
for (const step of SUITES.filter((step) => step !== undefined)) {
  console.log(`\n${step.name}`);
  const outcome = await run(step, (line) => {
    const reason = /\bskipped: (.+)/.exec(line)?.[1];
    if (reason !== undefined) reasons.add(`${step.name}: ${reason}`);
    if (line !== "" && !line.startsWith("(pass)")) console.log(line);
  });
  const counts = countsOf(outcome);
  add(counts);
  testsRan += counts.passed + counts.failed;
  const { passed, failed, skipped } = counts;
  console.log(
    `${step.name}: ${passed} passed, ${failed} failed, ${skipped} skipped, ` +
      `${outcome.seconds.toFixed(1)} s`,
  );
}

if (reasons.size > 0) console.log("");
for (const reason of reasons) console.log(`skipped, ${reason}`);
if (testsRan === 0) console.log("\nno test ran");
const skipped = total.skipped === 0 ? "" : `, ${total.skipped} skipped`;
console.log(`\n${total.passed} passed, ${total.failed} failed${skipped}`);
process.exit(total.failed > 0 || testsRan === 0 ? 1 : 0);
