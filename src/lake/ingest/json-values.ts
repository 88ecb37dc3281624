/**
 * From a JSON value to the value of a column, exactly or not at all. What is accepted:
 *
 * | type            | in JSON                                        | in CSV                      |
 * |-----------------|------------------------------------------------|-----------------------------|
 * | boolean         | true, false                                    | true, false, in any case    |
 * | int8 … uint64,  | a whole number; for 64 bits and wider also a   | digits                      |
 * | int128          | string of digits; 1.0 and 1e3 are whole, but   |                             |
 * |                 | beyond 2^53 only plain digits are              |                             |
 * | float32, float64| a number, "NaN", "Infinity", "-Infinity"; the  | the same without quotes     |
 * |                 | nearest float is taken                         |                             |
 * | decimal         | a number or a string like "-1.50", "15e-1";    | the same without quotes     |
 * |                 | no digit may be lost                           |                             |
 * | date            | "YYYY-MM-DD"                                   | the same                    |
 * | time            | "HH:MM:SS" with or without a fraction          | the same                    |
 * | timestamp…      | a date, T or a space, a time; no offset        | the same                    |
 * | timestamptz     | the same and Z, ±HH, ±HHMM or ±HH:MM           | the same                    |
 * | varchar         | a string                                       | any text                    |
 * | uuid            | hexadecimal digits in any case, with dashes    | the same                    |
 * | blob            | {"base64":"…"}                                 | base64                      |
 * | json            | any value, kept as compact text; null is NULL  | JSON text, kept the same way|
 * | list            | an array                                       | JSON text                   |
 * | struct          | an object; no other names than its fields      | JSON text                   |
 * | map             | an object, or an array of [key, value]; the    | JSON text                   |
 * |                 | keys of an object are as in CSV; no key twice  |                             |
 *
 * A fraction of a second may have more digits than its type keeps if they are zeros. null, a field
 * that is absent, and an empty CSV field without quotes are NULL.
 */
import { assert } from "../../base/assert.ts";
import type { Column } from "../column.ts";
import type { LakeValue } from "../rows.ts";
import { INTEGER_RANGES, integerOf, isIntegerType, wholeNumberOf } from "./digits.ts";
import { isLongNumber } from "./exact-json.ts";
import { listReader, mapReader, structReader } from "./json-nested.ts";
import { Misfit, misfit } from "./misfit.ts";
import { blobOf, float32, specialFloat, textValuesOf } from "./text-values.ts";

/** Takes undefined for a field that is absent. Throws a misfit. */
export type JsonReader = (value: unknown) => LakeValue;

/** Null where the value is none of the type's: a caller that knows the column says so. */
type ScalarReader = (value: unknown) => LakeValue;

/** Compiles the reader of a column once; `parent` is the dotted path of the column it is in. */
export function jsonReader(column: Column, parent?: string): JsonReader {
  const path = parent === undefined ? column.name : `${parent}.${column.name}`;
  const read = notNullReader(column, path);
  if (column.nullable) return (value) => value === null || value === undefined ? null : read(value);
  return (value) => {
    if (value !== null && value !== undefined) return read(value);
    const found = value === null ? "null" : "missing";
    throw new Misfit(path, `column ${JSON.stringify(path)} is ${found} and must have a value`);
  };
}

function notNullReader(column: Column, path: string): JsonReader {
  switch (column.type.name) {
    case "list":
      return listReader(column, path);
    case "struct":
      return structReader(column, path);
    case "map":
      return mapReader(column, path);
    case "json":
      return (value) => compact(value, path);
    default:
      return scalarReader(column, path);
  }
}

function scalarReader(column: Column, path: string): JsonReader {
  const { read, allowed } = scalarOf(column);
  return (value) => {
    const result = read(value);
    if (result === null) throw misfit(path, value, allowed);
    return result;
  };
}

function scalarOf(column: Column): { readonly read: ScalarReader; readonly allowed: string } {
  const { type } = column;
  const texts = textValuesOf(column);
  assert(texts !== null, `${type.name} is neither json nor nested`);
  const { read: readText, allowed } = texts;
  if (isIntegerType(type.name)) return { read: integerReader(type.name), allowed };
  switch (type.name) {
    case "boolean":
      return { read: (value) => typeof value === "boolean" ? value : null, allowed };
    case "float32":
      return {
        read: (value) => {
          const read = float64(value);
          return read === null ? null : float32(read);
        },
        allowed,
      };
    case "float64":
      return { read: float64, allowed };
    case "decimal":
      return {
        read: (value) => {
          const text = numberText(value);
          return text === null ? null : readText(text);
        },
        allowed,
      };
    case "blob":
      return { read: taggedBlob, allowed: '{"base64":"…"}' };
    default:
      return { read: (value) => typeof value === "string" ? readText(value) : null, allowed };
  }
}

function integerReader(name: keyof typeof INTEGER_RANGES): ScalarReader {
  const range = INTEGER_RANGES[name];
  const min = Number(range.min);
  const max = Number(range.max);
  const wide = name === "int64" || name === "uint64" || name === "int128";
  return (value) => {
    if (typeof value === "number") {
      // Beyond 2^53 a double no longer says which integer was written.
      const fits = Number.isSafeInteger(value) && value >= min && value <= max;
      return fits ? value + 0 : null;
    }
    if (typeof value === "string") return wide ? integerOf(value, range) : null;
    return isLongNumber(value) ? wholeNumberOf(value.rawJSON, range) : null;
  };
}

function float64(value: unknown): number | null {
  if (typeof value === "number") return Number.isFinite(value) ? value : null;
  if (typeof value === "string") return specialFloat(value);
  if (!isLongNumber(value)) return null;
  const nearest = Number(value.rawJSON);
  return Number.isFinite(nearest) ? nearest : null;
}

function numberText(value: unknown): string | null {
  if (typeof value === "string") return value;
  if (typeof value === "number") return String(value);
  return isLongNumber(value) ? value.rawJSON : null;
}

function taggedBlob(value: unknown): Uint8Array | null {
  if (typeof value !== "object" || value === null || !("base64" in value)) return null;
  if (typeof value.base64 !== "string" || Object.keys(value).length !== 1) return null;
  return blobOf(value.base64);
}

function compact(value: unknown, path: string): string {
  try {
    return JSON.stringify(value);
  } catch {
    // JSON.parse does not recurse, so it reads what JSON.stringify cannot write.
    throw new Misfit(path, `column ${JSON.stringify(path)} is nested too deeply`);
  }
}
