import { expect, test } from "bun:test";
import type { Column, PlainType } from "../../../../src/lake/column.ts";
import type { LakeValue } from "../../../../src/lake/rows.ts";
import { column, decimal, list, map, struct } from "../../../support/lake-columns.ts";
import { refusal, rowsOf } from "../../../support/lake-rows.ts";

/** The value of one JSON text in a column. */
async function read(of: Column, json: string): Promise<LakeValue> {
  const rows = await rowsOf(`{"${of.name}":${json}}\n`, "ndjson", [of]);
  return rows[0]![0]!;
}

async function refused(of: Column, json: string): Promise<string> {
  const failure = await refusal(`{"${of.name}":${json}}\n`, "ndjson", [of]);
  expect(failure).toMatchObject({ name: "Failure", kind: "invalid", details: { row: 1 } });
  return (failure as Error).message;
}

type Case = readonly [PlainType, string, LakeValue];

const ACCEPTED: readonly Case[] = [
  ["boolean", "true", true],
  ["int8", "-128", -128],
  ["int32", "1e3", 1000],
  ["int32", "-0", 0],
  ["int32", "5.0", 5],
  ["int64", "9007199254740991", 9007199254740991],
  ["int64", "9007199254740993", 9007199254740993n],
  ["int64", "-9223372036854775808", -(2n ** 63n)],
  ["int64", '"9223372036854775807"', 2n ** 63n - 1n],
  ["int64", '"12"', 12],
  ["int64", "1.00000000000000000", 1],
  ["uint64", "18446744073709551615", 2n ** 64n - 1n],
  ["int128", "-170141183460469231731687303715884105728", -(2n ** 127n)],
  ["float64", "0.1", 0.1],
  ["float64", "3", 3],
  ["float64", "0.1000000000000000055511151231257827", 0.1],
  ["float64", '"NaN"', NaN],
  ["float64", '"-Infinity"', -Infinity],
  ["float32", "0.1", Math.fround(0.1)],
  ["float32", '"Infinity"', Infinity],
  ["date", '"1970-01-02"', 1],
  ["date", '"0000-03-01"', -719468],
  ["date", '"2024-02-29"', 19782],
  ["time", '"23:59:59.999999"', 86399999999n],
  ["time", '"00:00:01.5000000"', 1500000n],
  ["timestamp", '"1970-01-01T00:00:01"', 1000000n],
  ["timestamp", '"1969-12-31 23:59:59.999999"', -1n],
  ["timestamp_s", '"1970-01-01 00:01:00.000"', 60n],
  ["timestamp_ms", '"1970-01-01T00:00:00.25"', 250n],
  ["timestamp_ns", '"2024-01-02T03:04:05.123456789"', 1704164645123456789n],
  ["timestamptz", '"1970-01-01T02:00:00+02:00"', 0n],
  ["timestamptz", '"1970-01-01T00:00:00Z"', 0n],
  ["timestamptz", '"1969-12-31T16:30-0730"'.replace("16:30", "16:30:00"), 0n],
  ["varchar", '"\\u00e9 \\ud83d\\ude00"', "é 😀"],
  ["json", '{ "a" : [1, 2.50, null] }', '{"a":[1,2.5,null]}'],
  ["json", "12345678901234567890123", "12345678901234567890123"],
  ["json", '[1e400, "x"]', '[1e400,"x"]'],
  ["json", "null", null],
  ["uuid", '"0190B3C5-5F2E-7CC2-8F3A-1F6D2B9A7C41"', "0190b3c5-5f2e-7cc2-8f3a-1f6d2b9a7c41"],
  ["blob", '{"base64":"AAH/"}', new Uint8Array([0, 1, 255])],
  ["varchar", "null", null],
];

for (const [type, json, value] of ACCEPTED) {
  test(`${type} takes ${json}`, async () =>
    expect(await read(column("c", type), json)).toEqual(value));
}

