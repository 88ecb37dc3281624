/**
 * A statement out of a request's parsed JSON: exact shapes, limits, and errors that name the place.
 * Plain code, for this is on the path of every request.
 */
import { Failure } from "../base/failure.ts";
import { PARAMETERS_MAX, STATEMENT_BYTES_MAX, STATEMENTS_MAX } from "../base/limits.ts";
import { shown } from "../base/shown.ts";
import type { JsonValue, Parameters, Statement } from "./statement.ts";

/**
 * `{sql, params?}` at `path` ("statements[2]").
 * Throws `invalid` naming path, found and allowed, or `too_large` naming the limit.
 */
export function parseStatement(value: unknown, path: string): Statement {
  const object = asObject(value, path);
  for (const key in object) {
    if (key !== "sql" && key !== "params") throw unknownKey(path, key, "sql, params");
  }
  const sql = parseSql(object["sql"], within(path, "sql"));
  const params = parseParameters(object["params"], within(path, "params"));
  return params === undefined ? { sql } : { sql, params };
}

/** A list of statements; at least one, `STATEMENTS_MAX` at most. */
export function parseStatements(value: unknown, path: string): readonly Statement[] {
  if (!Array.isArray(value)) throw wrongType(path, value, "a list of statements");
  if (value.length === 0) throw new Failure("invalid", `${path} is empty; at least one is needed`);
  if (value.length > STATEMENTS_MAX) {
    throw tooLarge(`${path} has ${value.length} statements; at most ${STATEMENTS_MAX}`);
  }
  return value.map((item, index) => parseStatement(item, `${path}[${index}]`));
}

export function parseSql(value: unknown, path: string): string {
  if (typeof value !== "string") throw wrongType(path, value, "a string of SQL");
  if (!value.isWellFormed()) throw notUnicode(path);
  // A character is at most three bytes, so most texts need not be measured.
  if (value.length * 3 > STATEMENT_BYTES_MAX) {
    const bytes = Buffer.byteLength(value);
    if (bytes > STATEMENT_BYTES_MAX) {
      throw tooLarge(`${path} has ${bytes} bytes; at most ${STATEMENT_BYTES_MAX}`);
    }
  }
  return value;
}

/** A list or a map of values; undefined where none are given. */
export function parseParameters(value: unknown, path: string): Parameters | undefined {
  if (value === undefined) return undefined;
  if (Array.isArray(value)) {
    checkCount(value.length, path);
    for (let index = 0; index < value.length; index++) checkValue(value[index], path, index);
    return value as readonly JsonValue[];
  }
  if (typeof value !== "object" || value === null) throw wrongType(path, value, "a list or a map");
  const entries = Object.entries(value);
  checkCount(entries.length, path);
  for (const [key, item] of entries) checkValue(item, path, key);
  return value as Readonly<Record<string, JsonValue>>;
}

function checkCount(count: number, path: string): void {
  if (count > PARAMETERS_MAX) {
    throw tooLarge(`${path} has ${count} parameters; at most ${PARAMETERS_MAX}`);
  }
}

/** The shape alone: whether digits are digits is found when the value is bound. */
function checkValue(value: unknown, path: string, key: string | number): void {
  if (typeof value === "string") {
    if (value.isWellFormed()) return;
    throw notUnicode(placeOf(path, key));
  } else if (typeof value === "number") {
    // JSON.parse makes infinity of what is too large, and that would be stored as NULL.
    if (Number.isFinite(value)) return;
  } else if (value === null || typeof value !== "object") {
    if (value !== undefined) return;
  } else if (!Array.isArray(value)) {
    const keys = Object.keys(value);
    const tag = keys[0];
    const known = tag === "integer" || tag === "base64" || tag === "real";
    if (
      keys.length === 1 && known && typeof (value as Record<string, unknown>)[tag] === "string"
    ) return;
  }
  throw wrongType(
    placeOf(path, key),
    value,
    'null, a boolean, a number, a string, {"integer":"…"}, {"real":"…"} or {"base64":"…"}',
  );
}

function placeOf(path: string, key: string | number): string {
  return typeof key === "number" ? `${path}[${key}]` : within(path, key);
}

/** Half of a surrogate pair: SQLite would get another character than the one that was sent. */
function notUnicode(path: string): Failure {
  return new Failure("invalid", `${path} is not Unicode: it holds half of a surrogate pair`);
}

function asObject(value: unknown, path: string): Readonly<Record<string, unknown>> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Readonly<Record<string, unknown>>;
  }
  throw wrongType(path === "" ? "the body" : path, value, "an object");
}

function within(path: string, key: string): string {
  return path === "" ? key : `${path}.${key}`;
}

function unknownKey(path: string, key: string, allowed: string): Failure {
  return new Failure("invalid", `${within(path, key)} is unknown; allowed: ${allowed}`);
}

function wrongType(path: string, value: unknown, allowed: string): Failure {
  return new Failure("invalid", `${path} is ${shown(value)}; allowed: ${allowed}`);
}

function tooLarge(message: string): Failure {
  return new Failure("too_large", message);
}
