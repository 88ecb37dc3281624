/**
 * A column as an Arrow field, which decides its type in Parquet: what DuckDB itself writes for the
 * column, except that Arrow has no UUID and no JSON, which `declare.ts` adds to the file. Every
 * field may be null, as in DuckDB's files: whether a column may is the catalog's to say.
 */
import {
  Binary,
  Bool,
  DataType,
  DateDay,
  Decimal,
  Field,
  FixedSizeBinary,
  Float32,
  Float64,
  Int16,
  Int32,
  Int64,
  Int8,
  List,
  Map_,
  Struct,
  TimeMicrosecond,
  TimestampMicrosecond,
  TimestampMillisecond,
  TimestampNanosecond,
  Uint16,
  Uint32,
  Uint64,
  Uint8,
  Utf8,
  util,
} from "apache-arrow";
import { assert } from "../../base/assert.ts";
import type { Column, PlainType } from "../column.ts";

/** Where the Parquet writer looks for a column's `field_id`, in nested columns too. */
export const FIELD_ID = "PARQUET:field_id";

/** The types of columns without children, as vectors on their way into a file have them. */
export const PLAIN_TYPES: Readonly<Record<PlainType, DataType>> = {
  boolean: new Bool(),
  int8: new Int8(),
  int16: new Int16(),
  int32: new Int32(),
  int64: new Int64(),
  // Parquet has no integers of 128 bits. DuckDB writes DOUBLE; so do we, but only what comes back.
  int128: new Float64(),
  uint8: new Uint8(),
  uint16: new Uint16(),
  uint32: new Uint32(),
  uint64: new Uint64(),
  float32: new Float32(),
  float64: new Float64(),
  date: new DateDay(),
  time: new TimeMicrosecond(),
  timestamp: new TimestampMicrosecond(),
  // Parquet has no timestamps in seconds either: DuckDB writes microseconds.
  timestamp_s: new TimestampMicrosecond(),
  timestamp_ms: new TimestampMillisecond(),
  timestamp_ns: new TimestampNanosecond(),
  timestamptz: new TimestampMicrosecond("UTC"),
  varchar: new Utf8(),
  json: new Utf8(),
  uuid: new FixedSizeBinary(16),
  blob: new Binary(),
};

/** The field that a column of an Arrow table must have to be written; also its names and ids. */
export function arrowField(column: Column, nullable = true): Field {
  return new Field(
    column.name,
    arrowType(column),
    nullable,
    new Map([[FIELD_ID, String(column.id)]]),
  );
}

function arrowType(column: Column): DataType {
  const { type } = column;
  switch (type.name) {
    case "decimal":
      return new Decimal(type.scale, type.precision, 128);
    case "list":
      return new List(arrowField(child(column, 0)));
    case "struct":
      assert(column.children.length > 0, `the struct ${column.name} has a field`);
      return new Struct(column.children.map((field) => arrowField(field)));
    case "map": {
      const entry = new Struct([arrowField(child(column, 0), false), arrowField(child(column, 1))]);
      return new Map_(new Field("entries", entry, false));
    }
    default:
      return PLAIN_TYPES[type.name];
  }
}

/** True when values of `type` can be written as they are for `column`; names do not matter. */
export function holds(type: DataType, column: Column): boolean {
  return sameLayout(type, arrowType(column));
}

function sameLayout(found: DataType, wanted: DataType): boolean {
  if (found.typeId !== wanted.typeId) return false;
  // The time zone of a timestamp is how to show it; that it has one is what counts.
  if (DataType.isTimestamp(found) && DataType.isTimestamp(wanted)) {
    return found.unit === wanted.unit && isZoned(found) === isZoned(wanted);
  }
  if (!DataType.isList(wanted) && !DataType.isStruct(wanted) && !DataType.isMap(wanted)) {
    return util.compareTypes(found, wanted);
  }
  const fields: readonly Field[] = found.children ?? [];
  const children: readonly Field[] = wanted.children;
  return fields.length === children.length &&
    fields.every((field, index) => {
      const other = children[index];
      return other !== undefined && sameLayout(field.type, other.type);
    });
}

function isZoned(type: { readonly timezone?: string | null | undefined }): boolean {
  return type.timezone !== undefined && type.timezone !== null && type.timezone !== "";
}

/** The child of a list or a map, which has it by its definition. */
export function child(column: Column, index: number): Column {
  const found = column.children[index];
  assert(found !== undefined, `the ${column.type.name} ${column.name} has child ${index}`);
  return found;
}
