/** A client's parameters as DuckDB's values. Texts become dates and the like where SQL wants those. */
import {
  BIGINT,
  BLOB,
  BOOLEAN,
  DECIMAL,
  DOUBLE,
  DuckDBBlobValue,
  DuckDBDecimalValue,
  type DuckDBPreparedStatement,
  type DuckDBType,
  type DuckDBValue,
  HUGEINT,
  INTEGER,
  SQLNULL,
  VARCHAR,
} from "@duckdb/node-api";
import { Failure } from "../../base/failure.ts";
import { PARAMETERS_MAX } from "../../base/limits.ts";
import { shown } from "../../base/shown.ts";
import type { Parameters } from "../../database/statement.ts";

const INT128_MAX = 2n ** 127n - 1n;
const DECIMAL_DIGITS_MAX = 38;

/** Throws `invalid` for a value that is none, and for parameters that are missing or too many. */
export function bindParameters(statement: DuckDBPreparedStatement, params: Parameters): void {
  const count = statement.parameterCount;
  const names = Array.from({ length: count }, (_, at) => statement.parameterName(at + 1));
  const given = Array.isArray(params) ? params.length : Object.keys(params).length;
  if (given > PARAMETERS_MAX) throw wrong(`${given} parameters`, `at most ${PARAMETERS_MAX}`);
  const byName = Array.isArray(params)
    ? new Map(params.map((value, at): [string, unknown] => [String(at + 1), value]))
    : new Map<string, unknown>(Object.entries(params));
  for (const name of byName.keys()) {
    if (!names.includes(name)) {
      throw wrong(`parameter ${shown(name)}`, "the statement has none of this name");
    }
  }
  for (let at = 0; at < count; at++) {
    const name = names[at] ?? "";
    if (!byName.has(name)) throw wrong(`parameter ${name}`, "it is missing");
    const { value, type } = duckdbValue(byName.get(name), `parameter ${name}`);
    statement.bindValue(at + 1, value, type);
  }
}

interface Bound {
  readonly value: DuckDBValue;
  readonly type: DuckDBType;
}

/** As DESIGN has values in JSON, and `{"decimal"}` as results have it. */
function duckdbValue(value: unknown, name: string): Bound {
  if (value === null) return { value, type: SQLNULL };
  if (typeof value === "string") return { value, type: VARCHAR };
  if (typeof value === "boolean") return { value, type: BOOLEAN };
  if (typeof value === "number") return numberValue(value, name);
  if (typeof value === "object" && value !== undefined && Object.keys(value).length === 1) {
    if ("integer" in value) return integerValue(value.integer, name);
    if ("decimal" in value) return decimalValue(value.decimal, name);
    if ("real" in value) return realValue(value.real, name);
    if ("base64" in value) return blobValue(value.base64, name);
  }
  throw wrong(
    name,
    `${shown(value)} is no value; allowed: {"integer"}, {"decimal"}, {"real"}, {"base64"}`,
  );
}

function numberValue(value: number, name: string): Bound {
  if ((value | 0) === value && !Object.is(value, -0)) return { value, type: INTEGER };
  if (Number.isSafeInteger(value) && !Object.is(value, -0)) {
    return { value: BigInt(value), type: BIGINT };
  }
  if (Number.isInteger(value) && value !== 0 && Math.abs(value) <= 2 ** 64) {
    // JSON has already lost its last digits.
    throw wrong(name, `${value} is beyond 2^53; write {"integer":"…"} or {"real":"…"}`);
  }
  return { value, type: DOUBLE };
}

function integerValue(text: unknown, name: string): Bound {
  if (typeof text === "string" && /^-?\d{1,39}$/.test(text)) {
    const value = BigInt(text);
    if (BigInt.asIntN(64, value) === value) return { value, type: BIGINT };
    if (value <= INT128_MAX && value >= -INT128_MAX - 1n) return { value, type: HUGEINT };
  }
  throw wrong(name, `the integer is ${shown(text)}; allowed: digits, from -2^127 to 2^127-1`);
}

function decimalValue(text: unknown, name: string): Bound {
  const found = typeof text === "string" ? /^(-?)(\d*)(?:\.(\d*))?$/.exec(text) : null;
  const digits = (found?.[2] ?? "") + (found?.[3] ?? "");
  if (!found || digits === "" || digits.length > DECIMAL_DIGITS_MAX) {
    throw wrong(name, `the decimal is ${shown(text)}; allowed: up to 38 digits, as in "-12.50"`);
  }
  const scale = found[3]?.length ?? 0;
  const unscaled = BigInt(digits) * (found[1] === "-" ? -1n : 1n);
  const width = Math.max(digits.length, 1);
  return { value: new DuckDBDecimalValue(unscaled, width, scale), type: DECIMAL(width, scale) };
}

function realValue(text: unknown, name: string): Bound {
  const isReal = typeof text === "string" &&
    /^(?:NaN|-?(?:Infinity|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?))$/.test(text);
  if (!isReal) throw wrong(name, `the real is ${shown(text)}; allowed: a text like "1.5" or "NaN"`);
  return { value: Number(text), type: DOUBLE };
}

function blobValue(text: unknown, name: string): Bound {
  if (typeof text !== "string") throw wrong(name, `the base64 is ${shown(text)}, not a text`);
  try {
    return { value: new DuckDBBlobValue(Uint8Array.fromBase64(text)), type: BLOB };
  } catch (cause) {
    throw wrong(name, "it is not base64", cause);
  }
}

function wrong(name: string, reason: string, cause?: unknown): Failure {
  return new Failure("invalid", `Cannot bind ${name}: ${reason}`, { cause });
}
