/**
 * Values in a catalog: what the columns of an inlined table hold, and the text of statistics
 * (DuckLake 1.0, "Data Types": "Type Encoding for Statistics", "SQLite Catalog"). Both directions
 * are exact.
 */
import { assert } from "../../base/assert.ts";
import { STATISTIC_CHARACTERS_MAX } from "../../base/lake-limits.ts";
import type { Column, ColumnType } from "../column.ts";
import type { LakeValue } from "../rows.ts";
import { blobText, parseBlob } from "./blob-text.ts";
import { nestedText, parseNested } from "./nested-text.ts";
import { decimalText, parseDecimal, parseInteger, parseReal, realText } from "./number-text.ts";
import {
  dateText,
  parseDate,
  parseTime,
  parseTimestamp,
  timestampText,
  timeText,
} from "./time-text.ts";

/** How SQLite keeps a column of this type in an inlined table. */
export type Storage = "BIGINT" | "BLOB" | "VARCHAR";

const SMALL_INTEGERS = new Set(["int8", "int16", "int32", "uint8", "uint16", "uint32"]);

const UNITS_A_SECOND: Readonly<Record<string, bigint>> = {
  timestamp: 1_000_000n,
  timestamptz: 1_000_000n,
  timestamp_s: 1n,
  timestamp_ms: 1_000n,
  timestamp_ns: 1_000_000_000n,
};

export function storageOf(type: ColumnType): Storage {
  if (type.name === "blob") return "BLOB";
  const isInteger = type.name === "boolean" || type.name === "int64" ||
    SMALL_INTEGERS.has(type.name);
  return isInteger ? "BIGINT" : "VARCHAR";
}

/** The text of a value that is not null, of a column that may have children. */
export function valueText(value: Exclude<LakeValue, null>, column: Column): string {
  return isNested(column) ? nestedText(value, column, plainText) : plainText(value, column.type);
}

/** The value of what `valueText` or DuckDB wrote. Throws `corrupt`. */
export function parseValue(text: string, column: Column): LakeValue {
  return isNested(column) ? parseNested(text, column, parsePlain) : parsePlain(text, column.type);
}

/**
 * The text of a smallest or largest value; null for none and for types without such statistics. A
 * smallest value that is too long is cut, which leaves it a lower bound; a largest one is left out.
 */
export function statisticText(
  value: LakeValue,
  type: ColumnType,
  which: "min" | "max",
): string | null {
  if (value === null || type.name === "int128") return null;
  if (type.name === "boolean") return value === true ? "1" : "0";
  const text = value instanceof Uint8Array ? hexText(value) : plainText(value, type);
  if (text.length <= STATISTIC_CHARACTERS_MAX) return text;
  if (which === "max") return null;
  // A surrogate without its other half would be replaced by a larger character.
  return text.slice(0, STATISTIC_CHARACTERS_MAX).replace(/[\ud800-\udbff]$/, "");
}

/** Throws `corrupt`. */
export function parseStatistic(text: string, type: ColumnType): LakeValue {
  if (type.name !== "blob" || !/^(?:[0-9A-F]{2})*$/.test(text)) return parsePlain(text, type);
  return Uint8Array.fromHex(text);
}

export function hexText(bytes: Uint8Array): string {
  return bytes.toHex().toUpperCase();
}

function isNested({ type }: Column): boolean {
  return type.name === "list" || type.name === "struct" || type.name === "map";
}

function plainText(value: Exclude<LakeValue, null>, type: ColumnType): string {
  switch (typeof value) {
    case "string":
      return value.toWellFormed();
    case "boolean":
      return value ? "true" : "false";
    case "number":
      if (type.name === "date") return dateText(value);
      if (type.name === "float32" || type.name === "float64") {
        return realText(value, type.name === "float32");
      }
      return countText(BigInt(value), type);
    case "bigint":
      return countText(value, type);
    default:
      assert(value instanceof Uint8Array, `a value of ${type.name} has no children`);
      return blobText(value);
  }
}

/** Whole numbers of any unit. */
function countText(value: bigint, type: ColumnType): string {
  if (type.name === "decimal") return decimalText(value, type.scale);
  if (type.name === "time") return timeText(value);
  const units = UNITS_A_SECOND[type.name];
  return units === undefined
    ? `${value}`
    : timestampText(value, units, type.name === "timestamptz");
}

function parsePlain(text: string, type: ColumnType): Exclude<LakeValue, null> {
  switch (type.name) {
    case "varchar":
    case "json":
      return text;
    case "uuid":
      return text.toLowerCase();
    case "boolean":
      return text === "true" || text === "1";
    case "float32":
    case "float64":
      return parseReal(text, type.name === "float32");
    case "decimal":
      return parseDecimal(text, type.scale);
    case "date":
      return parseDate(text);
    case "time":
      return parseTime(text);
    case "blob":
      return parseBlob(text);
    default: {
      const units = UNITS_A_SECOND[type.name];
      return units === undefined
        ? integerValue(parseInteger(text), type)
        : parseTimestamp(text, units);
    }
  }
}

/** An integer in the form that `LakeValue` asks for. */
export function integerValue(value: bigint, type: ColumnType): number | bigint | boolean {
  if (type.name === "boolean") return value !== 0n;
  const isSafe = value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER;
  return isSafe ? Number(value) : value;
}
