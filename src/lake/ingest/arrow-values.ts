/** The values of sound Arrow columns, as rows have them, widened to their column's type. */
import { type Data, DataType, util } from "apache-arrow";
import { assert } from "../../base/assert.ts";
import type { Column } from "../column.ts";
import type { LakeValue } from "../rows.ts";
import { childFields } from "./arrow-types.ts";
import { decimalAt } from "./arrow-sound.ts";
import { integerValue } from "./digits.ts";
import { parseExactly } from "./exact-json.ts";
import { jsonReader } from "./json-values.ts";
import { Misfit, misfit } from "./misfit.ts";
import { textValuesOf } from "./text-values.ts";

/** The value at an index. Throws a misfit. */
export type ArrowReader = (index: number) => LakeValue;

const UNITS = [1n, 1_000n, 1_000_000n, 1_000_000_000n] as const;
const INT64 = { min: -(2n ** 63n), max: 2n ** 63n - 1n };

/** The reader of a column whose type fits (`fitOf`) and whose buffers are sound (`checkSound`). */
export function arrowReader(
  column: Column,
  data: Data | undefined,
  path = column.name,
): ArrowReader {
  const absent = data === undefined || DataType.isNull(data.type);
  const read = absent ? () => null : valueReader(column, data, path);
  if (column.nullable && (absent || data.nullCount === 0)) return read;
  const isNull = (index: number) => absent || !data.getValid(index);
  if (column.nullable) return (index) => isNull(index) ? null : read(index);
  return (index) => {
    if (!isNull(index)) return read(index);
    throw new Misfit(path, `column ${JSON.stringify(path)} is null and must have a value`);
  };
}

function valueReader(column: Column, data: Data, path: string): ArrowReader {
  const { type } = data;
  if (DataType.isDictionary(type)) return dictionaryReader(column, data, path);
  if (DataType.isStruct(type)) return structReader(column, data, path);
  if (DataType.isMap(type)) return mapReader(column, data, path);
  if (DataType.isList(type) || DataType.isFixedSizeList(type)) {
    return listReader(column, data, path);
  }
  if (DataType.isUtf8(type) || DataType.isLargeUtf8(type)) return textReader(column, data, path);
  return plainReader(column, data, path);
}

function dictionaryReader(column: Column, data: Data, path: string): ArrowReader {
  const indexes = data.values as unknown as Int32Array | BigInt64Array;
  const chunks = data.dictionary?.data ?? [];
  const readers = chunks.map((chunk) => arrowReader(column, chunk, path));
  return (index) => {
    let entry = Number(indexes[index] ?? 0);
    for (const [at, chunk] of chunks.entries()) {
      if (entry < chunk.length) return readers[at]?.(entry) ?? null;
      entry -= chunk.length;
    }
    return null;
  };
}

function structReader(column: Column, data: Data, path: string): ArrowReader {
  const fields = childFields(data.type);
  const readers = column.children.map((child) => {
    const at = fields.findIndex(({ name }) => name === child.name);
    return arrowReader(child, data.children[at], `${path}.${child.name}`);
  });
  return (index) => readers.map((read) => read(index));
}

function listReader(column: Column, data: Data, path: string): ArrowReader {
  const [element] = column.children;
  assert(element !== undefined, `list ${path} has an element`);
  const read = arrowReader(element, data.children[0], `${path}.${element.name}`);
  const range = rangeOf(data);
  return (index) => {
    const [from, to] = range(index);
    return Array.from({ length: to - from }, (_, at) => read(from + at));
  };
}

function mapReader(column: Column, data: Data, path: string): ArrowReader {
  const [entries] = data.children;
  const readers = column.children.map((child, at) =>
    arrowReader(child, entries?.children[at], `${path}.${child.name}`)
  );
  const range = rangeOf(data);
  return (index) => {
    const [from, to] = range(index);
    return Array.from({ length: to - from }, (_, at) => readers.map((read) => read(from + at)));
  };
}

