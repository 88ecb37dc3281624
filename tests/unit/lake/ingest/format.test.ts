import { expect, test } from "bun:test";
import { formatOf } from "../../../../src/lake/ingest/format.ts";

test("a content type names its format, in any case and with parameters", () => {
  expect(formatOf("application/x-ndjson")).toBe("ndjson");
  expect(formatOf("application/json; charset=UTF-8")).toBe("json");
  expect(formatOf('Text/CSV ; header=present; charset="utf-8"')).toBe("csv");
  expect(formatOf("application/vnd.apache.arrow.stream")).toBe("arrow");
  expect(formatOf("application/json;profile=x")).toBe("json");
});

test("another content type is refused with the list of those that are allowed", () => {
  const allowed = "allowed: application/x-ndjson, application/json, text/csv, " +
    "application/vnd.apache.arrow.stream";
  expect(() => formatOf("text/plain")).toThrow(`The content type is "text/plain"; ${allowed}`);
  expect(() => formatOf(null)).toThrow(`The content type is missing; ${allowed}`);
  expect(() => formatOf("constructor")).toThrow(allowed);
});

test("a character set other than UTF-8, and CSV without a header, are refused", () => {
  expect(() => formatOf("text/csv; charset=utf-16"))
    .toThrow(`The content type's charset is "utf-16"; allowed: utf-8`);
  expect(() => formatOf("text/csv; header=absent"))
    .toThrow(`The content type's header is "absent"; allowed: present`);
});
