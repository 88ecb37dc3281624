/** Requests to lakes → what a node is asked. Unknown keys and wrong types are `invalid` and named. */
import { Failure } from "../base/failure.ts";
import { LAKE_COLUMNS_MAX } from "../base/lake-limits.ts";
import { IDEMPOTENCY_KEY_BYTES_MAX } from "../base/limits.ts";
import { shown } from "../base/shown.ts";
import { parseParameters } from "../database/statement-parse.ts";
import type { Parameters } from "../database/statement.ts";
import { parseType } from "../lake/catalog/column-rows.ts";
import { MAIN_SCHEMA } from "../lake/catalog/create-lake.ts";
import type { SnapshotMoment } from "../lake/catalog/read-snapshots.ts";
import type { TableName } from "../lake/catalog/read-tables.ts";
import type { ExpiryWish } from "../lake/by-hand.ts";
import type { ColumnWish } from "../lake/column.ts";
import type { QueryFormat } from "../lake/query/lake-query.ts";
import type { RowsAck } from "../lake/rows-request.ts";
import { fieldsOf, parseTime, timeout, wholeFrom, wrong } from "./fields.ts";

/** `events`, or `schema.events`. */
export function tableName(text: string): TableName {
  const dot = text.indexOf(".");
  const [schema, name] = dot < 0 ? [MAIN_SCHEMA, text] : [text.slice(0, dot), text.slice(dot + 1)];
  if (schema !== "" && name !== "") return { schema, name };
  throw wrong("The table", text, '"table" or "schema.table"');
}

/** `{"name"}`. */
export function parseLake(body: unknown): string {
  const { name } = fieldsOf(body, ["name"]);
  if (typeof name === "string") return name;
  throw wrong("name", name, "a name");
}

/** `{"table"?}`, or nothing at all: every table then. */
export function parseFlush(body: unknown): TableName | null {
  if (body === undefined) return null;
  const { table } = fieldsOf(body, ["table"]);
  if (table === undefined) return null;
  if (typeof table === "string") return tableName(table);
  throw wrong("table", table, '"table" or "schema.table"');
}

/** `{"older_than": "7d"}` or `{"before": time}`. */
export function parseExpiry(body: unknown): ExpiryWish {
  const { older_than: age, before } = fieldsOf(body, ["older_than", "before"]);
  if ((age === undefined) === (before === undefined)) {
    throw new Failure("invalid", "Give either older_than or before");
  }
  return before === undefined ? { ageMs: durationOf(age) } : { beforeMs: parseTime(before) };
}

