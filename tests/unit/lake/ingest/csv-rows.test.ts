import { expect, test } from "bun:test";
import { column, decimal, list } from "../../../support/lake-columns.ts";
import { cut } from "../../../support/byte-chunks.ts";
import { refusal, rowsOf } from "../../../support/lake-rows.ts";

const COLUMNS = [column("id", "int64", { nullable: false }), column("name", "varchar")];

test("the header names the columns, in any order; one that it lacks is NULL", async () => {
  expect(await rowsOf("name,id\r\na,1\r\nb,2\r\n", "csv", COLUMNS)).toEqual([[1, "a"], [2, "b"]]);
  expect(await rowsOf("\ufeffid\n1\n2", "csv", COLUMNS)).toEqual([[1, null], [2, null]]);
  expect(await rowsOf("id,name\n", "csv", COLUMNS)).toEqual([]);
});

test("quotes hold commas, quotes and line ends; an empty field is NULL only without them", async () => {
  const csv = 'id,name\r\n"1","a,""b""\r\nc"\r\n2,\r\n3,""\n4,é"';
  expect(await rowsOf(csv.slice(0, -1), "csv", COLUMNS))
    .toEqual([[1, 'a,"b"\r\nc'], [2, null], [3, ""], [4, "é"]]);
});

test("where the pieces of the body end does not matter", async () => {
  const csv = Buffer.from('"id",name\r\n1,"é\r\n""x"""\r\n\r\n'.replace("\r\n\r\n", "\r\n2,\r\n"));
  for (let size = 1; size < csv.length; size++) {
    expect(await rowsOf(cut(csv, [size]), "csv", COLUMNS)).toEqual([[1, 'é\r\n"x"'], [2, null]]);
  }
});

test("texts are read as their column's type", async () => {
  const columns = [
    column("b", "boolean"),
    column("i", "int128"),
    column("f", "float64"),
    column("d", decimal(5, 2)),
    column("x", "blob"),
    column("j", "json"),
    list("l", "int64"),
    column("t", "timestamptz"),
  ];
  const csv = "b,i,f,d,x,j,l,t\n" +
    'TRUE,18446744073709551616,-Infinity,1.5,AAE=,"{ ""a"": 12345678901234567890 }","[1,null]",' +
    "1970-01-01T00:00:01Z\n";
  expect(await rowsOf(csv, "csv", columns)).toEqual([[
    true,
    2n ** 64n,
    -Infinity,
    150n,
    new Uint8Array([0, 1]),
    '{"a":12345678901234567890}',
    [1, null],
    1_000_000n,
  ]]);
});

const REFUSED: readonly (readonly [string, string])[] = [
  ["", "Cannot take the header of the CSV: the body is empty"],
  [
    "id,x\n",
    'Cannot take the header of the CSV: column "x" is not in the table; allowed: id, name',
  ],
  ["id,id\n", 'Cannot take the header of the CSV: column "id" is there twice'],
  ["id\nx", 'Cannot take row 1: column "id" is "x"; allowed: an integer from -9223372036854775808'],
  ["name\na", 'Cannot take row 1: column "id" is empty and must have a value'],
  ["id,name\n1,a\n2", "Cannot take row 2: it has 1 fields, the header has 2"],
  ["id,name\n1,a\n\n", "Cannot take row 2: it has 1 fields, the header has 2"],
  ['id,name\n1,a"b', "Cannot take row 1: a quote is within a field that does not begin with one"],
  ['id,name\n1,"a"b', 'Cannot take row 1: "b" follows a closing quote; allowed: a comma'],
  ['id,name\n1,a\n2,"a\n3,b\n', "Cannot take row 2: a quote is left open"],
  ["id,name\n1,a\r2,b\n", "Cannot take row 1: a carriage return is outside of quotes"],
];

for (const [csv, message] of REFUSED) {
  test(`refused with "${message}"`, async () => {
    for (const size of [1, 1_000]) {
      const failure = await refusal(cut(Buffer.from(csv), [size]), "csv", COLUMNS);
      expect(failure).toMatchObject({ name: "Failure", kind: "invalid" });
      expect((failure as Error).message).toStartWith(message);
    }
  });
}

test("text that is not UTF-8 is refused with its row, after a quoted line end too", async () => {
  const csv = Buffer.from('id,name\n1,"a\nb"\n2,?\n3,c\n');
  csv[csv.indexOf("?")] = 0xc3;
  expect(await refusal(csv, "csv", COLUMNS))
    .toMatchObject({ kind: "invalid", message: "Cannot take row 2: it is not UTF-8" });
});
