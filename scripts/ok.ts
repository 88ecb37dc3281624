/** The gate before every commit: format, lint, types, and the tests that need seconds. */
import { availableParallelism } from "node:os";
import { countsOf, type Outcome, run, SOURCE_STEPS, type Step, suite } from "./step.ts";

const QUICK: readonly (Step | undefined)[] = [
  suite("unit", { testTimeoutMs: 10_000, timeoutMs: 300_000 }),
  suite("property", { testTimeoutMs: 60_000, timeoutMs: 300_000 }),
  suite("simulation", {
    testTimeoutMs: 60_000,
    timeoutMs: 300_000,
    environment: { SIMULATION: "short" },
  }),
];

const waiting = [...QUICK, ...SOURCE_STEPS].filter((step) => step !== undefined);
const failures: Outcome[] = [];

async function work(): Promise<void> {
  for (let step = waiting.shift(); step !== undefined; step = waiting.shift()) {
    const outcome = await run(step);
    const counts = countsOf(outcome);
    const tests = step.command[1] === "test" ? `  ${counts.passed} passed` : "";
    const verdict = outcome.ok ? "ok    " : "FAILED";
    console.log(`${verdict} ${step.name.padEnd(10)} ${outcome.seconds.toFixed(1)} s${tests}`);
    if (!outcome.ok) failures.push(outcome);
  }
}

await Promise.all(Array.from({ length: Math.max(2, availableParallelism()) }, work));
for (const { step, output } of failures) {
  const lines = output.split("\n").filter((line) => !/^\(pass\)|^tests\/.*\.test\.ts:$/.test(line));
  console.log(`\n--- ${step.name}\n${lines.join("\n").replace(/\n{3,}/g, "\n\n").trim()}`);
}
process.exit(failures.length > 0 ? 1 : 0);
