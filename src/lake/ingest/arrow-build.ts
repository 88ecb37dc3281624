/** Values as rows have them, as Arrow columns. */
import {
  Data,
  type DataType,
  Decimal,
  Field,
  List,
  Map_,
  Struct,
  TimestampSecond,
} from "apache-arrow";
import { assert } from "../../base/assert.ts";
import type { Column, PlainType } from "../column.ts";
import { PLAIN_TYPES } from "../parquet/arrow-field.ts";
import type { LakeValue } from "../rows.ts";

/** As in files, but for what Parquet has no type for and Arrow has. */
const PLAIN: Readonly<Record<PlainType, DataType>> = {
  ...PLAIN_TYPES,
  // Arrow has no integer of 128 bits; this holds all that come from its 64-bit ones.
  int128: new Decimal(0, 38, 128),
  timestamp_s: new TimestampSecond(),
};

/** What tells a UUID from sixteen other bytes (Arrow, "Canonical Extension Types"). */
const UUID_METADATA = new Map([
  ["ARROW:extension:name", "arrow.uuid"],
  ["ARROW:extension:metadata", ""],
]);

export function arrowField(column: Column): Field {
  const metadata = column.type.name === "uuid" ? UUID_METADATA : undefined;
  return new Field(column.name, arrowType(column), column.nullable, metadata);
}

function arrowType({ type, children }: Column): DataType {
  const fields = children.map(arrowField);
  const [first] = fields;
  switch (type.name) {
    case "decimal":
      return new Decimal(type.scale, type.precision, 128);
    case "struct":
      return new Struct(fields);
    case "list":
      assert(first !== undefined, "a list has an element");
      return new List(first);
    case "map":
      return new Map_(new Field("entries", new Struct(fields), false) as never);
    default:
      return PLAIN[type.name];
  }
}

/** The values of a column, one a row. */
export function arrowData(column: Column, values: readonly LakeValue[]): Data {
  const type = arrowType(column);
  const { nulls, bitmap } = nullsOf(values);
  const make = (offsets: Int32Array | undefined, data: unknown, children: Data[] = []) =>
    new Data(type, 0, values.length, nulls, [offsets, data, bitmap] as never, children);
  switch (column.type.name) {
    case "struct":
      return make(undefined, undefined, fieldData(column.children, values));
    case "list": {
      const { offsets, items } = flattened(values);
      const [element] = column.children;
      assert(element !== undefined, "a list has an element");
      return make(offsets, undefined, [arrowData(element, items)]);
    }
    case "map": {
      const { offsets, items } = flattened(values);
      const [entries] = type.children as readonly Field[];
      assert(entries !== undefined, "a map has entries");
      const children = fieldData(column.children, items);
      return make(offsets, undefined, [
        new Data(entries.type, 0, items.length, 0, [] as never, children),
      ]);
    }
    case "varchar":
    case "json":
    case "blob": {
      const { offsets, bytes } = joinedBytes(values);
      return make(offsets, bytes);
    }
    default:
      return make(undefined, fixedValues(column, values));
  }
}

/** The same buffers under the type, and the names, of a column that they are exactly (`fitOf`). */
export function retyped(column: Column, data: Data): Data {
  const type = arrowType(column);
  const { length, nullCount, values, nullBitmap } = data;
  const isMap = column.type.name === "map";
  const children = isMap
    ? data.children.map((entries) => retyped(entriesOf(column), entries))
    : column.children.map((child, at) => retyped(child, childAt(data, at)));
  // Offsets of 64 bits lead no farther than a message is long.
  const offsets = data.valueOffsets as unknown as Int32Array | BigInt64Array | undefined;
  const narrow = offsets instanceof BigInt64Array ? Int32Array.from(offsets, Number) : offsets;
  return new Data(type, 0, length, nullCount, [narrow, values, nullBitmap] as never, children);
}

function childAt(data: Data, at: number): Data {
  const child = data.children[at];
  assert(child !== undefined, `there is a child ${at}`);
  return child;
}

function entriesOf({ id, children }: Column): Column {
  return { id, name: "entries", type: { name: "struct" }, nullable: false, children };
}

function nullsOf(values: readonly LakeValue[]) {
  // Arrow pads its buffers to eight bytes.
  const bitmap = new Uint8Array(((values.length + 63) >> 6) << 3);
  let nulls = 0;
  for (const [at, value] of values.entries()) {
    if (value === null) nulls += 1;
    else bitmap[at >> 3] = (bitmap[at >> 3] ?? 0) | (1 << (at & 7));
  }
  return { nulls, bitmap: nulls === 0 ? new Uint8Array(0) : bitmap };
}

function fieldData(columns: readonly Column[], values: readonly LakeValue[]): Data[] {
  return columns.map((child, at) =>
    arrowData(child, values.map((value) => (value as readonly LakeValue[] | null)?.[at] ?? null))
  );
}

function flattened(values: readonly LakeValue[]) {
  const offsets = new Int32Array(values.length + 1);
  const items: LakeValue[] = [];
  for (const [at, value] of values.entries()) {
    if (Array.isArray(value)) {
      for (const item of value as readonly LakeValue[]) items.push(item);
    }
    offsets[at + 1] = items.length;
  }
  return { offsets, items };
}

function joinedBytes(values: readonly LakeValue[]) {
  const offsets = new Int32Array(values.length + 1);
  const parts = values.map((value) =>
    typeof value === "string" ? Buffer.from(value) : value instanceof Uint8Array ? value : NO_BYTES
  );
  for (const [at, part] of parts.entries()) offsets[at + 1] = (offsets[at] ?? 0) + part.length;
  return { offsets, bytes: new Uint8Array(Buffer.concat(parts)) };
}

const NO_BYTES = new Uint8Array(0);

function fixedValues({ type }: Column, values: readonly LakeValue[]): ArrayBufferView {
  const { length } = values;
  switch (type.name) {
    case "boolean": {
      const bits = new Uint8Array(((length + 63) >> 6) << 3);
      values.forEach((value, at) => {
        if (value === true) bits[at >> 3] = (bits[at >> 3] ?? 0) | (1 << (at & 7));
      });
      return bits;
    }
    case "decimal":
    case "int128": {
      const words = new BigUint64Array(2 * length);
      values.forEach((value, at) => {
        const whole = BigInt.asUintN(128, BigInt(value as number | bigint | null ?? 0));
        words[2 * at] = whole & 0xffff_ffff_ffff_ffffn;
        words[2 * at + 1] = whole >> 64n;
      });
      return new Uint32Array(words.buffer);
    }
    case "uuid": {
      const bytes = new Uint8Array(16 * length);
      values.forEach((value, at) => {
        if (typeof value !== "string") return;
        bytes.set(Uint8Array.fromHex(value.replaceAll("-", "")), 16 * at);
      });
      return bytes;
    }
    case "uint64":
      return BigUint64Array.from(values, (value) => BigInt(value as number | bigint | null ?? 0));
    default: {
      const Numbers = NUMBERS[type.name];
      if (Numbers !== undefined) return Numbers.from(values, (value) => Number(value ?? 0));
      return BigInt64Array.from(values, (value) => BigInt(value as number | bigint | null ?? 0));
    }
  }
}

const NUMBERS: Readonly<
  Record<
    string,
    { from(values: readonly LakeValue[], of: (v: LakeValue) => number): ArrayBufferView }
  >
> = {
  int8: Int8Array,
  int16: Int16Array,
  int32: Int32Array,
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  float32: Float32Array,
  float64: Float64Array,
  date: Int32Array,
};
