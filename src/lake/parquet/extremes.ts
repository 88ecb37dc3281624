/**
 * The smallest and the largest value of an Arrow vector, found in its bytes: no value is made into
 * an object but those two.
 */
import type { Data } from "apache-arrow";
import type { Presence } from "./presence.ts";

/** Texts and UUIDs as their bytes, which order them; decimals and wide integers as bigints. */
export type Bound = number | bigint | boolean | Uint8Array;

export interface Extremes {
  /** Null where there is no value to compare. */
  readonly min: Bound | null;
  readonly max: Bound | null;
  readonly nans: boolean;
}

const NOTHING: Extremes = { min: null, max: null, nans: false };

export function isBelow(left: Bound, right: Bound): boolean {
  if (left instanceof Uint8Array && right instanceof Uint8Array) {
    return Buffer.compare(left, right) < 0;
  }
  return left < right;
}

/** Of values that JavaScript compares itself: integers of at most 32 bits and floats. */
export function numberExtremes(data: Data, present: Presence): Extremes {
  const values = data.values as Float64Array;
  let min = Infinity;
  let max = -Infinity;
  let nans = false;
  for (let index = 0; index < data.length; index++) {
    if (present !== undefined && present[index] === 0) continue;
    const value = values[index] ?? NaN;
    if (value < min) min = value;
    if (value > max) max = value;
    if (value !== value) nans = true;
  }
  // Nothing but NaN leaves the start values. Adding 0 makes 0 of -0, which equals it.
  return min > max ? { ...NOTHING, nans } : { min: min + 0, max: max + 0, nans };
}

/** Of integers of 64 or 128 bits, as words of 32 bits, the lowest first. */
export function wideExtremes(data: Data, present: Presence, bits: 64 | 128): Extremes {
  const { buffer, byteOffset } = data.values as Uint8Array;
  const wordCount = bits / 32;
  const words = new Uint32Array(buffer, byteOffset, data.length * wordCount);
  // With its top bit flipped, a signed number is ordered as an unsigned one is.
  const flip = isUnsigned(data) ? 0 : 0x8000_0000;
  let least = -1;
  let most = -1;
  for (let index = 0; index < data.length; index++) {
    if (present !== undefined && present[index] === 0) continue;
    if (least < 0) {
      least = index;
      most = index;
    } else if (isWideBelow(words, wordCount, flip, index, least)) least = index;
    else if (isWideBelow(words, wordCount, flip, most, index)) most = index;
  }
  if (least < 0) return NOTHING;
  const at = (index: number) => wideAt(words, wordCount, flip !== 0, index);
  return { min: at(least), max: at(most), nans: false };
}

function isUnsigned(data: Data): boolean {
  return data.values instanceof BigUint64Array;
}

function isWideBelow(
  words: Uint32Array,
  wordCount: number,
  flip: number,
  left: number,
  right: number,
): boolean {
  let leftAt = (left + 1) * wordCount - 1;
  let rightAt = (right + 1) * wordCount - 1;
  const leftTop = ((words[leftAt] ?? 0) ^ flip) >>> 0;
  const rightTop = ((words[rightAt] ?? 0) ^ flip) >>> 0;
  if (leftTop !== rightTop) return leftTop < rightTop;
  for (let word = 1; word < wordCount; word++) {
    const leftWord = words[--leftAt] ?? 0;
    const rightWord = words[--rightAt] ?? 0;
    if (leftWord !== rightWord) return leftWord < rightWord;
  }
  return false;
}

function wideAt(words: Uint32Array, wordCount: number, signed: boolean, index: number): bigint {
  let value = 0n;
  for (let word = wordCount - 1; word >= 0; word--) {
    value = (value << 32n) | BigInt(words[index * wordCount + word] ?? 0);
  }
  return signed ? BigInt.asIntN(32 * wordCount, value) : value;
}

/** Of texts, by their bytes in UTF-8, and of values of `width` bytes each. */
export function byteExtremes(data: Data, present: Presence, width?: number): Extremes {
  const bytes = data.values as Uint8Array;
  const offsets = data.valueOffsets as Int32Array | undefined;
  const begin = (index: number) => width === undefined ? offsets?.[index] ?? 0 : index * width;
  let minFrom = -1;
  let minTo = 0;
  let maxFrom = 0;
  let maxTo = 0;
  for (let index = 0; index < data.length; index++) {
    if (present !== undefined && present[index] === 0) continue;
    const from = begin(index);
    const to = begin(index + 1);
    if (minFrom < 0) {
      minFrom = maxFrom = from;
      minTo = maxTo = to;
    } else if (areBytesBelow(bytes, from, to, minFrom, minTo)) {
      minFrom = from;
      minTo = to;
    } else if (areBytesBelow(bytes, maxFrom, maxTo, from, to)) {
      maxFrom = from;
      maxTo = to;
    }
  }
  if (minFrom < 0) return NOTHING;
  return { min: bytes.slice(minFrom, minTo), max: bytes.slice(maxFrom, maxTo), nans: false };
}

function areBytesBelow(
  bytes: Uint8Array,
  leftFrom: number,
  leftTo: number,
  rightFrom: number,
  rightTo: number,
): boolean {
  const length = Math.min(leftTo - leftFrom, rightTo - rightFrom);
  for (let index = 0; index < length; index++) {
    const left = bytes[leftFrom + index] ?? 0;
    const right = bytes[rightFrom + index] ?? 0;
    if (left !== right) return left < right;
  }
  return leftTo - leftFrom < rightTo - rightFrom;
}

export function booleanExtremes(data: Data, present: Presence): Extremes {
  const bits = data.values as Uint8Array;
  let anyFalse = false;
  let anyTrue = false;
  for (let index = 0; index < data.length && !(anyFalse && anyTrue); index++) {
    if (present !== undefined && present[index] === 0) continue;
    const place = data.offset + index;
    if ((((bits[place >> 3] ?? 0) >> (place & 7)) & 1) === 1) anyTrue = true;
    else anyFalse = true;
  }
  if (!anyFalse && !anyTrue) return NOTHING;
  return { min: !anyFalse, max: anyTrue, nans: false };
}
