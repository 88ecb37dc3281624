/**
 * Arrow's columns without children, built from values: Arrow's own builders take times as
 * milliseconds and would round them. What Arrow has no type for in common with other readers (UUID,
 * INTERVAL, BIT, ENUM, UNION, …) goes as text, as JSON where it has children.
 */
import {
  type DuckDBBlobValue,
  type DuckDBDateValue,
  type DuckDBTimestampMillisecondsValue,
  type DuckDBTimestampNanosecondsValue,
  type DuckDBTimestampSecondsValue,
  type DuckDBTimestampValue,
  type DuckDBTimeValue,
  type DuckDBType,
  DuckDBTypeId,
  type DuckDBValue,
} from "@duckdb/node-api";
import * as arrow from "apache-arrow";
import { jsonEncoder } from "./json-value.ts";
import { scalarText } from "./scalar-text.ts";

export interface ArrowColumn {
  readonly type: arrow.DataType;
  data(values: readonly DuckDBValue[]): arrow.Data;
}

/** Null for a type with children or parameters, and for one that goes as text. */
export type FlatColumns = (type: DuckDBType) => ArrowColumn | null;

export function flatColumn(type: DuckDBType): ArrowColumn | null {
  return FLAT.get(type.typeId) ?? null;
}

/** Bits that say which values there are (Arrow, "Columnar format", validity bitmaps). */
export function validity(values: readonly DuckDBValue[]) {
  const nullBitmap = new Uint8Array((values.length + 7) >> 3);
  let nullCount = 0;
  for (let row = 0; row < values.length; row++) {
    if (isNull(values[row])) nullCount++;
    else nullBitmap[row >> 3] = (nullBitmap[row >> 3] ?? 0) | (1 << (row & 7));
  }
  return { length: values.length, nullCount, nullBitmap };
}

export function isNull(value: DuckDBValue | undefined): value is null | undefined {
  return value === null || value === undefined;
}

type Numbers =
  | arrow.Int8
  | arrow.Int16
  | arrow.Int32
  | arrow.Uint8
  | arrow.Uint16
  | arrow.Uint32
  | arrow.Float32
  | arrow.Float64
  | arrow.DateDay;
type Bigints =
  | arrow.Int64
  | arrow.Uint64
  | arrow.TimeMicrosecond
  | arrow.TimestampSecond
  | arrow.TimestampMillisecond
  | arrow.TimestampMicrosecond
  | arrow.TimestampNanosecond;

function numbers(
  type: Numbers,
  of: (value: DuckDBValue) => number = (value) => value as number,
): ArrowColumn {
  return {
    type,
    data: (values) => {
      const data = new type.ArrayType(values.length);
      for (let row = 0; row < values.length; row++) {
        const value = values[row];
        if (!isNull(value)) (data as { [row: number]: number })[row] = of(value);
      }
      return arrow.makeData({
        type: type as arrow.Int32,
        ...validity(values),
        data: data as Int32Array,
      });
    },
  };
}

export function bigintColumn(
  type: Bigints,
  of: (value: DuckDBValue) => bigint = (value) => value as bigint,
): ArrowColumn {
  const isUnsigned = type instanceof arrow.Uint64;
  return {
    type,
    data: (values) => {
      const data = new (isUnsigned ? BigUint64Array : BigInt64Array)(values.length);
      for (let row = 0; row < values.length; row++) {
        const value = values[row];
        if (!isNull(value)) data[row] = of(value);
      }
      return arrow.makeData({
        type: type as arrow.Int64,
        ...validity(values),
        data: data as BigInt64Array,
      });
    },
  };
}

function booleans(): ArrowColumn {
  const type = new arrow.Bool();
  return {
    type,
    data: (values) => {
      const data = new Uint8Array((values.length + 7) >> 3);
      for (let row = 0; row < values.length; row++) {
        if (values[row] === true) data[row >> 3] = (data[row >> 3] ?? 0) | (1 << (row & 7));
      }
      return arrow.makeData({ type, ...validity(values), data });
    },
  };
}

/** 128 bits, the lowest word first. */
export function decimalColumn(
  precision: number,
  scale: number,
  of: (value: DuckDBValue) => bigint,
): ArrowColumn {
  const type = new arrow.Decimal(scale, precision, 128);
  return {
    type,
    data: (values) => {
      const words = new BigInt64Array(values.length * 2);
      for (let row = 0; row < values.length; row++) {
        const value = values[row];
        if (isNull(value)) continue;
        const unscaled = of(value);
        words[row * 2] = BigInt.asIntN(64, unscaled);
        words[row * 2 + 1] = unscaled >> 64n;
      }
      return arrow.makeData({ type, ...validity(values), data: new Uint32Array(words.buffer) });
    },
  };
}

export function textColumn(duckdbType: DuckDBType): ArrowColumn {
  const type = new arrow.Utf8();
  const hasJson = duckdbType.typeId === DuckDBTypeId.UNION ||
    duckdbType.typeId === DuckDBTypeId.VARIANT;
  const text = hasJson ? jsonEncoder(duckdbType) : scalarText;
  return {
    type,
    data: (values) => {
      const { valueOffsets, data } = joinedTexts(values, text);
      return arrow.makeData({ type, ...validity(values), valueOffsets, data });
    },
  };
}

