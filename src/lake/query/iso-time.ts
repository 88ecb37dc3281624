/**
 * Dates and times as ISO 8601 has them, from the numbers that DuckDB keeps: days since 1970, and
 * units since midnight or 1970. Years outside 0000 to 9999 have a sign and six digits.
 */

const DAYS_INFINITE = 2_147_483_647;
const UNITS_INFINITE = 2n ** 63n - 1n;
const DAY_SECONDS = 86_400;

/** DuckDB's "infinity" dates keep their name. */
export function isoDate(days: number): string {
  if (days === DAYS_INFINITE) return "infinity";
  if (days === -DAYS_INFINITE) return "-infinity";
  const { year, month, day } = civil(days);
  return `${yearText(year)}-${two(month)}-${two(day)}`;
}

/** `unitsPerSecond` is a power of 1000; a fraction is shown in groups of three digits. */
export function isoTime(units: bigint, unitsPerSecond: bigint): string {
  return timeText(Number(units / unitsPerSecond), units % unitsPerSecond, unitsPerSecond);
}

/** `2020-02-29T12:34:56.789`; `suffix` is "Z" for an instant. */
export function isoTimestamp(units: bigint, unitsPerSecond: bigint, suffix: "" | "Z" = ""): string {
  if (units === UNITS_INFINITE) return "infinity";
  if (units === -UNITS_INFINITE) return "-infinity";
  let fraction = units % unitsPerSecond;
  if (fraction < 0n) fraction += unitsPerSecond;
  // A number holds the seconds of 285 million years.
  const seconds = Number((units - fraction) / unitsPerSecond);
  const days = Math.floor(seconds / DAY_SECONDS);
  const time = timeText(seconds - days * DAY_SECONDS, fraction, unitsPerSecond);
  return `${isoDate(days)}T${time}${suffix}`;
}

function timeText(seconds: number, fraction: bigint, unitsPerSecond: bigint): string {
  const hours = Math.floor(seconds / 3600);
  const text = `${two(hours)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  if (fraction === 0n) return text;
  const digits = String(fraction).padStart(String(unitsPerSecond).length - 1, "0");
  return `${text}.${digits.replace(/(000)+$/, "")}`;
}

/**
 * The proleptic Gregorian date, counting years from 1 March so that the day that comes and goes is
 * the last (Richards, "Mapping time", also in "Explanatory Supplement to the Astronomical Almanac").
 */
function civil(days: number): { year: number; month: number; day: number } {
  const shifted = days + 719_468;
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1_460) + Math.floor(dayOfEra / 36_524) -
      Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra -
    (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const marchMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9;
  return {
    year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0),
    month,
    day: dayOfYear - Math.floor((153 * marchMonth + 2) / 5) + 1,
  };
}

function yearText(year: number): string {
  if (year >= 0 && year <= 9_999) return String(year).padStart(4, "0");
  return `${year < 0 ? "-" : "+"}${String(Math.abs(year)).padStart(6, "0")}`;
}

function two(value: number): string {
  return value < 10 ? `0${value}` : `${value}`;
}
