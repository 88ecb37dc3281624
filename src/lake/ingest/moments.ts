/**
 * Dates, times and timestamps from ISO 8601 texts. Code units are read one by one: a regular
 * expression with its groups costs five times as much, and most rows have a timestamp.
 */

/** Of the proleptic Gregorian calendar, years 0000 to 9999; hours 00 to 23, no leap seconds. */
const DATE_CHARACTERS = 10;
const TIME_CHARACTERS = 8;
const MONTH_DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] as const;
const INT64_MAX = 2n ** 63n - 1n;

/** Digits of a second's fraction that a unit keeps. */
export type SecondDigits = 0 | 3 | 6 | 9;

const UNITS_PER_SECOND: Readonly<Record<SecondDigits, number>> = { 0: 1, 3: 1e3, 6: 1e6, 9: 1e9 };

/** Days since 1970 of 'YYYY-MM-DD', or null. */
export function dateOf(text: string): number | null {
  if (text.length !== DATE_CHARACTERS) return null;
  const days = daysAt(text);
  return days === NONE ? null : days;
}

/** Microseconds since midnight of 'HH:MM:SS[.ffffff]', or null. */
export function timeOf(text: string): bigint | null {
  const seconds = secondsAt(text, 0);
  if (seconds === NONE) return null;
  const end = fractionEnd(text, TIME_CHARACTERS);
  if (end !== text.length) return null;
  const fraction = fractionOf(text, TIME_CHARACTERS, end, 6);
  return fraction === NONE ? null : BigInt(seconds * 1e6 + fraction);
}

/**
 * Units since 1970 of a date, T or a space, and a time; null for any other text, for digits of the
 * fraction that would be lost, and for what is beyond 64 bits. An offset, or Z, must follow when
 * `zoned`, and must not when not.
 */
export function timestampOf(
  text: string,
  secondDigits: SecondDigits,
  zoned: boolean,
): bigint | null {
  const days = daysAt(text);
  const separator = text.charCodeAt(DATE_CHARACTERS);
  if (days === NONE || (separator !== UPPER_T && separator !== SPACE)) return null;
  const daySeconds = secondsAt(text, DATE_CHARACTERS + 1);
  if (daySeconds === NONE) return null;
  const point = DATE_CHARACTERS + 1 + TIME_CHARACTERS;
  const end = fractionEnd(text, point);
  const fraction = fractionOf(text, point, end, secondDigits);
  const offset = zoned ? offsetOf(text, end) : end === text.length ? 0 : NONE;
  if (fraction === NONE || offset === NONE) return null;
  const seconds = days * 86_400 + daySeconds - offset;
  const units = seconds * UNITS_PER_SECOND[secondDigits] + fraction;
  if (Number.isSafeInteger(units)) return BigInt(units);
  const exact = BigInt(seconds) * BigInt(UNITS_PER_SECOND[secondDigits]) + BigInt(fraction);
  return exact <= INT64_MAX && exact >= -INT64_MAX - 1n ? exact : null;
}

/** No number of days, seconds or units that a text can mean. */
const NONE = Number.MIN_SAFE_INTEGER;
const ZERO = 48;
const NINE = 57;
const DASH = 45;
const COLON = 58;
const POINT = 46;
const PLUS = 43;
const SPACE = 32;
const UPPER_T = 84;
const UPPER_Z = 90;

/** Two digits, or NaN, which every comparison refuses. */
function twoAt(text: string, at: number): number {
  const tens = text.charCodeAt(at);
  const ones = text.charCodeAt(at + 1);
  if (!(tens >= ZERO && tens <= NINE && ones >= ZERO && ones <= NINE)) return NaN;
  return (tens - ZERO) * 10 + ones - ZERO;
}

function daysAt(text: string): number {
  const year = twoAt(text, 0) * 100 + twoAt(text, 2);
  const month = twoAt(text, 5);
  const day = twoAt(text, 8);
  const dashed = text.charCodeAt(4) === DASH && text.charCodeAt(7) === DASH;
  if (!(dashed && year >= 0 && month >= 1 && month <= 12 && day >= 1)) return NONE;
  if (day > (month === 2 && isLeap(year) ? 29 : MONTH_DAYS[month - 1] ?? 0)) return NONE;
  // Years begin in March, so that a leap day is the last (Howard Hinnant, "days_from_civil").
  const shifted = month > 2 ? year : year - 1;
  const era = Math.floor(shifted / 400);
  const yearOfEra = shifted - era * 400;
  const dayOfYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) +
    dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}

function isLeap(year: number): boolean {
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
}

function secondsAt(text: string, at: number): number {
  const hours = twoAt(text, at);
  const minutes = twoAt(text, at + 3);
  const seconds = twoAt(text, at + 6);
  const parted = text.charCodeAt(at + 2) === COLON && text.charCodeAt(at + 5) === COLON;
  if (!(parted && hours < 24 && minutes < 60 && seconds < 60)) return NONE;
  return hours * 3_600 + minutes * 60 + seconds;
}

/** Where the fraction that may begin at `point` ends. */
function fractionEnd(text: string, point: number): number {
  if (text.charCodeAt(point) !== POINT) return point;
  let end = point + 1;
  while (text.charCodeAt(end) >= ZERO && text.charCodeAt(end) <= NINE) end++;
  return end;
}

/** The fraction in units; none where there are no digits after the point, or some would be lost. */
function fractionOf(text: string, point: number, end: number, digits: SecondDigits): number {
  if (end === point + 1) return NONE;
  let units = 0;
  for (let at = point + 1; at <= point + digits; at++) {
    units = units * 10 + (at < end ? text.charCodeAt(at) - ZERO : 0);
  }
  for (let at = point + 1 + digits; at < end; at++) if (text.charCodeAt(at) !== ZERO) return NONE;
  return units;
}

/** Seconds east of UTC of Z, ±HH, ±HHMM or ±HH:MM, which must be the end of the text. */
function offsetOf(text: string, at: number): number {
  const sign = text.charCodeAt(at);
  if (sign === UPPER_Z) return text.length === at + 1 ? 0 : NONE;
  if (sign !== PLUS && sign !== DASH) return NONE;
  const hours = twoAt(text, at + 1);
  const minutesAt = text.charCodeAt(at + 3) === COLON ? at + 4 : at + 3;
  const short = text.length === at + 3;
  const minutes = short ? 0 : twoAt(text, minutesAt);
  if (!(hours < 24 && minutes < 60) || (!short && text.length !== minutesAt + 2)) return NONE;
  return (sign === DASH ? -1 : 1) * (hours * 3_600 + minutes * 60);
}