function blobColumn(): ArrowColumn {
  const type = new arrow.Binary();
  return {
    type,
    data: (values) => {
      const { valueOffsets, data } = joined(values, (value) => (value as DuckDBBlobValue).bytes);
      return arrow.makeData({ type, ...validity(values), valueOffsets, data });
    },
  };
}

/** Into one buffer, which grows: an array of bytes a value would take many times the text. */
function joinedTexts(values: readonly DuckDBValue[], of: (value: DuckDBValue) => string) {
  const valueOffsets = new Int32Array(values.length + 1);
  let data = Buffer.allocUnsafeSlow(values.length * TEXT_BYTES);
  let bytes = 0;
  for (let row = 0; row < values.length; row++) {
    const value = values[row];
    if (!isNull(value)) {
      const text = of(value);
      const bytesMax = text.length * UTF8_BYTES_MAX;
      if (bytes + bytesMax > data.length) data = grown(data, bytes, bytes + bytesMax);
      bytes += data.write(text, bytes);
    }
    valueOffsets[row + 1] = bytes;
  }
  return { valueOffsets, data: new Uint8Array(data.subarray(0, bytes)) };
}

/** Of a text, to begin with; and of one UTF-16 unit at most. */
const TEXT_BYTES = 16;
const UTF8_BYTES_MAX = 3;

function grown(data: Buffer, used: number, bytesMin: number): Buffer<ArrayBuffer> {
  const larger = Buffer.allocUnsafeSlow(Math.max(2 * data.length, bytesMin));
  larger.set(data.subarray(0, used));
  return larger;
}

function joined(values: readonly DuckDBValue[], of: (value: DuckDBValue) => Uint8Array) {
  const valueOffsets = new Int32Array(values.length + 1);
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for (let row = 0; row < values.length; row++) {
    const value = values[row];
    if (!isNull(value)) {
      const part = of(value);
      parts.push(part);
      bytes += part.length;
    }
    valueOffsets[row + 1] = bytes;
  }
  return { valueOffsets, data: Buffer.concat(parts, bytes) };
}

const FLAT: ReadonlyMap<DuckDBTypeId, ArrowColumn> = new Map([
  [DuckDBTypeId.BOOLEAN, booleans()],
  [DuckDBTypeId.TINYINT, numbers(new arrow.Int8())],
  [DuckDBTypeId.SMALLINT, numbers(new arrow.Int16())],
  [DuckDBTypeId.INTEGER, numbers(new arrow.Int32())],
  [DuckDBTypeId.BIGINT, bigintColumn(new arrow.Int64())],
  [DuckDBTypeId.UTINYINT, numbers(new arrow.Uint8())],
  [DuckDBTypeId.USMALLINT, numbers(new arrow.Uint16())],
  [DuckDBTypeId.UINTEGER, numbers(new arrow.Uint32())],
  [DuckDBTypeId.UBIGINT, bigintColumn(new arrow.Uint64())],
  // As DuckDB itself hands it to Arrow; values beyond 38 digits keep all their bits.
  [DuckDBTypeId.HUGEINT, decimalColumn(38, 0, (value) => value as bigint)],
  [DuckDBTypeId.FLOAT, numbers(new arrow.Float32())],
  [DuckDBTypeId.DOUBLE, numbers(new arrow.Float64())],
  [DuckDBTypeId.DATE, numbers(new arrow.DateDay(), (value) => (value as DuckDBDateValue).days)],
  [
    DuckDBTypeId.TIME,
    bigintColumn(new arrow.TimeMicrosecond(), (value) => (value as DuckDBTimeValue).micros),
  ],
  [
    DuckDBTypeId.TIMESTAMP,
    bigintColumn(
      new arrow.TimestampMicrosecond(),
      (value) => (value as DuckDBTimestampValue).micros,
    ),
  ],
  [
    DuckDBTypeId.TIMESTAMP_TZ,
    bigintColumn(
      new arrow.TimestampMicrosecond("UTC"),
      (value) => (value as DuckDBTimestampValue).micros,
    ),
  ],
  [
    DuckDBTypeId.TIMESTAMP_S,
    bigintColumn(
      new arrow.TimestampSecond(),
      (value) => (value as DuckDBTimestampSecondsValue).seconds,
    ),
  ],
  [
    DuckDBTypeId.TIMESTAMP_MS,
    bigintColumn(
      new arrow.TimestampMillisecond(),
      (value) => (value as DuckDBTimestampMillisecondsValue).millis,
    ),
  ],
  [
    DuckDBTypeId.TIMESTAMP_NS,
    bigintColumn(
      new arrow.TimestampNanosecond(),
      (value) => (value as DuckDBTimestampNanosecondsValue).nanos,
    ),
  ],
  [DuckDBTypeId.BLOB, blobColumn()],
]);
