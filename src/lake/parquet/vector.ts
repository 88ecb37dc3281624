/**
 * A column's values as an Arrow vector, its bytes made here: Arrow's own builders take a call a
 * value and are an order of magnitude slower.
 */
import { Data, type DataType, type Field } from "apache-arrow";
import { assert } from "../../base/assert.ts";
import type { Column } from "../column.ts";
import type { LakeValue } from "../rows.ts";
import { arrowField, child } from "./arrow-field.ts";
import {
  booleans,
  decimals,
  floats,
  integersAsFloats,
  mismatch,
  secondsAsMicroseconds,
  signed64,
  smallIntegers,
  unsigned64,
  uuids,
} from "./fixed.ts";
import { blobs, type Pieces, texts } from "./text.ts";

type Values = readonly LakeValue[];

/** What a vector has besides its validity. */
interface Parts {
  readonly offsets?: Int32Array;
  readonly data?: ArrayBufferView;
  readonly children?: readonly Data[];
}

/** Throws `invalid` for a value that Parquet cannot hold (`fixed.ts`). */
export function vector(column: Column, values: Values): Data {
  const { type } = arrowField(column);
  return data(type, values.length, validity(values), parts(column, type, values));
}

interface Validity {
  /** One bit a value, the lowest first; undefined where there is no null. */
  readonly bits: Uint8Array | undefined;
  readonly nulls: number;
}

const NO_NULLS: Validity = { bits: undefined, nulls: 0 };

function validity(values: Values): Validity {
  const first = values.indexOf(null);
  if (first < 0) return NO_NULLS;
  const bits = new Uint8Array((values.length + 7) >> 3).fill(255);
  let nulls = 0;
  for (let index = first; index < values.length; index++) {
    if (values[index] !== null) continue;
    nulls += 1;
    bits[index >> 3] = (bits[index >> 3] ?? 0) & ~(1 << (index & 7));
  }
  return { bits, nulls };
}

function data(type: DataType, length: number, validity: Validity, parts: Parts): Data {
  const { bits, nulls } = validity;
  // In the order of Arrow's `BufferType`, whose types ask for all four of every vector.
  const buffers = [parts.offsets, parts.data, bits];
  return new Data(type, 0, length, nulls, buffers as never, [...parts.children ?? []]);
}

function parts(column: Column, type: DataType, values: Values): Parts {
  const rows = values.length;
  switch (column.type.name) {
    case "boolean":
      return { data: booleans(column, values) };
    case "int8":
      return { data: smallIntegers(column, values, new Int8Array(rows)) };
    case "int16":
      return { data: smallIntegers(column, values, new Int16Array(rows)) };
    case "int32":
    case "date":
      return { data: smallIntegers(column, values, new Int32Array(rows)) };
    case "uint8":
      return { data: smallIntegers(column, values, new Uint8Array(rows)) };
    case "uint16":
      return { data: smallIntegers(column, values, new Uint16Array(rows)) };
    case "uint32":
      return { data: smallIntegers(column, values, new Uint32Array(rows)) };
    case "float32":
      return { data: floats(column, values, new Float32Array(rows)) };
    case "float64":
      return { data: floats(column, values, new Float64Array(rows)) };
    case "int128":
      return { data: integersAsFloats(column, values) };
    case "uint64":
      return { data: unsigned64(column, values) };
    case "int64":
    case "time":
    case "timestamp":
    case "timestamp_ms":
    case "timestamp_ns":
    case "timestamptz":
      return { data: signed64(column, values) };
    case "timestamp_s":
      return { data: secondsAsMicroseconds(column, values) };
    case "decimal":
      return { data: words(decimals(column, values, column.type.precision)) };
    case "uuid":
      return { data: uuids(column, values) };
    case "varchar":
    case "json":
      return pieces(texts(column, values));
    case "blob":
      return pieces(blobs(column, values));
    case "list":
      return list(column, values);
    case "struct":
      return { children: fields(column, column.children, values) };
    case "map":
      return map(column, type, values);
  }
}

function words(array: BigInt64Array): Uint32Array {
  return new Uint32Array(array.buffer);
}

function pieces({ data, offsets }: Pieces): Parts {
  return { data, offsets };
}

function list(column: Column, values: Values): Parts {
  const { offsets, elements } = flatten(column, values);
  return { offsets, children: [vector(child(column, 0), elements)] };
}

function map(column: Column, type: DataType, values: Values): Parts {
  const { offsets, elements } = flatten(column, values);
  const children = fields(column, column.children, elements);
  // Neither a pair nor its key may be null.
  if (elements.includes(null) || children[0]?.nullCount !== 0) mismatch(column, null);
  const entries: Field | undefined = type.children[0];
  assert(entries !== undefined, "a map has entries");
  const pairs = data(entries.type, elements.length, NO_NULLS, { children });
  return { offsets, children: [pairs] };
}

function flatten(column: Column, values: Values): {
  readonly offsets: Int32Array;
  readonly elements: readonly LakeValue[];
} {
  const offsets = new Int32Array(values.length + 1);
  const elements: LakeValue[] = [];
  for (let index = 0; index < values.length; index++) {
    const value = values[index];
    if (isList(value)) { for (const element of value) elements.push(element); }
    else if (value !== null) mismatch(column, value);
    offsets[index + 1] = elements.length;
  }
  return { offsets, elements };
}

/** A list of values a field; where the struct is null, so are its fields. */
function fields(column: Column, children: readonly Column[], values: Values): readonly Data[] {
  const vectors: LakeValue[][] = children.map(() => []);
  for (const value of values) {
    if (value !== null && (!isList(value) || value.length !== children.length)) {
      mismatch(column, value);
    }
    for (const [index, vector] of vectors.entries()) {
      vector.push(value === null ? null : value[index] ?? null);
    }
  }
  return children.map((child, index) => vector(child, vectors[index] ?? []));
}

function isList(value: LakeValue | undefined): value is readonly LakeValue[] {
  return Array.isArray(value);
}
