import { expect, test } from "bun:test";
import { isoDate, isoTime, isoTimestamp } from "../../../../src/lake/query/iso-time.ts";

const DAY_MS = 86_400_000;

test("every day of eight centuries has the date that the runtime gives it", () => {
  for (let days = -150_000; days < 150_000; days += 1) {
    expect(isoDate(days)).toBe(new Date(days * DAY_MS).toISOString().slice(0, 10));
  }
});

test("years that four digits do not hold have a sign and six", () => {
  expect(isoDate(2_932_896)).toBe("9999-12-31");
  expect(isoDate(2_932_897)).toBe("+010000-01-01");
  expect(isoDate(-719_528)).toBe("0000-01-01");
  expect(isoDate(-719_529)).toBe("-000001-12-31");
});

test("DuckDB's infinite dates and timestamps keep their name", () => {
  expect(isoDate(2 ** 31 - 1)).toBe("infinity");
  expect(isoDate(-(2 ** 31 - 1))).toBe("-infinity");
  expect(isoTimestamp(2n ** 63n - 1n, 1_000_000n)).toBe("infinity");
  expect(isoTimestamp(-(2n ** 63n - 1n), 1_000n, "Z")).toBe("-infinity");
});

test("a fraction has as many groups of three digits as it needs", () => {
  expect(isoTime(0n, 1_000_000n)).toBe("00:00:00");
  expect(isoTime(86_399_999_999n, 1_000_000n)).toBe("23:59:59.999999");
  expect(isoTime(1_500_000n, 1_000_000n)).toBe("00:00:01.500");
  expect(isoTime(1n, 1_000_000_000n)).toBe("00:00:00.000000001");
  expect(isoTime(1_000n, 1_000_000_000n)).toBe("00:00:00.000001");
});

test("a moment before 1970 is in the day that it was in", () => {
  expect(isoTimestamp(-1n, 1n)).toBe("1969-12-31T23:59:59");
  expect(isoTimestamp(-1n, 1_000_000n, "Z")).toBe("1969-12-31T23:59:59.999999Z");
  expect(isoTimestamp(1_582_979_696_789n, 1_000n)).toBe("2020-02-29T12:34:56.789");
});
