/**
 * Whether the buffers of an Arrow column are what its type says: long enough, offsets in order,
 * text UTF-8, every value one that its type has. Who reads them afterwards trusts them.
 */
import { isUtf8 } from "node:buffer";
import { type Data, DataType } from "apache-arrow";
import { assert } from "../../base/assert.ts";

/** A value that is wrong: its place in the column, and why. */
export class Unsound extends Error {
  readonly index: number;

  constructor(index: number, reason: string) {
    super(reason);
    this.index = index;
  }
}

type Numbers = Uint8Array | Int32Array | Uint32Array | BigInt64Array;
type Offsets = Int32Array | BigInt64Array;

const DAY_UNITS = [86_400n, 86_400_000n, 86_400_000_000n] as const;
const DAY_MS = 86_400_000n;

/** Throws `Unsound` for the first wrong value of the first wrong buffer. */
export function checkSound(data: Data): void {
  assert(data.offset === 0, "what is read from a stream begins at its first value");
  const { type, length } = data;
  checkNulls(data);
  if (DataType.isNull(type) || length === 0) return;
  if (DataType.isStruct(type)) return checkStruct(data);
  if (DataType.isFixedSizeList(type)) {
    const { listSize } = type;
    return checkChild(data, length * listSize, (index) => Math.floor(index / listSize));
  }
  if (DataType.isDictionary(type)) return checkDictionary(data);
  const bytes = valuesBytes(data);
  if (DataType.isBool(type)) return atLeast(bytes * 8, length);
  if (data.valueOffsets !== undefined) return checkOffsets(data);
  atLeast(bytes, length * widthOf(data));
  checkValues(data);
}

function atLeast(found: number, needed: number): void {
  if (found < needed) throw new Unsound(0, `a buffer has ${found} values of ${needed}`);
}

function checkNulls(data: Data): void {
  const { length, nullCount, nullBitmap } = data;
  if (DataType.isNull(data.type) || nullCount === 0) return;
  const bitmap = nullBitmap ?? new Uint8Array(0);
  atLeast(bitmap.length * 8, length);
  let nulls = length;
  for (let at = 0; at < length; at++) nulls -= ((bitmap[at >> 3] ?? 0) >> (at & 7)) & 1;
  if (nulls !== nullCount) throw new Unsound(0, `${nulls} values are null, not ${nullCount}`);
}

function checkStruct(data: Data): void {
  for (const child of data.children) {
    atLeast(child.length, data.length);
    checkSound(child);
  }
}

/** `parentOf` tells of which value an element of the child is a part. */
function checkChild(data: Data, needed: number, parentOf: (index: number) => number): void {
  const [child] = data.children;
  assert(child !== undefined, "a list has its elements");
  atLeast(child.length, needed);
  try {
    checkSound(child);
  } catch (error) {
    if (!(error instanceof Unsound)) throw error;
    const parent = parentOf(error.index);
    throw new Unsound(Math.max(0, Math.min(parent, data.length - 1)), error.message);
  }
}

function checkOffsets(data: Data): void {
  const offsets = data.valueOffsets as unknown as Offsets;
  atLeast(offsets.length, data.length + 1);
  let last = Number(offsets[0] ?? 0);
  if (last < 0) throw new Unsound(0, "an offset is negative");
  for (let at = 1; at <= data.length; at++) {
    const offset = Number(offsets[at] ?? 0);
    if (offset < last) throw new Unsound(at - 1, "an offset is before the last one");
    last = offset;
  }
  if (DataType.isList(data.type) || DataType.isMap(data.type)) {
    return checkChild(data, last, (index) => holderOf(offsets, data.length, index));
  }
  atLeast(valuesBytes(data), last);
  if (DataType.isUtf8(data.type) || DataType.isLargeUtf8(data.type)) checkText(data, offsets);
}

function holderOf(offsets: Offsets, length: number, index: number): number {
  for (let at = 0; at < length; at++) if (Number(offsets[at + 1] ?? 0) > index) return at;
  return length - 1;
}

