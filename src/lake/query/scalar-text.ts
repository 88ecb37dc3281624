/** Values of DuckDB's types that have no children as plain text: what CSV says and JSON quotes. */
import {
  DuckDBDateValue,
  DuckDBTimeNSValue,
  DuckDBTimestampMillisecondsValue,
  DuckDBTimestampNanosecondsValue,
  DuckDBTimestampSecondsValue,
  DuckDBTimestampTZValue,
  DuckDBTimestampValue,
  DuckDBTimeValue,
  type DuckDBValue,
} from "@duckdb/node-api";
import { isoDate, isoTime, isoTimestamp } from "./iso-time.ts";

const MILLI = 1_000n;
const MICRO = 1_000_000n;
const NANO = 1_000_000_000n;

/** Of anything but null, a number, a list, a struct or a map. */
export function scalarText(value: DuckDBValue): string {
  if (value instanceof DuckDBDateValue) return isoDate(value.days);
  if (value instanceof DuckDBTimestampTZValue) return isoTimestamp(value.micros, MICRO, "Z");
  if (value instanceof DuckDBTimestampValue) return isoTimestamp(value.micros, MICRO);
  if (value instanceof DuckDBTimestampSecondsValue) return isoTimestamp(value.seconds, 1n);
  if (value instanceof DuckDBTimestampMillisecondsValue) return isoTimestamp(value.millis, MILLI);
  if (value instanceof DuckDBTimestampNanosecondsValue) return isoTimestamp(value.nanos, NANO);
  if (value instanceof DuckDBTimeValue) return isoTime(value.micros, MICRO);
  if (value instanceof DuckDBTimeNSValue) return isoTime(value.nanos, NANO);
  return String(value);
}

/** The shortest text that is this number again: of a 32-bit float it has at most nine digits. */
export function shortestFloat32(value: number): number {
  // Digits have no place for the sign of zero.
  if (value === 0) return value;
  if (!Number.isFinite(value)) return value;
  for (let digits = 6; digits < 9; digits++) {
    const shorter = Number(value.toPrecision(digits));
    if (Math.fround(shorter) === value) return shorter;
  }
  return Number(value.toPrecision(9));
}
