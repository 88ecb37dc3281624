import { expect, test } from "bun:test";
import type { ColumnWish } from "../../../../src/lake/column.ts";
import type { IngestFormat } from "../../../../src/lake/ingest/format.ts";
import { inferColumns } from "../../../../src/lake/ingest/infer.ts";
import { allOf, chunksOf } from "../../../support/byte-chunks.ts";

/** Columns as DuckDB would write them: "a int64, b list(varchar)". */
function written(columns: readonly ColumnWish[]): string {
  return columns.map(({ name, type, children }) => {
    const inner = children.length === 0 ? "" : `(${written(children)})`;
    return `${name} ${type.name}${inner}`;
  }).join(", ");
}

async function inferred(body: string, format: IngestFormat = "ndjson"): Promise<string> {
  return written((await inferColumns(chunksOf(body), format)).columns);
}

async function ofValues(...values: string[]): Promise<string> {
  return (await inferred(values.map((value) => `{"c":${value}}`).join("\n"))).slice(2);
}

const JSON_TYPES: readonly (readonly [readonly string[], string])[] = [
  [["1", "null", "-9223372036854775808"], "int64"],
  [["1", "9223372036854775808"], "int128"],
  [["1", "1" + "0".repeat(40)], "float64"],
  [["1", "2.5"], "float64"],
  [["3.0"], "float64"],
  [["1e3"], "float64"],
  [["true", "false"], "boolean"],
  [['"2024-01-02"'], "date"],
  [['"2024-01-02T03:04:05"', '"2024-01-02 03:04:05.5"'], "timestamp"],
  [['"2024-01-02T03:04:05Z"', '"2024-01-02T03:04:05+02:00"'], "timestamptz"],
  [['"2024-01-02T03:04:05Z"', '"2024-01-02T03:04:05"'], "varchar"],
  [['"2024-01-02"', '"x"'], "varchar"],
  [['"0190b3c5-5f2e-7cc2-8f3a-1f6d2b9a7c41"'], "varchar"],
  [["[]", "[1]", "[null,2.5]"], "list(element float64)"],
  [["[]"], "list(element varchar)"],
  [["[[1],[2]]"], "list(element list(element int64))"],
  [['{"a":1}', '{"b":"x"}', '{"a":2.5}'], "struct(a float64, b varchar)"],
  [['{"a":1}', "5"], "json"],
  [["{}"], "json"],
  [['{"a":1,"A":2}'], "json"],
  [["1", '"x"'], "json"],
  [["true", "1"], "json"],
  [["null"], "varchar"],
  [["[".repeat(40) + "]".repeat(40)], "list(element ".repeat(15) + "json" + ")".repeat(15)],
];

for (const [values, type] of JSON_TYPES) {
  const title = values.join(" and ").slice(0, 60);
  test(`${title} become ${type.slice(0, 60)}`, async () =>
    expect(await ofValues(...values)).toBe(type));
}

const CSV_TYPES: readonly (readonly [string, string])[] = [
  ["1\n-2\n", "int64"],
  ["1\n170141183460469231731687303715884105727", "int128"],
  ["1" + "0".repeat(40), "varchar"],
  ["007", "varchar"],
  ["1\n2.5\nNaN\n", "float64"],
  ["True\nfalse", "boolean"],
  ["2024-01-02", "date"],
  ["2024-01-02 03:04:05", "timestamp"],
  ["2024-01-02T03:04:05Z", "timestamptz"],
  ["1\nx", "varchar"],
  ['1\n""', "varchar"],
  ["\n", "varchar"],
  ["[1]", "varchar"],
];

for (const [texts, type] of CSV_TYPES) {
  test(`CSV ${JSON.stringify(texts)} becomes ${type}`, async () =>
    expect(await inferred(`c\n${texts}`, "csv")).toBe(`c ${type}`));
}

test("columns are in the order in which their names were first seen, in an array too", async () => {
  expect(await inferred('[{"b":1},{"a":true,"b":2}]', "json")).toBe("b int64, a boolean");
});

test("the body that comes back is the whole body, and only its beginning has been read", async () => {
  let given = 0;
  async function* lines() {
    for (; given < 2_000; given++) yield Buffer.from(`{"id":${given}}\n`.repeat(100));
  }
  const { body } = await inferColumns(lines(), "ndjson");
  expect(given).toBe(99);
  const bytes = Buffer.concat(await allOf(body));
  expect(bytes.toString().split("\n").length).toBe(200_001);
});

test("names that columns cannot have are refused", async () => {
  const cases = [
    ['{"":1}', "a column's name is empty"],
    ['{"a":1,"A":2}', 'the column names "a" and "A" differ in nothing but case'],
    [`{"${"x".repeat(256)}":1}`, "has 256 characters; allowed: 255"],
    ['{"a\\u0000":1}', "is not Unicode text without NUL"],
    ["{}", "there are no columns"],
    ["", "there are no columns"],
  ] as const;
  for (const [body, message] of cases) {
    const failure = await inferColumns(chunksOf(body), "ndjson").catch((error) => error);
    expect(failure).toMatchObject({ name: "Failure", kind: "invalid" });
    expect(failure.message).toStartWith("Cannot make a table for these rows: ");
    expect(failure.message).toContain(message);
  }
});

test("a bad row of the sample is the failure, and closes the body", async () => {
  let closed = false;
  async function* lines() {
    try {
      yield Buffer.from('{"a":1}\n{"a":\n');
      yield Buffer.from("never read");
    } finally {
      closed = true;
    }
  }
  expect(await inferColumns(lines(), "ndjson").catch((error) => error))
    .toMatchObject({ kind: "invalid", details: { row: 2 } });
  expect(closed).toBe(true);
});
