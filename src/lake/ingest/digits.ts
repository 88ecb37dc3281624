/** Integers and decimals from their texts, exactly. */
import type { PlainType } from "../column.ts";

export interface IntegerRange {
  readonly min: bigint;
  readonly max: bigint;
}

function signed(bits: bigint): IntegerRange {
  return { min: -(2n ** (bits - 1n)), max: 2n ** (bits - 1n) - 1n };
}

function unsigned(bits: bigint): IntegerRange {
  return { min: 0n, max: 2n ** bits - 1n };
}

export const INTEGER_RANGES = {
  int8: signed(8n),
  int16: signed(16n),
  int32: signed(32n),
  int64: signed(64n),
  int128: signed(128n),
  uint8: unsigned(8n),
  uint16: unsigned(16n),
  uint32: unsigned(32n),
  uint64: unsigned(64n),
} as const satisfies Partial<Record<PlainType, IntegerRange>>;

export type IntegerType = keyof typeof INTEGER_RANGES;

export function isIntegerType(name: string): name is IntegerType {
  return Object.hasOwn(INTEGER_RANGES, name);
}

/** 39 digits and a sign are the longest 128-bit integer; leading zeros are allowed to the same end. */
const INTEGER = /^-?\d{1,39}$/;
/** A JSON number is an integer with a fraction of zeros too. */
const WHOLE_NUMBER = /^(-?\d{1,39})(?:\.0+)?$/;
const SAFE = { min: BigInt(Number.MIN_SAFE_INTEGER), max: BigInt(Number.MAX_SAFE_INTEGER) };

/** An integer as rows have it: a number within ±(2^53 − 1), else a bigint. */
export function integerValue(value: bigint): number | bigint {
  return value >= SAFE.min && value <= SAFE.max ? Number(value) : value;
}

/** The integer that a text of digits is, or null for another text or one out of range. */
export function integerOf(text: string, range: IntegerRange): number | bigint | null {
  if (!INTEGER.test(text)) return null;
  const value = BigInt(text);
  return value >= range.min && value <= range.max ? integerValue(value) : null;
}

/** The same of a JSON number's text. */
export function wholeNumberOf(text: string, range: IntegerRange): number | bigint | null {
  const [, digits] = WHOLE_NUMBER.exec(text) ?? [];
  return digits === undefined ? null : integerOf(digits, range);
}

const DECIMAL = /^(-?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,3}))?$/;

/**
 * The digits without the point of a decimal text, an exponent included, at the given scale; null
 * where the text is no number, has digits beyond the scale, or more than `precision` of them.
 */
export function decimalOf(text: string, precision: number, scale: number): bigint | null {
  const [, sign, whole = "", fraction = "", exponent = "0"] = DECIMAL.exec(text) ?? [];
  if (sign === undefined || whole.length + fraction.length === 0) return null;
  const digits = (whole + fraction).replace(/^0+/, "");
  if (digits === "") return 0n;
  const zeros = scale - fraction.length + Number(exponent);
  // Bounded before it is made: "1e999" is a short text of a long number.
  if (digits.length + zeros > precision) return null;
  const kept = zeros >= 0 ? digits + "0".repeat(zeros) : withoutZeros(digits, -zeros);
  if (kept === null) return null;
  return kept === "" ? 0n : BigInt(sign + kept);
}

function withoutZeros(digits: string, count: number): string | null {
  if (count > digits.length) return null;
  const cut = digits.length - count;
  for (let at = cut; at < digits.length; at++) if (digits[at] !== "0") return null;
  return digits.slice(0, cut);
}
