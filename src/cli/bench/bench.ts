/**
 * `headgate bench`: loads a node, or anything that serves our API, and says what came back: rate,
 * latencies, failures, and whether every row that was acknowledged can be read.
 */
import type { Clock } from "../../base/clock.ts";
import { describe, isFailure } from "../../base/failure.ts";
import { processSurroundings } from "../../server/surroundings.ts";
import { exitCode } from "../client.ts";
import { countIngested, ingestWorkload, prepareIngest } from "./ingest.ts";
import { runLoad } from "./load.ts";
import { BENCH_HELP, type BenchOptions, parseBenchOptions } from "./options.ts";
import { countWrites, prepareReads, prepareWrites } from "./prepare.ts";
import { type BenchReport, reportOf, rowsAreWrong, textOf } from "./report.ts";
import type { LoadResult } from "./tally.ts";
import { readsWorkload, type Workload, writesWorkload } from "./workload.ts";

/** What the command takes from the process it runs in. */
export interface BenchWorld {
  readonly clock: Clock;
  readonly environment: Readonly<Record<string, string | undefined>>;
  write(text: string): void;
  writeError(text: string): void;
}

/**
 * `args` are those after `bench`. Resolves with the exit code: 0 done, 1 a request failed or a row
 * is missing, 2 wrong usage, 3 nobody there, 4 uncertain.
 */
export async function runBench(
  args: readonly string[],
  world: BenchWorld = processSurroundings(),
): Promise<number> {
  let options: BenchOptions | null = null;
  try {
    options = parseBenchOptions(args, world.environment);
    if (options === null) {
      world.write(BENCH_HELP);
      return 0;
    }
    const report = await bench(options, world);
    world.write(options.json ? `${JSON.stringify(report)}\n` : textOf(report));
    const wrong = report.rows !== null && rowsAreWrong(report.rows);
    return wrong || report.answers === 0 || Object.keys(report.failures).length > 0 ? 1 : 0;
  } catch (error) {
    if (!isFailure(error)) throw error;
    world.writeError(`${error.kind}: ${describe(error)}\n`);
    if (options !== null) return exitCode(error);
    world.writeError("See: headgate bench --help\n");
    return 2;
  }
}

/** Prepares, loads, and counts what is there afterwards. */
export async function bench(options: BenchOptions, world: BenchWorld): Promise<BenchReport> {
  const { target } = options;
  if (options.mode === "reads") {
    await prepareReads(target);
    return reportOf(options, await load(options, world), null);
  }
  if (options.mode === "ingest") return await benchIngest(options, world);
  await prepareWrites(target);
  const before = await countWrites(target);
  const result = await load(options, world);
  const found = (await countWrites(target)) - before;
  const { acknowledged, uncertain } = result;
  return reportOf(options, result, { acknowledged, uncertain, found });
}

/** Rows are counted in rows, all else in requests. */
async function benchIngest(options: BenchOptions, world: BenchWorld): Promise<BenchReport> {
  const { rows, format } = options;
  const target = { ...options.target, rows, format };
  await prepareIngest(target);
  const before = await countIngested(target);
  const result = await load(options, world, await ingestWorkload(target));
  const found = (await countIngested(target)) - before;
  const { acknowledged, uncertain } = result;
  const counted = { acknowledged: acknowledged * rows, uncertain: uncertain * rows, found };
  return reportOf(options, result, counted);
}

function load(
  options: BenchOptions,
  { clock }: BenchWorld,
  ingest?: Workload,
): Promise<LoadResult> {
  const { mode, target, connections, concurrency, ratePerS } = options;
  return runLoad(target.url, {
    clock,
    cpuMs,
    workload: ingest ?? (mode === "reads" ? readsWorkload(target) : writesWorkload(target)),
    connections,
    concurrency,
    warmupMs: options.warmupSeconds * 1000,
    durationMs: options.seconds * 1000,
    ...(ratePerS === undefined ? {} : { ratePerS }),
  });
}

/** CPU time of this process so far. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
