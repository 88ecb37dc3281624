/** The command line of `headgate bench`. */
import { parseArgs } from "node:util";
import { describe, Failure } from "../../base/failure.ts";
import { type BenchFormat, INGEST_FORMATS } from "./ingest.ts";
import type { Target } from "./workload.ts";

export type Mode = "writes" | "reads" | "latency" | "ingest";

export interface BenchOptions {
  readonly mode: Mode;
  readonly target: Target;
  /** Of `ingest`: rows of a request, and how they are written. */
  readonly rows: number;
  readonly format: BenchFormat;
  readonly seconds: number;
  readonly warmupSeconds: number;
  readonly concurrency: number;
  readonly connections: number;
  /** Requests a second of the open loop; the closed loop where it is absent. */
  readonly ratePerS?: number;
  readonly json: boolean;
}

export const BENCH_HELP = `headgate bench: measure a node over HTTP/2

  headgate bench writes     durable single-row INSERT transactions
  headgate bench reads      reads of one row by its key
  headgate bench latency    one durable write at a time
  headgate bench ingest     rows into a table of a lake, durable and visible

  --url URL          address of the node        http://127.0.0.1:8080; or HEADGATE_URL
  --token TOKEN      sent as Authorization: Bearer; or HEADGATE_TOKEN
  --database NAME    made if it is not there    bench; with ingest the lake
  --rows N           with ingest: rows of one request          1000
  --format FORMAT    with ingest: ndjson or arrow              ndjson
  --seconds N        measured time              10
  --warmup N         time before it             2
  --concurrency N    requests under way         2000; with --rate half a second's;
                     with ingest as many as have 512,000 rows, from 16 to 8000
  --connections N    connections they share     8, or one for each 256 under way
  --rate N           requests a second, each latency counted from the moment it was due;
                     without it, as fast as the node answers, which can be no faster than
                     the concurrency divided by the latency
  --json             the result as JSON

Example: headgate bench writes --rate 20000 --seconds 30
`;

/** Streams that servers commonly allow on a connection, and the most that we use. */
const STREAMS_PER_CONNECTION = 256;
const CONNECTIONS_MAX = 1_024;
const SECONDS_MAX = 86_400;
const RATE_MAX = 10_000_000;
const ROWS_MAX = 100_000;
const MODES: readonly Mode[] = ["writes", "reads", "latency", "ingest"];

const DEFAULT_URL = "http://127.0.0.1:8080";

const FLAGS = {
  url: { type: "string" },
  token: { type: "string" },
  database: { type: "string", default: "bench" },
  rows: { type: "string" },
  format: { type: "string" },
  seconds: { type: "string", default: "10" },
  warmup: { type: "string", default: "2" },
  concurrency: { type: "string" },
  connections: { type: "string" },
  rate: { type: "string" },
  json: { type: "boolean", default: false },
  help: { type: "boolean", short: "h", default: false },
} as const;

/** Null where help was asked for. Throws `invalid` naming the flag. */
export function parseBenchOptions(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): BenchOptions | null {
  const { values, positionals } = parsed(args);
  if (values.help) return null;
  const mode = modeOf(positionals);
  const alone = mode === "latency";
  for (const flag of ["concurrency", "connections", "rate"] as const) {
    if (alone && values[flag] !== undefined) {
      throw invalid(`--${flag} does not go with latency, which sends one write at a time`);
    }
  }
  const isIngest = mode === "ingest";
  for (const flag of ["rows", "format"] as const) {
    if (!isIngest && values[flag] !== undefined) throw invalid(`--${flag} goes with ingest alone`);
  }
  const rows = numberOf("rows", values.rows ?? "1000", [1, ROWS_MAX], true);
  const ratePerS = values.rate === undefined
    ? undefined
    : numberOf("rate", values.rate, [0.01, RATE_MAX], false);
  const concurrencyMax = CONNECTIONS_MAX * STREAMS_PER_CONNECTION;
  const concurrency = numberOf(
    "concurrency",
    values.concurrency ??
      String(alone ? 1 : isIngest ? usualBodies(rows) : usualConcurrency(ratePerS)),
    [1, concurrencyMax],
    true,
  );
  const needed = Math.ceil(concurrency / STREAMS_PER_CONNECTION);
  const usual = Math.max(needed, Math.min(8, concurrency));
  const connections = numberOf(
    "connections",
    values.connections ?? String(usual),
    [1, CONNECTIONS_MAX],
    true,
  );
  if (connections < needed) {
    throw invalid(
      `--connections ${connections} carries ${connections * STREAMS_PER_CONNECTION} requests ` +
        `at once; --concurrency ${concurrency} needs ${needed}`,
    );
  }
  const token = values.token ?? environment["HEADGATE_TOKEN"];
  return {
    mode,
    target: {
      url: urlOf(values.url ?? environment["HEADGATE_URL"] ?? DEFAULT_URL),
      ...(token === undefined ? {} : { token }),
      database: values.database,
    },
    rows,
    format: formatOf(values.format ?? "ndjson"),
    seconds: numberOf("seconds", values.seconds, [0.1, SECONDS_MAX], false),
    warmupSeconds: numberOf("warmup", values.warmup, [0, SECONDS_MAX], false),
    concurrency,
    connections,
    ...(ratePerS === undefined ? {} : { ratePerS }),
    json: values.json,
  };
}

/** At a fixed rate enough that half a second of latency holds nothing back on our side. */
function usualConcurrency(ratePerS: number | undefined): number {
  return ratePerS === undefined ? 2000 : Math.min(16_384, Math.max(2000, Math.ceil(ratePerS / 2)));
}

/** Rows that are under way at once do for any rate, and bodies of many rows take memory. */
function usualBodies(rows: number): number {
  return Math.min(8_000, Math.max(16, Math.ceil(512_000 / rows)));
}

function formatOf(text: string): BenchFormat {
  const format = INGEST_FORMATS.find((one) => one === text);
  if (format !== undefined) return format;
  throw invalid(`--format is "${text}"; ${INGEST_FORMATS.join(" or ")} is allowed`);
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: FLAGS, allowPositionals: true, strict: true });
  } catch (error) {
    throw new Failure("invalid", `Cannot run a bench: ${describe(error)}`, { cause: error });
  }
}

function modeOf(positionals: readonly string[]): Mode {
  const [mode, ...more] = positionals;
  if (more.length > 0) throw invalid(`"${more.join(" ")}" is not expected after ${mode}`);
  const known = MODES.find((one) => one === mode);
  if (known !== undefined) return known;
  throw invalid(
    mode === undefined
      ? `say what to measure: ${MODES.join(", ")}`
      : `"${mode}" cannot be measured; allowed: ${MODES.join(", ")}`,
  );
}

function numberOf(
  flag: string,
  text: string,
  [least, most]: readonly [number, number],
  whole: boolean,
): number {
  const value = Number(text);
  const fits = text.trim() !== "" && value >= least && value <= most;
  if (fits && (!whole || Number.isInteger(value))) return value;
  const kind = whole ? "a whole number" : "a number";
  throw invalid(`--${flag} is "${text}"; ${kind} from ${least} to ${most} is allowed`);
}

function urlOf(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:")) {
    throw invalid(`--url is "${text}"; http://host:port or https://host:port is allowed`);
  }
  if (url.username !== "" || url.password !== "") {
    throw invalid("--url holds a password; use --token");
  }
  return url;
}

function invalid(what: string): Failure {
  return new Failure("invalid", `Cannot run a bench: ${what}`);
}
