/**
 * Rows for a lake: bodies that are made once and differ only in the number of their request, which
 * stands in every row, so that each row is another one and each has to be read.
 */
import { Failure, isFailure } from "../../base/failure.ts";
import type { IngestFormat } from "../../lake/ingest/format.ts";
import type { LakeValue } from "../../lake/rows.ts";
import { ApiClient } from "../client.ts";
import { type Target, type Workload, workloadBlock, writeDecimal } from "./workload.ts";

export const INGEST_FORMATS = ["ndjson", "arrow"] as const;
export type BenchFormat = typeof INGEST_FORMATS[number];

export interface IngestTarget extends Target {
  /** Rows of one request. */
  readonly rows: number;
  readonly format: BenchFormat;
}

const TABLE = "bench_rows";
const CONTENT_TYPES: Readonly<Record<BenchFormat & IngestFormat, string>> = {
  ndjson: "application/x-ndjson",
  arrow: "application/vnd.apache.arrow.stream",
};
const COLUMNS = [
  ["request", "int64"],
  ["row", "int32"],
  ["at", "timestamp"],
  ["user", "varchar"],
  ["path", "varchar"],
  ["status", "int32"],
  ["ms", "float64"],
] as const;

/** Numbers of requests begin here, so that all have as many digits. */
const FIRST_REQUEST = 1_000_000_000_000;
const DIGITS = 13;
const AT_US = 1_790_000_000_000_000n;
const REQUEST_TIMEOUT_MS = 60_000;

export async function ingestWorkload(target: IngestTarget): Promise<Workload> {
  const body = target.format === "ndjson" ? ndjson(target.rows) : await arrow(target.rows);
  return {
    block: workloadBlock(target, {
      path: `${lakePath(target)}/tables/${TABLE}/rows`,
      contentType: CONTENT_TYPES[target.format],
    }),
    ...body,
  };
}

/** Makes the lake and its table if they are not there. */
export async function prepareIngest(target: IngestTarget): Promise<void> {
  const columns = COLUMNS.map(([name, type]) => ({ name, type }));
  const steps = [
    { path: "/v1/lakes", body: { name: target.database } },
    { path: `${lakePath(target)}/tables`, body: { name: TABLE, columns } },
  ];
  for (const step of steps) {
    try {
      await clientOf(target).json({ method: "POST", ...step });
    } catch (error) {
      // It is there, which is as good.
      if (!isFailure(error, "conflict")) throw error;
    }
  }
}

/** Rows in the table, everything acknowledged so far among them. */
export async function countIngested(target: IngestTarget): Promise<number> {
  const { rows } = await clientOf(target).json<{ rows: readonly (readonly unknown[])[] }>({
    method: "POST",
    path: `${lakePath(target)}/query`,
    answerMs: REQUEST_TIMEOUT_MS,
    body: {
      sql: `SELECT count(*) FROM ${TABLE}`,
      level: "linearizable",
      timeout_ms: REQUEST_TIMEOUT_MS,
    },
  });
  const count = rows[0]?.[0];
  if (typeof count === "number") return count;
  throw new Failure("corrupt", `Cannot count rows: the answer is ${JSON.stringify(rows)}`);
}

/** Some 130 bytes a row. */
function ndjson(rows: number): Omit<Workload, "block"> {
  const lines = Array.from(
    { length: rows },
    (_, row) =>
      `{"request":${FIRST_REQUEST},"row":${row},"at":"2026-09-21T${clockOf(row)}Z",` +
      `"user":"user-${row % 997}","path":"/articles/${row % 89}","status":200,"ms":${row / 8}}\n`,
  );
  const text = lines.join("").replaceAll('Z"', '"');
  const bytes = new TextEncoder().encode(text);
  const places: number[] = [];
  const mark = `"request":${FIRST_REQUEST}`;
  for (let at = text.indexOf(mark); at >= 0; at = text.indexOf(mark, at + 1)) {
    places.push(at + mark.length - DIGITS);
  }
  return {
    bodyBytesMax: bytes.length,
    body: (into, sequence) => {
      for (const place of places) writeDecimal(bytes, place, FIRST_REQUEST + sequence);
      into.set(bytes);
      return bytes.length;
    },
  };
}

function benchValue(name: typeof COLUMNS[number][0], row: number): LakeValue {
  switch (name) {
    case "request":
      return FIRST_REQUEST;
    case "row":
      return row;
    case "at":
      return AT_US + BigInt(row) * 1_000_000n;
    case "user":
      return `user-${row % 997}`;
    case "path":
      return `/articles/${row % 89}`;
    case "status":
      return 200;
    case "ms":
      return row / 8;
  }
}

function clockOf(row: number): string {
  const two = (value: number) => String(value % 60).padStart(2, "0");
  return `${two(Math.floor(row / 3600) % 24)}:${two(Math.floor(row / 60))}:${two(row)}`;
}

async function arrow(rows: number): Promise<Omit<Workload, "block">> {
  const { Field, makeData, RecordBatch, Schema, Struct, Table, tableToIPC } = await import(
    "apache-arrow"
  );
  const { arrowData } = await import("../../lake/ingest/arrow-build.ts");
  const children = COLUMNS.map(([name, type], index) => {
    const column = { id: index + 1, name, type: { name: type }, nullable: true, children: [] };
    return arrowData(column, Array.from({ length: rows }, (_, row) => benchValue(name, row)));
  });
  const fields = children.map(({ type }, index) =>
    new Field(COLUMNS[index]?.[0] ?? "", type, true)
  );
  const schema = new Schema(fields);
  const type = new Struct(fields);
  const data = makeData({ type, length: rows, nullCount: 0, children });
  const bytes = tableToIPC(new Table(schema, [new RecordBatch(schema, data)]), "stream");
  const first = Buffer.from(BigInt64Array.of(BigInt(FIRST_REQUEST)).buffer);
  const begin = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf(first);
  const numbers = new BigInt64Array(rows);
  return {
    bodyBytesMax: bytes.length,
    body: (into, sequence) => {
      numbers.fill(BigInt(FIRST_REQUEST + sequence));
      into.set(bytes);
      into.set(new Uint8Array(numbers.buffer), begin);
      return bytes.length;
    },
  };
}

function lakePath({ database }: Target): string {
  return `/v1/lakes/${encodeURIComponent(database)}`;
}

function clientOf({ url, token }: Target): ApiClient {
  return new ApiClient(url.href, token);
}
