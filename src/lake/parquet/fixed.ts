/**
 * Values of one width as the bytes of an Arrow vector. A null's place is left zero. A value that
 * its column cannot hold is a bug of who made the rows, except where only Parquet cannot hold it.
 */
import { assert } from "../../base/assert.ts";
import { Failure } from "../../base/failure.ts";
import type { Column } from "../column.ts";
import type { LakeValue } from "../rows.ts";

type Values = readonly LakeValue[];
type SmallIntegers = Int8Array | Int16Array | Int32Array | Uint8Array | Uint16Array | Uint32Array;

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;
const UINT64_MAX = 2n ** 64n - 1n;
const MICROSECONDS = 1_000_000n;
const WORD = 2 ** 32;

/** Integers of at most 32 bits and dates, into `array`, which has their type. */
export function smallIntegers<A extends SmallIntegers>(
  column: Column,
  values: Values,
  array: A,
): A {
  for (let index = 0; index < values.length; index++) {
    const value = values[index];
    if (value === null) continue;
    if (typeof value !== "number") mismatch(column, value);
    array[index] = value;
    if (array[index] !== value) mismatch(column, value);
  }
  return array;
}

export function floats<A extends Float32Array | Float64Array>(
  column: Column,
  values: Values,
  array: A,
): A {
  for (let index = 0; index < values.length; index++) {
    const value = values[index];
    if (value === null) continue;
    if (typeof value !== "number") mismatch(column, value);
    array[index] = value;
  }
  return array;
}

export function signed64(column: Column, values: Values): BigInt64Array {
  return wide(column, values, INT64_MIN, INT64_MAX);
}

export function unsigned64(column: Column, values: Values): BigUint64Array {
  return new BigUint64Array(wide(column, values, 0n, UINT64_MAX).buffer);
}

function wide(column: Column, values: Values, min: bigint, max: bigint): BigInt64Array {
  const array = new BigInt64Array(values.length);
  const halves = new Int32Array(array.buffer);
  const numberMin = Math.max(Number.MIN_SAFE_INTEGER, Number(min));
  for (let index = 0; index < values.length; index++) {
    const value = values[index];
    if (value === null) continue;
    if (typeof value !== "bigint" && typeof value !== "number") mismatch(column, value);
    const number = Number(value);
    if (Number.isSafeInteger(number) && number >= numberMin) storeHalves(halves, 2 * index, number);
    else if (typeof value === "number" || value < min || value > max) mismatch(column, value);
    else array[index] = value;
  }
  return array;
}

/**
 * A whole number within ±(2^53 − 1) as 64 bits, at two places of 32. Several times as fast as
 * storing a bigint.
 */
function storeHalves(halves: Int32Array, at: number, number: number): void {
  // Storing takes the lower 32 bits of a larger number.
  halves[at] = number;
  halves[at + 1] = Math.floor(number / WORD);
}

/**
 * Timestamps in seconds as microseconds.
 * Throws `invalid` for one that is too far away for that.
 */
export function secondsAsMicroseconds(column: Column, values: Values): BigInt64Array {
  const array = new BigInt64Array(values.length);
  for (let index = 0; index < values.length; index++) {
    const value = values[index];
    if (value === null) continue;
    if (typeof value !== "bigint") mismatch(column, value);
    const microseconds = value * MICROSECONDS;
    if (microseconds < INT64_MIN || microseconds > INT64_MAX) {
      throw refusal(column, `${value} seconds since 1970 do not fit into 64 bits as microseconds`);
    }
    array[index] = microseconds;
  }
  return array;
}

/** Throws `invalid` for an integer that is not the same any more as a float of 64 bits. */
export function integersAsFloats(column: Column, values: Values): Float64Array {
  const array = new Float64Array(values.length);
  for (let index = 0; index < values.length; index++) {
    const value = values[index];
    if (value === null) continue;
    if (typeof value !== "bigint" && typeof value !== "number") mismatch(column, value);
    if (typeof value === "number" && !Number.isSafeInteger(value)) mismatch(column, value);
    const float = Number(value);
    if (typeof value === "bigint" && BigInt(float) !== value) {
      throw refusal(
        column,
        `${value} would lose digits; Parquet has no integers of 128 bits, only DOUBLE`,
      );
    }
    array[index] = float;
  }
  return array;
}

/** Decimals as integers of 128 bits, the lower half first. */
export function decimals(column: Column, values: Values, precision: number): BigInt64Array {
  const array = new BigInt64Array(2 * values.length);
  const halves = new Int32Array(array.buffer);
  const limit = 10n ** BigInt(precision);
  const numberLimit = Math.min(10 ** precision, Number.MAX_SAFE_INTEGER);
  for (let index = 0; index < values.length; index++) {
    const value = values[index];
    if (value === null) continue;
    if (typeof value !== "bigint") mismatch(column, value);
    const number = Number(value);
    if (number < numberLimit && number > -numberLimit) {
      storeHalves(halves, 4 * index, number);
      if (number < 0) array[2 * index + 1] = -1n;
    } else {
      if (value >= limit || -value >= limit) mismatch(column, value);
      // Storing takes the lower 64 bits of a larger value.
      array[2 * index] = value;
      array[2 * index + 1] = value >> 64n;
    }
  }
  return array;
}

/** One bit a value, the lowest first. */
export function booleans(column: Column, values: Values): Uint8Array {
  const bits = new Uint8Array((values.length + 7) >> 3);
  for (let index = 0; index < values.length; index++) {
    const value = values[index];
    if (value === null) continue;
    if (typeof value !== "boolean") mismatch(column, value);
    if (value) bits[index >> 3] = (bits[index >> 3] ?? 0) | (1 << (index & 7));
  }
  return bits;
}

/** 16 bytes a value, in the order of the text. */
export function uuids(column: Column, values: Values): Uint8Array {
  const bytes = new Uint8Array(16 * values.length);
  for (let index = 0; index < values.length; index++) {
    const value = values[index];
    if (value === null) continue;
    if (typeof value !== "string") mismatch(column, value);
    if (!parseUuid(value, bytes, 16 * index)) mismatch(column, value);
  }
  return bytes;
}

/** The value of each hexadecimal digit by its code; 255 for what is none. */
const DIGITS = new Uint8Array(128).fill(255);
for (let digit = 0; digit < 16; digit++) DIGITS[digit.toString(16).charCodeAt(0)] = digit;

function parseUuid(text: string, bytes: Uint8Array, offset: number): boolean {
  if (text.length !== 36) return false;
  let at = offset;
  for (let index = 0; index < 36; index += 2) {
    if (index === 8 || index === 13 || index === 18 || index === 23) {
      if (text.charCodeAt(index) !== 45) return false;
      index += 1;
    }
    const high = DIGITS[text.charCodeAt(index)] ?? 255;
    const low = DIGITS[text.charCodeAt(index + 1)] ?? 255;
    if (high > 15 || low > 15) return false;
    bytes[at++] = high * 16 + low;
  }
  return true;
}

/** A value of another type, or out of its range: whoever made the rows has let it through. */
export function mismatch(column: Column, value: LakeValue | undefined): never {
  const shown = `${typeof value} ${String(value).slice(0, 40)}`;
  assert(false, `a value of ${column.name}, of type ${column.type.name}, is the ${shown}`);
}

function refusal(column: Column, why: string): Failure {
  return new Failure("invalid", `Cannot store ${column.name} ${column.type.name}: ${why}`, {
    details: { column: column.name },
  });
}
