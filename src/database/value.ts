/**
 * Values between JSON and SQLite, exactly: 64-bit integers, reals that stay reals, blobs. Databases
 * are opened with `safeIntegers`, so an INTEGER comes as bigint and a REAL as number.
 */
import { Failure } from "../base/failure.ts";
import type { JsonValue } from "./statement.ts";

/** What bun:sqlite takes and gives. */
export type SqlValue = null | string | bigint | number | boolean | Uint8Array;

const INTEGER_MIN = -(2n ** 63n);
const INTEGER_MAX = 2n ** 63n - 1n;
const SAFE_MAX = BigInt(Number.MAX_SAFE_INTEGER);
const REAL = /^-?(?:Infinity|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)$/;

/**
 * What to bind for a JSON value: whole numbers as INTEGER, others as REAL, booleans as 0 and 1. A
 * whole `{real}` does not come here (`isWholeReal`): no JavaScript value binds it.
 * Throws `invalid` naming the parameter for what is no value.
 */
export function sqlValue(value: JsonValue, name: string): SqlValue {
  switch (typeof value) {
    case "number":
      return numberValue(value, name);
    case "string":
    case "boolean":
      return value;
    case "object":
      return value === null ? null : taggedValue(value, name);
    default:
      throw wrong(name, `it is ${typeof value}`);
  }
}

/** True for `{real}` with a whole value within ±(2^53 − 1), "1.0" for one. */
export function isWholeReal(value: JsonValue): value is { readonly real: string } {
  if (typeof value !== "object" || value === null || !("real" in value)) return false;
  if (Object.keys(value).length !== 1 || !REAL.test(value.real)) return false;
  const real = Number(value.real);
  return Number.isSafeInteger(real) && !Object.is(real, -0);
}

function numberValue(value: number, name: string): SqlValue {
  // Int32 is the common case; bun:sqlite binds it as INTEGER, larger ones only up to 2^51.
  if ((value | 0) === value) return value;
  if (Number.isSafeInteger(value)) return BigInt(value);
  if (Number.isInteger(value) && Math.abs(value) <= 2 ** 63) {
    // JSON has already lost its last digits: an id sent like this would be another one.
    throw wrong(name, `${value} is beyond 2^53; write {"integer":"…"} or {"real":"…"}`);
  }
  return value;
}

function taggedValue(value: object, name: string): SqlValue {
  const keys = Object.keys(value);
  if (keys.length === 1) {
    if ("integer" in value) return integerValue(value.integer, name);
    if ("base64" in value) return blobValue(value.base64, name);
    if ("real" in value) return realValue(value.real, name);
  }
  const found = Array.isArray(value) ? "a list" : `an object with the keys ${keys.join(", ")}`;
  throw wrong(name, `it is ${found}; allowed: {"integer"}, {"real"} or {"base64"}`);
}

function integerValue(text: unknown, name: string): bigint {
  if (typeof text === "string" && /^-?\d{1,19}$/.test(text)) {
    const value = BigInt(text);
    if (value >= INTEGER_MIN && value <= INTEGER_MAX) return value;
  }
  throw wrong(
    name,
    `the integer is ${shown(text)}; allowed: a string of digits, from -2^63 to 2^63-1`,
  );
}

function realValue(text: unknown, name: string): number {
  if (typeof text === "string" && REAL.test(text)) return Number(text);
  throw wrong(
    name,
    `the real is ${shown(text)}; allowed: a string like "1.5", "1e300", "-Infinity"`,
  );
}

function blobValue(text: unknown, name: string): Uint8Array {
  if (typeof text !== "string") throw wrong(name, `the base64 is ${shown(text)}, not a string`);
  try {
    return Uint8Array.fromBase64(text);
  } catch (cause) {
    throw wrong(name, "it is not base64", cause);
  }
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}

function wrong(name: string, reason: string, cause?: unknown): Failure {
  return new Failure("invalid", `Cannot bind ${name}: ${reason}`, { cause });
}

/** One row of a result as a JSON list. */
export function encodeRow(values: readonly SqlValue[]): string {
  let text = "[";
  for (let index = 0; index < values.length; index++) {
    if (index > 0) text += ",";
    text += encodeValue(values[index] ?? null);
  }
  return text + "]";
}

/** The names of a result's columns as a JSON list. */
export function encodeColumns(names: readonly string[]): string {
  return JSON.stringify(names);
}

/** One value as JSON: plain where JSON can say it exactly, else `{integer}`, `{real}`, `{base64}`. */
export function encodeValue(value: SqlValue): string {
  switch (typeof value) {
    case "bigint":
      return value <= SAFE_MAX && value >= -SAFE_MAX ? `${value}` : `{"integer":"${value}"}`;
    case "string":
      return JSON.stringify(value);
    case "number":
      return encodeReal(value);
    case "boolean":
      return value ? "1" : "0";
    default:
      return value === null ? "null" : `{"base64":"${value.toBase64()}"}`;
  }
}

/** A whole real keeps a ".0", so that readers that tell 1 from 1.0 still can. */
function encodeReal(value: number): string {
  if (!Number.isFinite(value)) return value > 0 ? '{"real":"Infinity"}' : '{"real":"-Infinity"}';
  if (Object.is(value, -0)) return "-0.0";
  const text = `${value}`;
  return Number.isInteger(value) && !text.includes("e") ? `${text}.0` : text;
}