function rangeOf({ type, valueOffsets }: Data): (index: number) => readonly [number, number] {
  if (DataType.isFixedSizeList(type)) {
    const { listSize } = type;
    return (index) => [index * listSize, (index + 1) * listSize];
  }
  const offsets = valueOffsets as unknown as Int32Array | BigInt64Array;
  return (index) => [Number(offsets[index] ?? 0), Number(offsets[index + 1] ?? 0)];
}

function textReader(column: Column, data: Data, path: string): ArrowReader {
  const bytes = bytesReader(data);
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const text = (index: number) => decoder.decode(bytes(index));
  if (column.type.name === "varchar") return text;
  const { name } = column.type;
  if (name === "json") {
    const read = jsonReader({ ...column, name: path });
    return (index) => read(parseExactly(text(index), path));
  }
  const texts = textValuesOf(column);
  assert(texts !== null, `${name} has texts`);
  return (index) => {
    const found = text(index);
    const value = texts.read(found);
    if (value === null) throw misfit(path, found, texts.allowed);
    return value;
  };
}

function bytesReader(data: Data): (index: number) => Uint8Array {
  const bytes = data.values as unknown as Uint8Array;
  if (DataType.isFixedSizeBinary(data.type)) {
    const width = data.type.byteWidth;
    return (index) => bytes.subarray(index * width, (index + 1) * width);
  }
  const range = rangeOf(data);
  return (index) => bytes.subarray(...range(index));
}

function plainReader(column: Column, data: Data, path: string): ArrowReader {
  const { type } = data;
  const numbers = data.values as unknown as Int32Array | BigInt64Array;
  if (DataType.isBool(type)) {
    const bits = data.values as unknown as Uint8Array;
    return (index) => (((bits[index >> 3] ?? 0) >> (index & 7)) & 1) === 1;
  }
  if (DataType.isInt(type)) {
    return (index) => {
      const value = numbers[index] ?? 0;
      return typeof value === "bigint" ? integerValue(value) : value;
    };
  }
  if (DataType.isFloat(type)) {
    const half = type.precision === 0;
    return (index) => half ? util.uint16ToFloat64(Number(numbers[index])) : numbers[index] ?? 0;
  }
  if (DataType.isDecimal(type)) {
    const scale = column.type.name === "decimal" ? column.type.scale : type.scale;
    const factor = 10n ** BigInt(scale - type.scale);
    const words = data.values as unknown as Uint32Array;
    return (index) => decimalAt(words, index) * factor;
  }
  if (DataType.isDate(type)) {
    return (index) =>
      type.unit === 0 ? Number(numbers[index]) : Number(numbers[index]) / 86_400_000;
  }
  if (DataType.isTime(type)) {
    const factor = 1_000_000n / UNITS[type.unit as 0 | 1 | 2];
    return (index) => BigInt(numbers[index] ?? 0) * factor;
  }
  if (DataType.isTimestamp(type)) {
    return timestampReader(column, numbers as BigInt64Array, UNITS[type.unit], path);
  }
  const bytes = bytesReader(data);
  if (column.type.name !== "uuid") return (index) => bytes(index).slice();
  return (index) => bytes(index).toHex().replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

const UNIT_NAMES: Readonly<Record<string, bigint>> = {
  timestamp_s: UNITS[0],
  timestamp_ms: UNITS[1],
  timestamp_ns: UNITS[3],
};

function timestampReader(
  column: Column,
  values: BigInt64Array,
  unit: bigint,
  path: string,
): ArrowReader {
  const wanted = UNIT_NAMES[column.type.name] ?? UNITS[2];
  if (wanted === unit) return (index) => values[index] ?? 0n;
  return (index) => {
    const value = (values[index] ?? 0n) * wanted;
    const converted = value / unit;
    const exact = converted * unit === value && converted >= INT64.min && converted <= INT64.max;
    if (exact) return converted;
    const found = `${values[index]}/${unit} s`;
    throw misfit(path, found, `a ${column.type.name} that keeps every digit`);
  };
}
