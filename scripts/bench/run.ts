/**
 * Measures one node on this machine and compares with the figures wanted. Nothing here is a test:
 * timings depend on the machine and on what else it does, so the table says both.
 *
 *   bun scripts/bench/run.ts [--seconds 10] [--rounds 10] [--concurrency 2000,8000]
 *                            [--directory DIR] [--binary FILE] [--out dist/bench.json]
 */
import { existsSync, mkdirSync } from "node:fs";
import { cpus, loadavg, release, tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import type { BenchReport } from "../../src/cli/bench/report.ts";
import { bench, coldStartMs, idle, type Place, putLatency } from "./measure.ts";
import { startNode } from "./node.ts";
import { cpuMs, processTree } from "./processes.ts";

interface Row {
  readonly what: string;
  readonly measured: string;
  readonly wanted: string;
  readonly reached: boolean | null;
  readonly command: string;
}

/** With the CPU that the node and its children took a request, which other load does not change. */
interface Measured extends BenchReport {
  readonly node_cpu_us: number;
}

interface Settings extends Place {
  readonly seconds: number;
  readonly rounds: number;
  readonly concurrency: readonly number[];
  readonly out: string;
}

const STORE_MS = 30;
const RATE_PER_S = 20_000;
const root = join(import.meta.dirname, "../..");

async function main(): Promise<number> {
  const settings = settingsOf(Bun.argv.slice(2));
  const machine = machineOf();
  console.error(machine);
  const rows: Row[] = [];
  const reports: Measured[] = [];
  const add = (row: Row): void => {
    rows.push(row);
    console.error(lineOf(row));
  };
  await measureProcess(settings, add);
  for (const latencyMs of [STORE_MS, 0]) await measureLoads(settings, latencyMs, add, reports);
  const table = [
    `${machine}; load average afterwards ${loadavg()[0]?.toFixed(2)}`,
    "",
    "| what | measured | wanted | |",
    "|---|---|---|---|",
    ...rows.map(lineOf),
    "",
    ...rows.map(({ what, command }) => `- ${what}: \`${command.replace(/ --url \S+/, "")}\``),
  ].join("\n");
  console.log(table);
  mkdirSync(dirname(settings.out), { recursive: true });
  await Bun.write(settings.out, `${JSON.stringify({ machine, rows, reports }, null, 2)}\n`);
  const broken = reports.filter(({ failures }) => Object.keys(failures).length > 0);
  for (const report of broken) {
    console.error(`failed requests in: ${report.command}`, report.failures, report.samples);
  }
  return broken.length > 0 ? 1 : 0;
}

async function measureProcess(settings: Settings, add: (row: Row) => void): Promise<void> {
  const starts = await coldStartMs(settings, settings.rounds);
  const median = starts[Math.floor(starts.length / 2)] ?? 0;
  add({
    what: `cold start to ready, empty store, median of ${starts.length}`,
    measured: `${ms(median)} (${ms(starts[0] ?? 0)} to ${ms(starts.at(-1) ?? 0)})`,
    wanted: "< 300 ms",
    reached: median < 300,
    command: "headgate serve, then GET /health/ready every 2 ms",
  });
  const seconds = 3 * settings.seconds;
  const { cpuShare, pssBytes, processes } = await idle(settings, seconds);
  add({
    what: `idle CPU over ${seconds} s`,
    measured: `${(100 * cpuShare).toFixed(2)} % of a core`,
    wanted: "< 1 %",
    reached: cpuShare < 0.01,
    command: "utime + stime in /proc/PID/stat",
  });
  add({
    what: `memory, freshly started, PSS of ${processes} process${processes === 1 ? "" : "es"}`,
    measured: `${(pssBytes / 1e6).toFixed(0)} MB`,
    wanted: "< 120 MB",
    reached: pssBytes < 120e6,
    command: "Pss in /proc/PID/smaps_rollup",
  });
}

async function measureLoads(
  settings: Settings,
  latencyMs: number,
  add: (row: Row) => void,
  reports: Measured[],
): Promise<void> {
  const store = latencyMs > 0 ? `${latencyMs} ms PUT` : "directory";
  const time = ["--seconds", String(settings.seconds)];
  const put = (await putLatency(settings.directory, latencyMs, settings.seconds / 2)).percentileMs(
    50,
  );
  const node = await startNode({ ...settings, latencyMs });
  const run = async (...args: string[]): Promise<Measured> => {
    const before = cpuMs(processTree(node.pid));
    const report = await bench(settings, node.url, [...args, ...time]);
    const cpu = cpuMs(processTree(node.pid)) - before;
    const measured = { ...report, node_cpu_us: (1000 * cpu) / Math.max(1, report.answers_total) };
    reports.push(measured);
    return measured;
  };
  try {
    const single = await run("latency");
    add({
      what: `one durable write, ${store}: p50`,
      measured: `${ms(single.latency_ms.p50)}, the PUT alone ${ms(put)}`,
      wanted: "≤ PUT + 5 ms",
      reached: single.latency_ms.p50 <= put + 5,
      command: single.command,
    });
    const writes = await fastest(
      settings.concurrency,
      (count) => run("writes", "--concurrency", count),
    );
    add(rateRow(`durable transactions, ${store}`, writes, latencyMs > 0 ? 80_000 : null));
    const paced = await run("writes", "--rate", String(RATE_PER_S));
    const { p50, p99 } = paced.latency_ms;
    const times = (value: number): string => `${ms(value)} = ${(value / put).toFixed(2)} × PUT`;
    const slow = latencyMs > 0;
    add({
      what: `durable transactions at ${thousands(RATE_PER_S)}/s, ${store}`,
      measured: `p50 ${slow ? times(p50) : ms(p50)}, p99 ${slow ? times(p99) : ms(p99)}`,
      wanted: slow ? "p50 ≤ 2.2 × PUT, p99 ≤ 3 × PUT" : "",
      reached: slow ? p50 <= 2.2 * put && p99 <= 3 * put : null,
      command: paced.command,
    });
    const reads = await fastest(
      settings.concurrency,
      (count) => run("reads", "--concurrency", count),
    );
    add(rateRow(`point reads, ${store}`, reads, 90_000));
  } finally {
    await node.stop();
  }
}

/** Tries each concurrency and keeps the run with the highest rate. */
async function fastest(
  concurrency: readonly number[],
  run: (concurrency: string) => Promise<Measured>,
): Promise<Measured> {
  const [first = 1, ...others] = concurrency;
  let best = await run(String(first));
  for (const count of others) {
    const report = await run(String(count));
    if (report.rate > best.rate) best = report;
  }
  return best;
}

function rateRow(what: string, report: Measured, wanted: number | null): Row {
  const { rate, latency_ms, concurrency, generator, node_cpu_us } = report;
  return {
    what,
    measured: `${thousands(rate)}/s, ${concurrency} at once, p50 ${ms(latency_ms.p50)}, ` +
      `p99 ${ms(latency_ms.p99)}; CPU a request: node ${node_cpu_us.toFixed(1)} µs, ` +
      `generator ${generator.cpu_us_per_request.toFixed(1)} µs`,
    wanted: wanted === null ? "" : `≥ ${thousands(wanted)}/s`,
    reached: wanted === null ? null : rate >= wanted,
    command: report.command,
  };
}

function settingsOf(args: readonly string[]): Settings {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seconds: { type: "string", default: "10" },
      rounds: { type: "string", default: "10" },
      concurrency: { type: "string", default: "2000,8000" },
      directory: { type: "string", default: tmpdir() },
      /** Measured as it is; without it the binary is built first. */
      binary: { type: "string" },
      out: { type: "string", default: join(root, "dist/bench.json") },
    },
  });
  return {
    seconds: Number(values.seconds),
    rounds: Number(values.rounds),
    concurrency: values.concurrency.split(",").map(Number),
    directory: resolve(values.directory),
    binary: values.binary === undefined ? built() : resolve(values.binary),
    out: resolve(values.out),
  };
}

/** Of the source as it is now: a binary from yesterday would give yesterday's figures. */
function built(): string {
  const binary = join(root, "dist/headgate");
  const command = [process.execPath, join(root, "scripts/build.ts")];
  const { exitCode } = Bun.spawnSync(command, { stdio: ["ignore", "inherit", "inherit"] });
  if (exitCode !== 0 || !existsSync(binary)) throw new Error("the build failed");
  return binary;
}

/** Others at work on the machine take from the figures, so the load is part of it. */
function machineOf(): string {
  const [cpu] = cpus();
  const model = cpu?.model.trim() ?? "unknown CPU";
  return `${cpus().length} × ${model}, Linux ${release()}, Bun ${Bun.version}, ` +
    `load average before ${loadavg()[0]?.toFixed(2)}`;
}

function lineOf({ what, measured, wanted, reached }: Row): string {
  return `| ${what} | ${measured} | ${wanted} | ${reached === null ? "" : reached ? "✓" : "✗"} |`;
}

function ms(value: number): string {
  return `${value < 10 ? value.toFixed(2) : value.toFixed(1)} ms`;
}

function thousands(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

process.exit(await main());
