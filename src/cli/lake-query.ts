/**
 * `lake query`: SQL in, rows out. Formats for programs go to the output as they come, whatever their
 * size; tables are made of a limited number of rows, since the width of a column is that of its
 * widest value, and say when there are more.
 */
import { describe, Failure } from "../base/failure.ts";
import { CLI_TABLE_CHARACTERS_MAX, CLI_TABLE_ROWS_MAX } from "../base/lake-limits.ts";
import type { JsonValue } from "../database/statement.ts";
import type { Surroundings } from "../server/surroundings.ts";
import { type ParsedArguments, UsageError } from "./arguments.ts";
import { parseFailure } from "./client.ts";
import { lakeCell } from "./lake-cells.ts";
import { lakePath } from "./lake.ts";
import { LastLine, linesOf } from "./lines.ts";
import { nodesClientOf } from "./nodes-client.ts";
import { countText, sqlOf } from "./sql.ts";
import { formatRows } from "./table.ts";
import { parseAnswer, parseParameters, type ResultSet } from "./value.ts";

const ACCEPTS = {
  table: "application/x-ndjson",
  line: "application/x-ndjson",
  csv: "text/csv",
  json: "application/json",
  ndjson: "application/x-ndjson",
  arrow: "application/vnd.apache.arrow.stream",
  parquet: "application/vnd.apache.parquet",
} as const;

type Format = keyof typeof ACCEPTS;

/** Formats that no terminal shows, and what a file of them may be called. */
const FILES: Readonly<Record<string, string>> = { arrow: "rows.arrows", parquet: "rows.parquet" };

export async function runLakeQuery(args: ParsedArguments, around: Surroundings): Promise<number> {
  const [lake = "", sql] = args.positionals;
  const format = formatOf(args, around);
  const body = { sql: sqlOf(sql, around), ...momentOf(args), ...optionsOf(args) };
  const response = await nodesClientOf(args, around).send({
    method: "POST",
    path: `${lakePath(lake)}/query`,
    body,
    headers: { accept: ACCEPTS[format] },
  });
  const pieces = piecesOf(response);
  if (format === "table" || format === "line") {
    const { result, isCut } = await readRows(pieces);
    around.write(formatRows(result, format, around.columns()));
    around.write(`${countLine(result, isCut)}, ${momentText(response)}\n`);
    return 0;
  }
  const lines = new LastLine();
  for await (const piece of pieces) {
    around.writeBytes(piece);
    if (format === "ndjson") lines.push(piece);
  }
  if (format === "ndjson") checkEnd(lines.text);
  return 0;
}

function formatOf(args: ParsedArguments, around: Surroundings): Format {
  const format = args.text("format") ?? (args.has("json") ? "json" : "table");
  if (!Object.hasOwn(ACCEPTS, format)) {
    throw new UsageError(`--format is ${format}; allowed: ${Object.keys(ACCEPTS).join(", ")}`);
  }
  if (args.has("json") && format !== "json") {
    throw new UsageError("Give --json or another --format, not both");
  }
  const file = Object.hasOwn(FILES, format) ? FILES[format] : undefined;
  if (file !== undefined && around.outputIsTerminal) {
    throw new UsageError(`${format} is nothing to look at: send the output to a file, > ${file}`);
  }
  return format as Format;
}

function momentOf(args: ParsedArguments) {
  const snapshot = args.whole("snapshot", 0);
  const time = args.text("time");
  if (snapshot !== undefined && time !== undefined) {
    throw new UsageError("Say --snapshot or --time, not both");
  }
  if (time === undefined) return snapshot === undefined ? {} : { snapshot };
  return { time: /^\d+$/.test(time) ? Number(time) : time };
}

function optionsOf(args: ParsedArguments) {
  const params = parseParameters(args.all("param"));
  const minEpoch = args.whole("min-epoch", 1);
  const timeoutMs = args.whole("timeout", 1);
  return {
    ...(params === undefined ? {} : { params }),
    ...(minEpoch === undefined ? {} : { min_epoch: minEpoch }),
    ...(timeoutMs === undefined ? {} : { timeout_ms: timeoutMs }),
  };
}

/** The body. A connection that breaks within it is a failure, not an end. */
async function* piecesOf(response: Response): AsyncGenerator<Uint8Array> {
  try {
    if (response.body) yield* response.body as AsyncIterable<Uint8Array>;
  } catch (cause) {
    const message = `The answer broke off: ${describe(cause)}`;
    throw new Failure("unavailable", message, { cause });
  }
}

/** Throws unless a line of NDJSON is the last of a whole result, with what it says instead. */
function checkEnd(line: string): void {
  if (line.startsWith('{"rows":')) return;
  throw parseFailure(line) ?? brokenOff();
}

function brokenOff(): Failure {
  return new Failure("unavailable", "The answer broke off: its last line is missing");
}

interface ReadRows {
  readonly result: ResultSet;
  /** True when there are more. */
  readonly isCut: boolean;
}

/** Lines of NDJSON: names and types of the columns, the rows, and their number at the end. */
async function readRows(pieces: AsyncIterable<Uint8Array>): Promise<ReadRows> {
  const rows: JsonValue[][] = [];
  let head: { readonly columns: readonly string[]; readonly types: readonly string[] } | null =
    null;
  let characters = 0;
  for await (const line of linesOf(pieces)) {
    if (head === null) {
      head = JSON.parse(line) as NonNullable<typeof head>;
      continue;
    }
    const { columns, types } = head;
    if (!line.startsWith("[")) {
      checkEnd(line);
      return { result: { columns, rows }, isCut: false };
    }
    characters += line.length;
    const isFull = rows.length === CLI_TABLE_ROWS_MAX ||
      (rows.length > 0 && characters > CLI_TABLE_CHARACTERS_MAX);
    if (isFull) return { result: { columns, rows }, isCut: true };
    const values = parseAnswer<unknown[]>(line);
    rows.push(values.map((value, index) => lakeCell(value, types[index] ?? "")));
  }
  throw brokenOff();
}

function countLine({ rows }: ResultSet, isCut: boolean): string {
  const count = countText(rows.length, "row");
  return isCut ? `the first ${count}; --format csv, ndjson or arrow gives all` : count;
}

function momentText({ headers }: Response): string {
  return `snapshot ${headers.get("headgate-snapshot")}, epoch ${headers.get("headgate-epoch")}`;
}
