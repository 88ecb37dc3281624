/**
 * Bodies and parameters of requests → what a node is asked. Unknown keys and wrong types are
 * `invalid` and named: a misspelt `timeout_ms` must not be a write without a deadline.
 * Plain code, since `execute` and `query` come through here 100,000 times a second.
 */
import { Failure } from "../base/failure.ts";
import { IDEMPOTENCY_KEY_BYTES_MAX } from "../base/limits.ts";
import { checkStatement } from "../database/rules.ts";
import { parseParameters, parseSql, parseStatements } from "../database/statement-parse.ts";
import type { Parameters, Statement } from "../database/statement.ts";
import { isDatabaseName, isNodeName } from "../epoch/name.ts";
import { fieldsOf, parseTime, timeout, wholeFrom, wrong } from "./fields.ts";
import type { BrokerState, Moment } from "./node.ts";

/** Filled in field by field: spreading objects costs more here than all the checks. */
export type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

export interface ExecuteBody {
  readonly statements: readonly Statement[];
  readonly idempotencyKey?: string;
  readonly timeoutMs?: number;
}

export interface QueryBody {
  readonly sql: string;
  readonly params?: Parameters;
  readonly level: "local" | "session" | "linearizable";
  readonly minEpoch?: number;
  readonly timeoutMs?: number;
}

const EXECUTE_KEYS = ["statements", "idempotency_key", "timeout_ms"];
const QUERY_KEYS = ["sql", "params", "level", "min_epoch", "timeout_ms"];

/** Throws `invalid` or `too_large`; the statements have passed the statement rules. */
export function parseExecute(body: unknown): ExecuteBody {
  const fields = fieldsOf(body, EXECUTE_KEYS);
  const statements = parseStatements(fields["statements"], "statements");
  statements.forEach(({ sql }, index) => check(sql, "execute", `statements[${index}]`));
  const key = fields["idempotency_key"];
  const timeoutMs = timeout(fields["timeout_ms"]);
  const parsed: Writable<ExecuteBody> = { statements };
  if (key !== undefined) parsed.idempotencyKey = parseKey(key, "idempotency_key");
  if (timeoutMs !== undefined) parsed.timeoutMs = timeoutMs;
  return parsed;
}

/** Throws `invalid` or `too_large`; the statement has passed the statement rules. */
export function parseQuery(body: unknown): QueryBody {
  const fields = fieldsOf(body, QUERY_KEYS);
  const sql = parseSql(fields["sql"], "sql");
  check(sql, "query", "sql");
  const params = parseParameters(fields["params"], "params");
  const minEpoch = fields["min_epoch"];
  if (minEpoch !== undefined) wholeFrom(minEpoch, 1, "min_epoch");
  const level = fields["level"] ?? (minEpoch === undefined ? "local" : "session");
  if (level !== "local" && level !== "session" && level !== "linearizable") {
    throw wrong("level", level, '"local", "session" or "linearizable"');
  }
  if ((level === "session") !== (minEpoch !== undefined)) {
    throw new Failure("invalid", 'level "session" and min_epoch go together');
  }
  const timeoutMs = timeout(fields["timeout_ms"]);
  const parsed: Writable<QueryBody> = { sql, level };
  if (params !== undefined) parsed.params = params;
  if (minEpoch !== undefined) parsed.minEpoch = minEpoch as number;
  if (timeoutMs !== undefined) parsed.timeoutMs = timeoutMs;
  return parsed;
}

/** `{"name", "page_size"?}`. */
export function parseCreate(body: unknown): { name: string; pageSize?: number } {
  const fields = fieldsOf(body, ["name", "page_size"]);
  const name = fields["name"];
  if (typeof name !== "string") throw wrong("name", name, "a name");
  const pageSize = fields["page_size"];
  if (pageSize === undefined) return { name };
  if (typeof pageSize !== "number" || !PAGE_SIZES.has(pageSize)) {
    throw wrong("page_size", pageSize, [...PAGE_SIZES].join(", "));
  }
  return { name, pageSize };
}

