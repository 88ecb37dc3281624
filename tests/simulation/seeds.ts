/** Runs seeds in processes of their own, as many at a time as there are cores. */
import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { Report } from "../support/world.ts";

/** Seeds that one process runs: a crashed node's files stay open as long as it. */
const CHUNK = 20;
/** The same where the first that fails is all that is wanted. */
const CHUNK_TO_FIRST = 4;

export type WorldName = "replicas" | "cluster";

export interface SeedsOptions {
  readonly from: number;
  readonly count: number;
  /** Which world: replicas of which any may claim at any time, or a cluster with its elections. */
  readonly world?: WorldName;
  readonly variant?: string;
  /** Begin no more processes once a seed has failed. */
  readonly stopsAtFirst?: boolean;
  onReport?(report: Report): void;
}

/** The reports in the order of their seeds; a process that ends early is a violation. */
export async function runSeeds(options: SeedsOptions): Promise<Report[]> {
  const { from, count, stopsAtFirst = false } = options;
  const reports: Report[] = [];
  let next = from;
  let isOver = false;
  const work = async () => {
    while (next < from + count && !isOver) {
      const first = next;
      const size = Math.min(stopsAtFirst ? CHUNK_TO_FIRST : CHUNK, from + count - first);
      next += size;
      for await (const report of runChunk(first, size, options)) {
        reports.push(report);
        options.onReport?.(report);
        if (stopsAtFirst && report.violations.length > 0) isOver = true;
      }
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  return reports.sort((a, b) => a.seed - b.seed);
}

async function* runChunk(
  from: number,
  count: number,
  { variant, world = "replicas" }: SeedsOptions,
): AsyncGenerator<Report> {
  const program = join(import.meta.dirname, "run.ts");
  const child = Bun.spawn(
    [process.execPath, program, String(from), String(count), world],
    {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...(variant !== undefined && { HEADGATE_VARIANT: variant }) },
    },
  );
  const errors = new Response(child.stderr).text();
  let seed = from;
  let rest = "";
  const decoder = new TextDecoder();
  for await (const piece of child.stdout) {
    const lines = (rest + decoder.decode(piece, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (!line.startsWith("{")) continue;
      yield JSON.parse(line) as Report;
      seed++;
    }
  }
  const code = await child.exited;
  if (code === 0 && seed === from + count) return;
  const why = `the process ended with ${code}: ${(await errors).slice(-2_000)}`;
  yield { ...NOTHING, seed, violations: [why] };
}

const NOTHING: Report = {
  seed: 0,
  violations: [],
  simulatedMs: 0,
  events: 0,
  epochs: 0,
  claims: 0,
  faults: 0,
  crashes: 0,
  pauses: 0,
  pruned: 0,
  strays: 0,
  acknowledged: 0,
  outcomes: {},
  hash: "",
};

/** One line for people. */
export function totals(reports: readonly Report[]): string {
  const sum = (of: (report: Report) => number) =>
    reports.reduce((total, report) => total + of(report), 0).toLocaleString("en");
  const hours = reports.reduce((total, report) => total + report.simulatedMs, 0) / 3_600_000;
  return `${reports.length} seeds, ${hours.toFixed(1)} simulated hours, ` +
    `${sum((report) => report.events)} events, ${sum((report) => report.epochs)} epochs, ` +
    `${sum((report) => report.claims)} claims (${sum((report) => report.strays)} stray), ` +
    `${sum((report) => report.acknowledged)} writes acknowledged, ` +
    `${sum((report) => report.faults)} faults, ${sum((report) => report.crashes)} crashes, ` +
    `${sum((report) => report.pauses)} pauses, ${sum((report) => report.pruned)} objects pruned`;
}

export function complaints(reports: readonly Report[]): string[] {
  return reports.flatMap(({ seed, violations }) =>
    violations.slice(0, 3).map((violation) => `SEED=${seed}: ${violation}`)
  );
}
