/**
 * Dates and times as DuckDB's text: `2024-01-15 12:30:00.5`, years before 1 with ` (BC)` behind the
 * date, more than four digits of a year where it needs them, `infinity` and `-infinity`.
 * Calendar arithmetic after Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
 */
import { corruptText } from "./corrupt-text.ts";

/** What DuckDB keeps for an infinite date and an infinite timestamp of any unit. */
export const DATE_INFINITY = 2_147_483_647;
export const TIMESTAMP_INFINITY = 2n ** 63n - 1n;

const DAYS_AN_ERA = 146_097;
const SECONDS_A_DAY = 86_400n;

const DATE = String.raw`(\d{4,})-(\d\d)-(\d\d)( \(BC\))?`;
const TIME = String.raw`(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?`;
const OFFSET = String.raw`(?:([+-])(\d\d)(?::(\d\d))?(?::(\d\d))?)?`;
const DATE_ONLY = new RegExp(`^${DATE}$`);
const TIME_ONLY = new RegExp(`^${TIME}$`);
const DATE_AND_TIME = new RegExp(`^${DATE}(?: ${TIME}${OFFSET})?$`);

export function dateText(days: number): string {
  if (Math.abs(days) === DATE_INFINITY) return days > 0 ? "infinity" : "-infinity";
  return calendarText(days);
}

/** Throws `corrupt`. */
export function parseDate(text: string): number {
  if (text === "infinity") return DATE_INFINITY;
  if (text === "-infinity") return -DATE_INFINITY;
  const found = DATE_ONLY.exec(text);
  if (found === null) throw corruptText(text, "a date");
  return daysOf(found);
}

/** `value` counts microseconds since midnight. */
export function timeText(value: bigint): string {
  return clockText(value, 1_000_000n);
}

/** Throws `corrupt`. */
export function parseTime(text: string): bigint {
  const found = TIME_ONLY.exec(text);
  if (found === null) throw corruptText(text, "a time");
  return clockOf(found.slice(1), 1_000_000n);
}

/** `value` counts units since 1970, of which a second has `unitsASecond`. */
export function timestampText(value: bigint, unitsASecond: bigint, isZoned = false): string {
  if (value === TIMESTAMP_INFINITY) return "infinity";
  if (value === -TIMESTAMP_INFINITY) return "-infinity";
  const unitsADay = SECONDS_A_DAY * unitsASecond;
  let days = value / unitsADay;
  if (days * unitsADay > value) days--;
  const clock = clockText(value - days * unitsADay, unitsASecond);
  return `${calendarText(Number(days))} ${clock}${isZoned ? "+00" : ""}`;
}

/** Throws `corrupt`. An offset is taken into account, so that any session's text can be read. */
export function parseTimestamp(text: string, unitsASecond: bigint): bigint {
  if (text === "infinity") return TIMESTAMP_INFINITY;
  if (text === "-infinity") return -TIMESTAMP_INFINITY;
  const found = DATE_AND_TIME.exec(text);
  if (found === null) throw corruptText(text, "a timestamp");
  const [sign, hours = "0", minutes = "0", seconds = "0"] = found.slice(9);
  const offset = BigInt(hours) * 3600n + BigInt(minutes) * 60n + BigInt(seconds);
  const clock = found[5] === undefined ? 0n : clockOf(found.slice(5), unitsASecond);
  const midnight = BigInt(daysOf(found)) * SECONDS_A_DAY;
  return (midnight - (sign === "-" ? -offset : offset)) * unitsASecond + clock;
}

function calendarText(days: number): string {
  const shifted = days + 719_468;
  const era = Math.floor(shifted / DAYS_AN_ERA);
  const dayOfEra = shifted - era * DAYS_AN_ERA;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) -
      Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) -
    Math.floor(yearOfEra / 100));
  const shiftedMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1;
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9;
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
  const isBefore = year < 1;
  const date = [String(isBefore ? 1 - year : year).padStart(4, "0"), two(month), two(day)];
  return date.join("-") + (isBefore ? " (BC)" : "");
}

/** Of the groups of `DATE`, from 1 on. */
function daysOf(found: readonly (string | undefined)[]): number {
  const [, yearText = "", monthText = "", dayText = "", before] = found;
  const month = Number(monthText);
  const civilYear = before === undefined ? Number(yearText) : 1 - Number(yearText);
  const year = civilYear - (month <= 2 ? 1 : 0);
  const era = Math.floor(year / 400);
  const yearOfEra = year - era * 400;
  const shiftedMonth = month > 2 ? month - 3 : month + 9;
  const dayOfYear = Math.floor((153 * shiftedMonth + 2) / 5) + Number(dayText) - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) +
    dayOfYear;
  return era * DAYS_AN_ERA + dayOfEra - 719_468;
}

function clockText(value: bigint, unitsASecond: bigint): string {
  const seconds = value / unitsASecond;
  const rest = value % unitsASecond;
  const digits = String(unitsASecond).length - 1;
  const fraction = rest === 0n ? "" : `.${String(rest).padStart(digits, "0").replace(/0+$/, "")}`;
  return [seconds / 3600n, (seconds / 60n) % 60n, seconds % 60n].map(two).join(":") + fraction;
}

/** Of the groups of `TIME`, from 0 on. Digits behind the unit are dropped. */
function clockOf(found: readonly (string | undefined)[], unitsASecond: bigint): bigint {
  const [hours = "0", minutes = "0", seconds = "0", fraction = ""] = found;
  const whole = BigInt(hours) * 3600n + BigInt(minutes) * 60n + BigInt(seconds);
  const digits = String(unitsASecond).length - 1;
  const rest = fraction.slice(0, digits).padEnd(digits, "0");
  return whole * unitsASecond + (rest === "" ? 0n : BigInt(rest));
}

function two(value: number | bigint): string {
  return String(value).padStart(2, "0");
}
