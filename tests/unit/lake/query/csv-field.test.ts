import { expect, test } from "bun:test";
import { BLOB, DuckDBBlobValue, FLOAT, INTEGER, LIST, listValue, VARCHAR } from "@duckdb/node-api";
import { csvField, csvHeader } from "../../../../src/lake/query/csv-field.ts";

const text = csvField(VARCHAR);

test("null is nothing and an empty text is two quotes", () => {
  expect(text(null)).toBe("");
  expect(text("")).toBe('""');
});

test("only commas, quotes and ends of lines need quotes", () => {
  expect(text("plain text; 'as it is'")).toBe("plain text; 'as it is'");
  expect(text("a,b")).toBe('"a,b"');
  expect(text('say "x"')).toBe('"say ""x"""');
  expect(text("a\r\nb")).toBe('"a\r\nb"');
  expect(csvHeader(["a", "b,c", ""])).toBe('a,"b,c",""\r\n');
});

test("a 32-bit float is as short as it was written", () => {
  const float = csvField(FLOAT);
  expect(float(Math.fround(0.1))).toBe("0.1");
  expect(float(Math.fround(16_777_216))).toBe("16777216");
  expect(float(Math.fround(1.17549435e-38))).toBe("1.1754944e-38");
  expect(float(NaN)).toBe("NaN");
});

test("blobs are base64, lists are JSON", () => {
  expect(csvField(BLOB)(new DuckDBBlobValue(new Uint8Array([0, 255])))).toBe("AP8=");
  expect(csvField(LIST(INTEGER))(listValue([1, null]))).toBe('"[1,null]"');
});