/** All text at once, and that no value begins within a character; one by one to find the wrong. */
function checkText(data: Data, offsets: Offsets): void {
  const bytes = data.values as unknown as Uint8Array;
  const first = Number(offsets[0] ?? 0);
  const end = Number(offsets[data.length] ?? 0);
  let whole = isUtf8(bytes.subarray(first, end));
  for (let at = 1; whole && at < data.length; at++) {
    const offset = Number(offsets[at] ?? 0);
    whole = offset >= end || ((bytes[offset] ?? 0) & 0xc0) !== 0x80;
  }
  if (whole) return;
  for (let at = 0; at < data.length; at++) {
    const text = bytes.subarray(Number(offsets[at] ?? 0), Number(offsets[at + 1] ?? 0));
    if (!isUtf8(text)) throw new Unsound(at, "it is not UTF-8");
  }
}

function checkDictionary(data: Data): void {
  const indexes = data.values as unknown as Numbers;
  atLeast(indexes.length, data.length);
  const size = data.dictionary?.length ?? 0;
  for (let at = 0; at < data.length; at++) {
    const index = Number(indexes[at] ?? 0);
    if ((index < 0 || index >= size) && data.getValid(at)) {
      throw new Unsound(at, `it is number ${index} of a dictionary of ${size} values`);
    }
  }
  for (const chunk of data.dictionary?.data ?? []) checkEntries(chunk);
}

/** Dictionaries that have been looked at: many batches share one. */
const CHECKED = new WeakSet<Data>();

function checkEntries(chunk: Data): void {
  if (CHECKED.has(chunk)) return;
  try {
    checkSound(chunk);
  } catch (error) {
    if (error instanceof Unsound) throw new Unsound(0, `its dictionary: ${error.message}`);
    throw error;
  }
  CHECKED.add(chunk);
}

function checkValues(data: Data): void {
  const { type } = data;
  const values = data.values as unknown as Numbers;
  if (DataType.isDecimal(type)) {
    const max = 10n ** BigInt(type.precision);
    for (let at = 0; at < data.length; at++) {
      const value = decimalAt(values as Uint32Array, at);
      if ((value >= max || value <= -max) && data.getValid(at)) {
        throw new Unsound(at, `it has more than ${type.precision} digits`);
      }
    }
  } else if (DataType.isTime(type)) {
    const day = Number(DAY_UNITS[type.unit as 0 | 1 | 2]);
    for (let at = 0; at < data.length; at++) {
      const value = Number(values[at] ?? 0);
      if ((value < 0 || value >= day) && data.getValid(at)) {
        throw new Unsound(at, "it is no time of a day");
      }
    }
  } else if (DataType.isDate(type) && type.unit === 1) {
    for (let at = 0; at < data.length; at++) {
      const value = (values as BigInt64Array)[at] ?? 0n;
      if (value % DAY_MS !== 0n && data.getValid(at)) {
        throw new Unsound(at, "it is not the start of a day");
      }
    }
  }
}

/** The 128 bits of a decimal, least significant word first. */
export function decimalAt(words: Uint32Array, index: number): bigint {
  const [a = 0, b = 0, c = 0, d = 0] = words.subarray(4 * index, 4 * index + 4);
  // Most decimals are small, and one word says it all.
  if (b === 0 && c === 0 && d === 0) return BigInt(a);
  const unsigned = BigInt(a) | (BigInt(b) << 32n) | (BigInt(c) << 64n) | (BigInt(d) << 96n);
  return BigInt.asIntN(128, unsigned);
}

function valuesBytes(data: Data): number {
  return (data.values as unknown as Numbers | undefined)?.byteLength ?? 0;
}

function widthOf({ type }: Data): number {
  if (DataType.isFixedSizeBinary(type)) return type.byteWidth;
  if (DataType.isDecimal(type)) return type.bitWidth / 8;
  if (DataType.isInt(type)) return type.bitWidth / 8;
  if (DataType.isFloat(type)) return 2 << type.precision;
  if (DataType.isTime(type)) return type.unit <= 1 ? 4 : 8;
  if (DataType.isDate(type)) return type.unit === 0 ? 4 : 8;
  return 8;
}