const REFUSED: readonly (readonly [PlainType, string, string])[] = [
  ["boolean", "1", "1; allowed: true or false"],
  ["int8", "128", "128; allowed: an integer from -128 to 127"],
  ["int32", "1.5", "1.5; allowed: an integer from -2147483648 to 2147483647"],
  ["int32", "0.99999999999999999999", "0.99999999999999999999; allowed: an integer"],
  ["int32", '"1"', '"1"; allowed: an integer'],
  ["int64", "9223372036854775808", "9223372036854775808; allowed: an integer"],
  ["int64", "1e30", "1e+30; allowed: an integer"],
  ["uint8", "-1", "-1; allowed: an integer from 0 to 255"],
  ["float64", "1e400", "1e400; allowed: a number within float64"],
  ["float32", "1e39", "1e+39; allowed: a number within float32"],
  ["float64", '"1"', '"1"; allowed: a number within float64, or NaN, Infinity, -Infinity'],
  ["date", '"2023-02-29"', '"2023-02-29"; allowed: a date like 2024-05-06'],
  ["date", '"1900-02-29"', '"1900-02-29"; allowed'],
  ["date", '"2024-13-01"', "allowed: a date"],
  ["date", '"2024-1-01"', "allowed: a date"],
  ["time", '"24:00:00"', "allowed: a time"],
  ["time", '"00:00:00."', "allowed: a time"],
  ["time", '"00:00:00.1234567"', "allowed: a time"],
  ["timestamp", '"2024-01-01T00:00:00Z"', "without an offset"],
  ["timestamp", '"2024-01-01"', "without an offset"],
  ["timestamp_s", '"2024-01-01T00:00:00.5"', "whole seconds"],
  ["timestamp_ns", '"1600-01-01T00:00:00"', "from 1677-09-21"],
  ["timestamptz", '"2024-01-01T00:00:00"', "Z or with an offset like +02:00"],
  ["timestamptz", '"2024-01-01T00:00:00+25:00"', "with an offset"],
  ["timestamptz", '"2024-01-01T00:00:00Zx"', "with an offset"],
  ["varchar", "5", "5; allowed: a string of Unicode text"],
  ["varchar", '"\\ud800"', "allowed: a string of Unicode text"],
  ["uuid", '"0190b3c55f2e7cc28f3a1f6d2b9a7c41"', "allowed: a UUID"],
  ["blob", '"AAH/"', '"AAH/"; allowed: {"base64":"…"}'],
  ["blob", '{"base64":"?"}', 'allowed: {"base64":"…"}'],
];

for (const [type, json, message] of REFUSED) {
  test(`${type} refuses ${json}`, async () => {
    const found = await refused(column("c", type), json);
    expect(found).toStartWith('Cannot take row 1: column "c" is ');
    expect(found).toContain(message);
  });
}

test("a decimal keeps every digit, or is refused", async () => {
  const price = column("price", decimal(10, 2));
  const cases = [["1.5", 150n], ['"-0.010"', -1n], ["1e2", 10000n], ['"150e-1"', 1500n], [
    "0e999",
    0n,
  ]];
  for (const [json, value] of cases) expect(await read(price, String(json))).toBe(value as bigint);
  for (
    const json of ["0.001", "100000000", "1e999", '"x"', '""', "true", "0.0100000000000000001"]
  ) {
    expect(await refused(price, json))
      .toEndWith("; allowed: a decimal of at most 8 digits before and 2 after the point");
  }
  const wide = column("wide", decimal(38, 18));
  expect(await read(wide, "12345678901234567890.123456789012345678"))
    .toBe(12345678901234567890123456789012345678n);
});

test("lists, structs and maps are read from arrays and objects", async () => {
  expect(await read(list("l", "int32"), "[1,null,3]")).toEqual([1, null, 3]);
  const point = struct("p", column("x", "int32"), column("y", "varchar"));
  expect(await read(point, '{"y":"b"}')).toEqual([null, "b"]);
  expect(await read(map("m", "varchar", "int64"), '{"a":1,"b":null}')).toEqual([["a", 1], [
    "b",
    null,
  ]]);
  expect(await read(map("m", "int32", "int32"), '{"7":1}')).toEqual([[7, 1]]);
  expect(await read(map("m", "int32", "int32"), "[[7,1],[8,2]]")).toEqual([[7, 1], [8, 2]]);
});

test("what is wrong within nested columns is named by its dotted path", async () => {
  expect(await refused(list("l", "int32"), '[1,"2"]')).toContain('column "l.element" is "2"');
  expect(await refused(list("l", "int32"), '{"0":1}')).toContain(
    'column "l" is {"0":1}; allowed: an array',
  );
  const point = struct("p", column("x", "int32", { nullable: false }));
  expect(await refused(point, "{}")).toContain('column "p.x" is missing and must have a value');
  expect(await refused(point, '{"x":1,"z":2}'))
    .toContain('column "p.z" is not in the table; allowed: x');
  expect(await refused(map("m", "int32", "int32"), '{"a":1}')).toContain(
    'column "m.key" is "a"; allowed',
  );
  expect(await refused(map("m", "int32", "int32"), "[[1,1],[1,2]]")).toContain(
    "allowed: each key once",
  );
  const failure = await refusal('{"p":{"x":"1"}}', "ndjson", [point]);
  expect(failure).toMatchObject({ details: { row: 1, column: "p.x" } });
});
