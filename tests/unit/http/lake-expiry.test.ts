import { expect, test } from "bun:test";
import { needOf } from "../../../src/http/need.ts";
import { parseExpiry } from "../../../src/http/lake-requests.ts";

test("snapshots expire by a moment, or by an age in any unit", () => {
  expect(parseExpiry({ before: "2024-01-15T12:00:00Z" })).toEqual({
    beforeMs: Date.UTC(2024, 0, 15, 12),
  });
  const ages = ["0s", "90s", "5m", "12h", "7d"].map((age) => parseExpiry({ older_than: age }));
  expect(ages.map((wish) => "ageMs" in wish && wish.ageMs / 1000)).toEqual([
    0,
    90,
    300,
    43_200,
    604_800,
  ]);
});

test("an expiry that names no time, two, or one that is none is refused", () => {
  const wrong = [
    {},
    { older_than: "7d", before: 0 },
    { older_than: "7" },
    { older_than: 7 },
    { older_than: "-7d" },
    { older_than: "1.5d" },
    { before: "yesterday" },
    { older: "7d" },
  ];
  for (const body of wrong) expect(() => parseExpiry(body)).toThrow(/older_than|time|unknown/);
});

test("merging and expiring need admin", () => {
  for (const what of ["merge", "expire"]) {
    expect(needOf("POST", `/v1/lakes/web/${what}`)).toEqual({ kind: "admin" });
  }
});
