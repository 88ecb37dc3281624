/**
 * Values that are texts in CSV and strings in JSON alike: read exactly, or refused.
 * How each type may be written in JSON and in CSV stands in json-values.ts.
 */
import type { Column, PlainType } from "../column.ts";
import type { LakeValue } from "../rows.ts";
import { decimalOf, INTEGER_RANGES, integerOf, isIntegerType } from "./digits.ts";
import { dateOf, type SecondDigits, timeOf, timestampOf } from "./moments.ts";

/** Null where the text is none of the type's values: no type has a text that means NULL. */
export type TextReader = (text: string) => LakeValue;

export interface TextValues {
  readonly read: TextReader;
  /** What is allowed, for messages. */
  readonly allowed: string;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const FLOAT = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/;
const SPECIAL_FLOATS: ReadonlyMap<string, number> = new Map([
  ["NaN", NaN],
  ["Infinity", Infinity],
  ["-Infinity", -Infinity],
]);

const TIMESTAMP = "a timestamp like 2024-05-06T07:08:09";
const PLAIN: Readonly<Partial<Record<PlainType, TextValues>>> = {
  boolean: { read: booleanOf, allowed: "true or false" },
  date: { read: dateOf, allowed: "a date like 2024-05-06" },
  time: { read: timeOf, allowed: "a time like 07:08:09 or 07:08:09.123456" },
  timestamp_s: timestamp(0, `${TIMESTAMP}, whole seconds, without an offset`),
  timestamp_ms: timestamp(3, `${TIMESTAMP}.123, without an offset`),
  timestamp: timestamp(6, `${TIMESTAMP}.123456, without an offset`),
  timestamp_ns: timestamp(
    9,
    `${TIMESTAMP}.123456789, from 1677-09-21 to 2262-04-11, without an offset`,
  ),
  timestamptz: {
    read: (text) => timestampOf(text, 6, true),
    allowed: `${TIMESTAMP}.123456Z or with an offset like +02:00`,
  },
  varchar: { read: varcharOf, allowed: "a string of Unicode text" },
  uuid: {
    read: (text) => UUID.test(text) ? text.toLowerCase() : null,
    allowed: "a UUID like 0190b3c5-5f2e-7cc2-8f3a-1f6d2b9a7c41",
  },
  blob: { read: blobOf, allowed: "base64" },
};

/** Null for types whose texts are JSON: `json` and the nested ones. */
export function textValuesOf(column: Column): TextValues | null {
  const { type } = column;
  if (type.name === "decimal") {
    const { precision, scale } = type;
    return {
      read: (text) => decimalOf(text, precision, scale),
      allowed: `a decimal of at most ${
        precision - scale
      } digits before and ${scale} after the point`,
    };
  }
  if (isIntegerType(type.name)) {
    const range = INTEGER_RANGES[type.name];
    return {
      read: (text) => integerOf(text, range),
      allowed: `an integer from ${range.min} to ${range.max}`,
    };
  }
  if (type.name === "float32" || type.name === "float64") {
    const read = type.name === "float32" ? float32Of : float64Of;
    return { read, allowed: `a number within ${type.name}, or NaN, Infinity, -Infinity` };
  }
  return PLAIN[type.name as PlainType] ?? null;
}

/** The nearest 32-bit float, or null beyond the largest. */
export function float32(value: number): number | null {
  const nearest = Math.fround(value);
  return Number.isFinite(nearest) || !Number.isFinite(value) ? nearest : null;
}

export function specialFloat(text: string): number | null {
  return SPECIAL_FLOATS.get(text) ?? null;
}

export function float64Of(text: string): number | null {
  const special = specialFloat(text);
  if (special !== null) return special;
  const value = FLOAT.test(text) ? Number(text) : NaN;
  return Number.isFinite(value) ? value : null;
}

function float32Of(text: string): number | null {
  const value = float64Of(text);
  return value === null ? null : float32(value);
}

function booleanOf(text: string): boolean | null {
  const lower = text.length <= 5 ? text.toLowerCase() : text;
  return lower === "true" ? true : lower === "false" ? false : null;
}

/** Half of a surrogate pair is no Unicode text and has no UTF-8. */
function varcharOf(text: string): string | null {
  return text.isWellFormed() ? text : null;
}

export function blobOf(text: string): Uint8Array | null {
  try {
    return Uint8Array.fromBase64(text);
  } catch {
    return null;
  }
}

function timestamp(digits: SecondDigits, allowed: string): TextValues {
  return { read: (text) => timestampOf(text, digits, false), allowed };
}