const UNIT_MS: Readonly<Record<string, number>> = {
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

function durationOf(value: unknown): number {
  const [, digits = "", unit = ""] = /^(\d{1,9})([smhd])$/.exec(`${value}`) ?? [];
  const unitMs = UNIT_MS[unit];
  if (typeof value === "string" && unitMs !== undefined) return Number(digits) * unitMs;
  throw wrong("older_than", value, 'a duration, as in "90s", "12h" or "7d"');
}

/** `{"name", "columns": [{"name", "type", "nullable"?, "children"?}]}`. */
export function parseTable(body: unknown): TableName & { columns: readonly ColumnWish[] } {
  const { name, columns } = fieldsOf(body, ["name", "columns"]);
  if (typeof name !== "string") throw wrong("name", name, "a name");
  return { ...tableName(name), columns: parseColumns(columns, "columns", 0) };
}

function parseColumns(value: unknown, path: string, depth: number): readonly ColumnWish[] {
  const isList = Array.isArray(value) && value.length > 0 && value.length <= LAKE_COLUMNS_MAX;
  if (!isList || depth > DEPTH_MAX) throw wrong(path, value, "a list of columns");
  return value.map((column: unknown, index) => parseColumn(column, `${path}[${index}]`, depth));
}

/** `{"name", "type", "nullable"?, "children"?}`; `at` is where it stands in the body. */
export function parseColumn(value: unknown, at: string, depth = 0): ColumnWish {
  const { name, type, nullable = true, children = [] } = fieldsOf(value, COLUMN_KEYS, at);
  if (typeof name !== "string" || name === "") throw wrong(`${at}.name`, name, "a name");
  if (typeof nullable !== "boolean") throw wrong(`${at}.nullable`, nullable, "true or false");
  return {
    name,
    type: typeOf(type, `${at}.type`),
    nullable,
    children: Array.isArray(children) && children.length === 0
      ? []
      : parseColumns(children, `${at}.children`, depth + 1),
  };
}

const COLUMN_KEYS = ["name", "type", "nullable", "children"];
const DEPTH_MAX = 16;

function typeOf(type: unknown, path: string): ColumnWish["type"] {
  try {
    if (typeof type === "string") return parseType(type);
  } catch {
    // The catalog's own word for it is "corrupt"; here it is the client's mistake.
  }
  throw wrong(path, type, "a type of DuckLake, as int64, varchar, decimal(18,2) or timestamptz");
}

export interface RowsParameters {
  readonly create: boolean;
  readonly ack: RowsAck;
  readonly timeoutMs?: number;
}

/** `?create=`, `?ack=` and `?timeout_ms=`. */
export function parseRowsParameters(parameters: URLSearchParams): RowsParameters {
  checkNames(parameters, ["create", "ack", "timeout_ms"]);
  const create = parameters.get("create") ?? "false";
  if (create !== "true" && create !== "false") throw wrong("create", create, "true or false");
  const ack = parameters.get("ack") ?? "visible";
  if (ack !== "visible" && ack !== "stored") throw wrong("ack", ack, '"visible" or "stored"');
  const timeoutMs = timeoutIn(parameters);
  return { create: create === "true", ack, ...(timeoutMs !== undefined && { timeoutMs }) };
}

/** `?min_epoch=` and `?timeout_ms=` of a question to a catalog. */
export function parseReadParameters(
  parameters: URLSearchParams,
): { readonly minEpoch?: number; readonly timeoutMs?: number } {
  checkNames(parameters, ["min_epoch", "timeout_ms"]);
  const text = parameters.get("min_epoch");
  const timeoutMs = timeoutIn(parameters);
  return {
    ...(text !== null && { minEpoch: wholeFrom(numberOf(text), 1, "min_epoch") }),
    ...(timeoutMs !== undefined && { timeoutMs }),
  };
}

function timeoutIn(parameters: URLSearchParams): number | undefined {
  const text = parameters.get("timeout_ms");
  return text === null ? undefined : timeout(numberOf(text));
}

function numberOf(text: string): number | string {
  return /^\d+$/.test(text) ? Number(text) : text;
}

function checkNames(parameters: URLSearchParams, allowed: readonly string[]): void {
  for (const name of parameters.keys()) {
    if (allowed.includes(name)) continue;
    const message = `The parameter ${shown(name)} is unknown; allowed: ${allowed.join(", ")}`;
    throw new Failure("invalid", message);
  }
}

export interface LakeQueryBody {
  readonly sql: string;
  readonly params?: Parameters;
  readonly moment: SnapshotMoment;
  readonly level: "local" | "session" | "linearizable";
  readonly minEpoch?: number;
  readonly timeoutMs?: number;
}

/** `{"sql", "params"?, "snapshot"? | "time"?, "level"?, "min_epoch"?, "timeout_ms"?}`. */
export function parseLakeQuery(body: unknown): LakeQueryBody {
  const fields = fieldsOf(body, QUERY_KEYS);
  const { sql, params, snapshot, time, min_epoch } = fields;
  if (typeof sql !== "string" || sql.trim() === "") throw wrong("sql", sql, "a SELECT statement");
  if (snapshot !== undefined && time !== undefined) {
    throw new Failure("invalid", "Give either snapshot or time, not both");
  }
  const minEpoch = min_epoch === undefined ? undefined : wholeFrom(min_epoch, 1, "min_epoch");
  const level = fields["level"] ?? (minEpoch === undefined ? "local" : "session");
  if (level !== "local" && level !== "session" && level !== "linearizable") {
    throw wrong("level", level, '"local", "session" or "linearizable"');
  }
  if ((level === "session") !== (minEpoch !== undefined)) {
    throw new Failure("invalid", 'level "session" and min_epoch go together');
  }
  const timeoutMs = timeout(fields["timeout_ms"]);
  const parsed = parseParameters(params, "params");
  return {
    sql,
    ...(parsed !== undefined && { params: parsed }),
    moment: momentOf(snapshot, time),
    level,
    ...(minEpoch !== undefined && { minEpoch }),
    ...(timeoutMs !== undefined && { timeoutMs }),
  };
}

const QUERY_KEYS = ["sql", "params", "snapshot", "time", "level", "min_epoch", "timeout_ms"];

function momentOf(snapshot: unknown, time: unknown): SnapshotMoment {
  if (snapshot !== undefined) return { version: wholeFrom(snapshot, 0, "snapshot") };
  return time === undefined ? "newest" : { atMs: parseTime(time) };
}

const FORMATS: Readonly<Record<string, QueryFormat>> = {
  "application/json": "json",
  "application/x-ndjson": "ndjson",
  "text/csv": "csv",
  "application/vnd.apache.arrow.stream": "arrow",
  "application/vnd.apache.parquet": "parquet",
};

/** By the first type of `Accept` that is known; JSON where anything will do. */
export function queryFormat(accept: string | null): QueryFormat {
  if (accept === null) return "json";
  for (const part of accept.split(",")) {
    const type = part.split(";")[0]?.trim().toLowerCase() ?? "";
    if (type === "*/*" || type === "application/*") return "json";
    if (Object.hasOwn(FORMATS, type)) return FORMATS[type] ?? "json";
  }
  throw wrong("Accept", accept, Object.keys(FORMATS).join(", "));
}

export function parseKeyHeader(key: string | null): string | undefined {
  if (key === null) return undefined;
  if (key !== "" && Buffer.byteLength(key) <= IDEMPOTENCY_KEY_BYTES_MAX) return key;
  throw wrong("The header Idempotency-Key", key, `1 to ${IDEMPOTENCY_KEY_BYTES_MAX} bytes`);
}
