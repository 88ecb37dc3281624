/**
 * Numbers as the text that DuckDB writes for them and reads back without loss: reals with the fewest
 * digits that give the same bits, decimals with all digits of their scale.
 */
import { corruptText } from "./corrupt-text.ts";

/** Reals from 10^-4 up to here are written without an exponent, as DuckDB does. */
const EXPONENT_MIN = -4;
const EXPONENT_MAX = 15;
/** Digits that tell any two float32 values apart. */
const FLOAT32_DIGITS = 9;

export function realText(value: number, isSingle: boolean): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  if (Object.is(value, -0)) return "-0.0";
  const [mantissa = "0", exponentText = "0"] = shortest(value, isSingle).split("e");
  const exponent = Number(exponentText);
  const sign = value < 0 ? "-" : "";
  const digits = mantissa.replace("-", "").replace(".", "").replace(/0+$/, "") || "0";
  if (exponent < EXPONENT_MIN || exponent > EXPONENT_MAX) {
    const fraction = digits.length > 1 ? `.${digits.slice(1)}` : "";
    const power = String(Math.abs(exponent)).padStart(2, "0");
    return `${sign}${digits.charAt(0)}${fraction}e${exponent < 0 ? "-" : "+"}${power}`;
  }
  if (exponent < 0) return `${sign}0.${"0".repeat(-exponent - 1)}${digits}`;
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, "0");
  return `${sign}${whole}.${digits.slice(exponent + 1) || "0"}`;
}

/** In the form of `toExponential`. */
function shortest(value: number, isSingle: boolean): string {
  if (!isSingle) return value.toExponential();
  for (let digits = 0; digits < FLOAT32_DIGITS; digits++) {
    const text = value.toExponential(digits);
    if (Math.fround(Number(text)) === value) return text;
  }
  return value.toExponential();
}

/** Throws `corrupt`. */
export function parseReal(text: string, isSingle: boolean): number {
  const lower = text.toLowerCase();
  if (lower === "nan" || lower === "-nan") return Number.NaN;
  if (lower === "inf" || lower === "infinity") return Number.POSITIVE_INFINITY;
  if (lower === "-inf" || lower === "-infinity") return Number.NEGATIVE_INFINITY;
  if (!/^-?\d+(?:\.\d*)?(?:e[+-]?\d+)?$/.test(lower)) throw corruptText(text, "a real");
  return isSingle ? Math.fround(Number(lower)) : Number(lower);
}

export function decimalText(digits: bigint, scale: number): string {
  if (scale === 0) return `${digits}`;
  const text = `${digits < 0n ? -digits : digits}`.padStart(scale + 1, "0");
  const point = text.length - scale;
  return `${digits < 0n ? "-" : ""}${text.slice(0, point)}.${text.slice(point)}`;
}

/** Throws `corrupt`, for digits behind the scale as well. */
export function parseDecimal(text: string, scale: number): bigint {
  const [, sign, whole = "", fraction = ""] = /^(-?)(\d*)(?:\.(\d*))?$/.exec(text) ?? [];
  if (whole + fraction === "" || fraction.length > scale) {
    throw corruptText(text, `a decimal of scale ${scale}`);
  }
  const digits = BigInt(whole + fraction.padEnd(scale, "0"));
  return sign === "-" ? -digits : digits;
}

/** Throws `corrupt`. */
export function parseInteger(text: string): bigint {
  if (!/^-?\d{1,39}$/.test(text)) throw corruptText(text, "an integer");
  return BigInt(text);
}
