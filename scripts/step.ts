/** One step of a check: a command, run to its end or its deadline, and what it said. */
import { existsSync } from "node:fs";
import { join } from "node:path";

export const root = join(import.meta.dirname, "..");
const programs = join(root, "node_modules/.bin");

export interface Step {
  readonly name: string;
  readonly command: readonly string[];
  readonly timeoutMs: number;
  readonly environment?: Readonly<Record<string, string>>;
}

export interface Outcome {
  readonly step: Step;
  readonly ok: boolean;
  readonly seconds: number;
  /** Standard output and error, as they came. */
  readonly output: string;
}

/** Runs one step; gives each line to `onLine` as it comes. */
export async function run(step: Step, onLine?: (line: string) => void): Promise<Outcome> {
  const startedMs = performance.now();
  const [program = "", ...args] = step.command;
  const local = join(programs, program);
  const child = Bun.spawn([existsSync(local) ? local : program, ...args], {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, NO_COLOR: "1", ...step.environment },
  });
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill("SIGKILL");
  }, step.timeoutMs);
  const lines: string[] = [];
  const take = (line: string) => {
    lines.push(line);
    onLine?.(line);
  };
  const ends = [readLines(child.stdout, take), readLines(child.stderr, take)];
  const exitCode = await child.exited;
  clearTimeout(timer);
  // A grandchild may hold the pipes open after its parent is gone.
  await Promise.race([Promise.all(ends), Bun.sleep(2_000)]);
  if (late) take(`${step.name} was ended after ${step.timeoutMs / 1000} s`);
  return {
    step,
    ok: exitCode === 0 && !late,
    seconds: (performance.now() - startedMs) / 1000,
    output: lines.join("\n"),
  };
}

async function readLines(
  stream: ReadableStream<Uint8Array>,
  take: (line: string) => void,
): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = parts.pop() ?? "";
    for (const part of parts) take(part);
  }
  if (rest !== "") take(rest);
}

/** What must hold of the sources without running them. */
export const SOURCE_STEPS: readonly Step[] = [
  { name: "format", command: ["deno", "fmt", "--check"], timeoutMs: 120_000 },
  { name: "lint", command: ["deno", "lint", "--quiet"], timeoutMs: 120_000 },
  { name: "types", command: ["tsc", "-p", "."], timeoutMs: 300_000 },
];

/** The tests in one folder of `tests`; undefined where it holds none. */
export function suite(name: string, options: SuiteOptions): Step | undefined {
  const folder = join(root, "tests", name);
  if (!existsSync(folder)) return undefined;
  if (new Bun.Glob("**/*.test.ts").scanSync({ cwd: folder }).next().done === true) return undefined;
  const { testTimeoutMs, ...rest } = options;
  const command = ["bun", "test", `--timeout=${testTimeoutMs}`, `./tests/${name}/`];
  return { name, command, ...rest };
}

export interface SuiteOptions extends Omit<Step, "name" | "command"> {
  /** For tests that name none of their own. */
  readonly testTimeoutMs: number;
}

export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** What `bun test` counted. A run that ended without its summary is one failure more. */
export function countsOf({ output, ok }: Pick<Outcome, "output" | "ok">): Counts {
  const last = (word: string) =>
    Number([...output.matchAll(new RegExp(`^ *(\\d+) ${word}$`, "gm"))].at(-1)?.[1] ?? 0);
  const failed = last("fail");
  const isWhole = /^Ran \d+ tests? across/m.test(output);
  return {
    passed: last("pass"),
    failed: isWhole && (ok || failed > 0) ? failed : failed + 1,
    skipped: last("skip") + last("todo"),
  };
}
