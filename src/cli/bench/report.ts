/** A finished bench as text for people and as JSON for programs. */
import type { BenchOptions } from "./options.ts";
import type { LoadResult } from "./tally.ts";

export interface BenchReport {
  readonly command: string;
  readonly mode: string;
  readonly url: string;
  readonly seconds: number;
  readonly concurrency: number;
  readonly connections: number;
  /** Requests a second that were asked for; null in the closed loop. */
  readonly rate_wanted: number | null;
  /** Good answers of the measured part, and of the whole run. */
  readonly answers: number;
  readonly answers_total: number;
  readonly rate: number;
  /** Of `ingest`, in all requests of a second; null for the others. */
  readonly rows_per_second: number | null;
  readonly latency_ms: Readonly<
    Record<"min" | "mean" | "p50" | "p90" | "p99" | "p99_9" | "max", number>
  >;
  readonly per_second: readonly number[];
  readonly late_ms_max: number;
  readonly failures: Readonly<Record<string, number>>;
  readonly samples: readonly string[];
  /** Rows written against rows found afterwards; null for reads. */
  readonly rows: RowsCheck | null;
  /** CPU of the generator itself. */
  readonly generator: { readonly cpu_share: number; readonly cpu_us_per_request: number };
}

export interface RowsCheck {
  readonly acknowledged: number;
  /** Requests without a clear answer: each may have added a row. */
  readonly uncertain: number;
  readonly found: number;
}

export function reportOf(
  options: BenchOptions,
  result: LoadResult,
  rows: RowsCheck | null,
): BenchReport {
  const { latency } = result;
  const percentile = (percent: number): number => round(latency.percentileMs(percent));
  return {
    command: commandOf(options),
    mode: options.mode,
    url: options.target.url.href,
    seconds: result.durationMs / 1000,
    concurrency: options.concurrency,
    connections: options.connections,
    rate_wanted: options.ratePerS ?? null,
    answers: result.answers,
    answers_total: result.acknowledged,
    rate: round(result.ratePerS),
    rows_per_second: options.mode === "ingest" ? round(result.ratePerS * options.rows) : null,
    latency_ms: {
      min: round(latency.minMs),
      mean: round(latency.meanMs),
      p50: percentile(50),
      p90: percentile(90),
      p99: percentile(99),
      p99_9: percentile(99.9),
      max: round(latency.maxMs),
    },
    per_second: result.perSecond,
    late_ms_max: round(result.lateMsMax),
    failures: Object.fromEntries(result.failures),
    samples: result.samples,
    rows,
    generator: {
      cpu_share: round(result.cpuMs / result.durationMs),
      cpu_us_per_request: round((result.cpuMs * 1000) / Math.max(1, result.answers)),
    },
  };
}

/** True where rows that were acknowledged are missing, or more are there than were ever sent. */
export function rowsAreWrong({ acknowledged, uncertain, found }: RowsCheck): boolean {
  return found < acknowledged || found > acknowledged + uncertain;
}

const NOUN: Readonly<Record<string, string>> = {
  writes: "durable transactions",
  reads: "point reads",
  latency: "durable transactions, one at a time",
  ingest: "durable requests with rows",
};

export function textOf(report: BenchReport): string {
  const { latency_ms: ms, generator, rows } = report;
  const shown = (value: number): string => `${value < 10 ? value.toFixed(2) : value.toFixed(1)} ms`;
  const rate = report.rate < 1_000 ? report.rate.toFixed(1) : grouped(Math.round(report.rate));
  const lines = [
    `${rate} ${NOUN[report.mode] ?? report.mode} a second` +
    (report.rate_wanted === null ? "" : ` of ${grouped(report.rate_wanted)} wanted`),
    ...(report.rows_per_second === null
      ? []
      : [`${grouped(Math.round(report.rows_per_second))} rows a second`]),
    "",
    `  p50    ${shown(ms.p50)}`,
    `  p90    ${shown(ms.p90)}`,
    `  p99    ${shown(ms.p99)}`,
    `  p99.9  ${shown(ms.p99_9)}`,
    `  max    ${shown(ms.max)}`,
    `  mean   ${shown(ms.mean)}`,
    "",
    `  ${grouped(report.answers)} answers in ${report.seconds} s, ` +
    `${report.concurrency} at once over ${report.connections} ` +
    `connection${report.connections === 1 ? "" : "s"}`,
    `  generator: ${(100 * generator.cpu_share).toFixed(0)} % of a core, ` +
    `${generator.cpu_us_per_request.toFixed(1)} µs a request`,
  ];
  if (report.rate_wanted !== null) {
    lines.push(
      `  latencies count from the moment due; sent ${shown(report.late_ms_max)} late at most`,
    );
  }
  if (rows !== null) {
    lines.push(
      `  rows: ${grouped(rows.acknowledged)} acknowledged, ${grouped(rows.found)} found` +
        (rows.uncertain > 0 ? `, ${grouped(rows.uncertain)} uncertain` : "") +
        (rowsAreWrong(rows) ? "  WRONG (or somebody else wrote)" : ""),
    );
  }
  const failures = Object.entries(report.failures);
  if (failures.length > 0) lines.push("", "Failed requests, warm-up included:");
  for (const [kind, count] of failures) lines.push(`  ${grouped(count)} × ${kind}`);
  for (const sample of report.samples) lines.push(`  e.g. ${sample}`);
  lines.push("", report.command, "");
  return lines.join("\n");
}

/** The command that gives this again; a token is never shown. */
function commandOf(options: BenchOptions): string {
  const { mode, target, seconds, warmupSeconds, concurrency, connections, ratePerS } = options;
  const words = ["headgate bench", mode, `--url ${target.url.origin}${pathOf(target.url)}`];
  if (target.database !== "bench") words.push(`--database ${target.database}`);
  if (mode === "ingest") words.push(`--rows ${options.rows}`, `--format ${options.format}`);
  words.push(`--seconds ${seconds}`, `--warmup ${warmupSeconds}`);
  if (mode !== "latency") {
    words.push(`--concurrency ${concurrency}`, `--connections ${connections}`);
  }
  if (ratePerS !== undefined) words.push(`--rate ${ratePerS}`);
  return words.join(" ");
}

function pathOf(url: URL): string {
  return url.pathname === "/" ? "" : url.pathname;
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}

function grouped(value: number): string {
  return value.toLocaleString("en-US");
}
