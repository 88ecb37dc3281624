import { expect, test } from "bun:test";
import { countsOf, run, suite } from "../../../scripts/step.ts";

const SUMMARY = " 12 pass\n 3 skip\n 1 todo\n 2 fail\n 1 error\n 9 expect() calls\n" +
  "Ran 18 tests across 2 files. [5.00ms]";

test("the counts of a run are those of its summary, the last one that stands there", () => {
  expect(countsOf({ output: SUMMARY, ok: false })).toEqual({ passed: 12, failed: 2, skipped: 4 });
  const output = `a test printed:\n 99 fail\n${SUMMARY}`;
  expect(countsOf({ output, ok: false }).failed).toBe(2);
  const good = " 1 pass\n 0 fail\nRan 1 test across 1 file. [1ms]";
  expect(countsOf({ output: good, ok: true })).toEqual({ passed: 1, failed: 0, skipped: 0 });
});

test("a run without its summary, or red for another reason, is one failure more", () => {
  expect(countsOf({ output: "Segmentation fault", ok: false }).failed).toBe(1);
  expect(countsOf({ output: "", ok: true }).failed).toBe(1);
  const output = " 5 pass\n 0 fail\nRan 5 tests across 1 file. [1ms]";
  expect(countsOf({ output, ok: false })).toEqual({ passed: 5, failed: 1, skipped: 0 });
});

test("a step gives its lines as they come, and its exit code as the verdict", async () => {
  const lines: string[] = [];
  const command = [process.execPath, "-e", "console.log('one\\ntwo'); process.exit(3)"];
  const outcome = await run(
    { name: "x", command, timeoutMs: 10_000 },
    (line) => void lines.push(line),
  );
  expect(outcome.ok).toBe(false);
  expect(lines).toEqual(["one", "two"]);
  expect(outcome.output).toBe("one\ntwo");
});

test("a step that overruns is ended and red", async () => {
  const command = [process.execPath, "-e", "setInterval(() => {}, 1000)"];
  const outcome = await run({ name: "x", command, timeoutMs: 200 });
  expect(outcome.ok).toBe(false);
  expect(outcome.output).toContain("x was ended after 0.2 s");
});

test("a folder without tests is no suite", () => {
  const options = { testTimeoutMs: 1_000, timeoutMs: 1_000 };
  expect(suite("support", options)).toBeUndefined();
  expect(suite("absent", options)).toBeUndefined();
  expect(suite("unit", options)?.command).toContain("./tests/unit/");
});