const PAGE_SIZES = new Set([512, 1024, 2048, 4096, 8192, 16384, 32768, 65536]);

/** `{"state"}`. */
export function parseBroker(body: unknown): { state: BrokerState } {
  const { state } = fieldsOf(body, ["state"]);
  const known = BROKER_STATES.find((one) => one === state);
  if (known === undefined) throw wrong("state", state, BROKER_STATES.join(", "));
  return { state: known };
}

const BROKER_STATES: readonly BrokerState[] = ["active", "draining", "retiring", "shutdown"];

/** `{"preferred"?}`, or nothing at all. */
export function parseStepDown(body: unknown): { preferred?: string } {
  if (body === undefined) return {};
  const { preferred } = fieldsOf(body, ["preferred"]);
  if (preferred === undefined) return {};
  if (typeof preferred === "string" && isNodeName(preferred)) return { preferred };
  throw wrong("preferred", preferred, "the id of a node");
}

/** `{"epoch"}` or `{"time"}`. */
export function parseRollback(body: unknown): Moment {
  const { epoch, time } = fieldsOf(body, ["epoch", "time"]);
  if ((epoch === undefined) === (time === undefined)) {
    throw new Failure("invalid", "Cannot roll back: give either epoch or time");
  }
  if (epoch !== undefined) return { epoch: wholeFrom(epoch, 1, "epoch") };
  return { timeMs: parseTime(time) };
}

/** `?epoch=` or `?time=`, or neither. */
export function parseMoment(parameters: URLSearchParams): Moment {
  for (const name of parameters.keys()) {
    if (name !== "epoch" && name !== "time") {
      throw new Failure("invalid", `The parameter ${name} is unknown; allowed: epoch, time`);
    }
  }
  const epoch = parameters.get("epoch");
  const time = parameters.get("time");
  if (epoch !== null && time !== null) {
    throw new Failure("invalid", "Give either epoch or time, not both");
  }
  if (epoch !== null) {
    return { epoch: wholeFrom(/^\d+$/.test(epoch) ? Number(epoch) : epoch, 1, "epoch") };
  }
  if (time === null) return "now";
  return { timeMs: parseTime(/^\d+$/.test(time) ? Number(time) : time) };
}

/** A key that came as a header, as a field, or as both if they are the same. */
export function idempotencyKey(
  header: string | null,
  field: string | undefined,
): string | undefined {
  if (header === null) return field;
  const key = parseKey(header, "The header Idempotency-Key");
  if (field !== undefined && field !== key) {
    throw new Failure("invalid", "The header Idempotency-Key and idempotency_key differ");
  }
  return key;
}

/** A database that may be read: any, the machinery's included. Throws `invalid`. */
export function databaseName(name: string): string {
  if (isDatabaseName(name)) return name;
  const shown = JSON.stringify(name.slice(0, 80));
  throw new Failure("invalid", `${shown} is not the name of a database: [a-z0-9][a-z0-9_-]{0,62}`);
}

/** A database that clients may write. Throws `denied` for the machinery's. */
export function writableDatabase(name: string): string {
  databaseName(name);
  if (name === "system" || name.startsWith("lake-")) {
    throw new Failure("denied", `Cannot change ${name}: it is Headgate's own and can only be read`);
  }
  return name;
}

function check(sql: string, use: "query" | "execute", path: string): void {
  try {
    checkStatement(sql, use);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    throw new Failure(error.kind, `${path}: ${error.message}`, { cause: error });
  }
}

function parseKey(value: unknown, path: string): string {
  if (typeof value === "string" && value !== "" && value.isWellFormed()) {
    if (Buffer.byteLength(value) <= IDEMPOTENCY_KEY_BYTES_MAX) return value;
  }
  throw wrong(path, value, `a text of 1 to ${IDEMPOTENCY_KEY_BYTES_MAX} bytes`);
}
