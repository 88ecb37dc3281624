/** A value as DuckDB's client gives it, as the `LakeValue` that it is. */
import {
  DuckDBBlobValue,
  DuckDBDateValue,
  DuckDBDecimalValue,
  DuckDBListValue,
  DuckDBMapValue,
  DuckDBStructValue,
  DuckDBTimestampMillisecondsValue,
  DuckDBTimestampNanosecondsValue,
  DuckDBTimestampSecondsValue,
  DuckDBTimestampTZValue,
  DuckDBTimestampValue,
  DuckDBTimeValue,
  DuckDBUUIDValue,
  type DuckDBValue,
} from "@duckdb/node-api";
import type { Column } from "../../src/lake/column.ts";
import type { LakeValue } from "../../src/lake/rows.ts";

export function lakeValue(value: DuckDBValue, column: Column): LakeValue {
  const [first, second] = column.children;
  if (value instanceof DuckDBListValue && first) {
    return value.items.map((item) => lakeValue(item, first));
  }
  if (value instanceof DuckDBStructValue) {
    return column.children.map((child) => lakeValue(value.entries[child.name] ?? null, child));
  }
  if (value instanceof DuckDBMapValue && first && second) {
    return value.entries.map((
      entry,
    ) => [lakeValue(entry.key, first), lakeValue(entry.value, second)]);
  }
  if (value instanceof DuckDBBlobValue) return new Uint8Array(value.bytes);
  if (value instanceof DuckDBDateValue) return value.days;
  if (value instanceof DuckDBDecimalValue) return value.value;
  if (value instanceof DuckDBTimeValue) return value.micros;
  if (value instanceof DuckDBTimestampSecondsValue) return value.seconds;
  if (value instanceof DuckDBTimestampMillisecondsValue) return value.millis;
  if (value instanceof DuckDBTimestampNanosecondsValue) return value.nanos;
  if (value instanceof DuckDBTimestampTZValue || value instanceof DuckDBTimestampValue) {
    return value.micros;
  }
  if (value instanceof DuckDBUUIDValue) return value.toString();
  if (typeof value === "bigint") {
    return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER
      ? Number(value)
      : value;
  }
  if (value === null || typeof value !== "object") return value;
  throw new Error(`no value of a lake: ${value}`);
}
