import { expect, test } from "bun:test";
import { Failure } from "../../../../src/base/failure.ts";
import { readRows } from "../../../../src/lake/ingest/read-rows.ts";
import { allOf, chunksOf, cut } from "../../../support/byte-chunks.ts";
import { column } from "../../../support/lake-columns.ts";
import { refusal, rowsOf } from "../../../support/lake-rows.ts";

const COLUMNS = [column("id", "int64", { nullable: false }), column("name", "varchar")];
const NDJSON = '{"id":1,"name":"é"}\r\n\n{"name":"b","id":2}\n  \n{"id":3}';
const ROWS = [[1, "é"], [2, "b"], [3, null]];

test("a line is a row; blank lines are none; the last needs no line feed", async () => {
  expect(await rowsOf(NDJSON, "ndjson", COLUMNS)).toEqual(ROWS);
  expect(await rowsOf("\ufeff" + NDJSON, "ndjson", COLUMNS)).toEqual(ROWS);
  expect(await rowsOf("", "ndjson", COLUMNS)).toEqual([]);
});

test("an object is a row and an array is its elements, however they are laid out", async () => {
  const json = '\n [ {"id":1,\n"name":"é"}\t,{"name":"b",\r\n"id":2},\n{"id":3}\n]\n';
  for (const sizes of [[1], [2, 3], [1_000]]) {
    expect(await rowsOf(cut(Buffer.from(json), sizes), "json", COLUMNS)).toEqual(ROWS);
  }
  expect(await rowsOf("\ufeff[]", "json", COLUMNS)).toEqual([]);
  const text = [["[", "]"], ["{", "}"], ['\\"', "\\\\"]].map(([a, b], id) => ({
    id,
    name: a! + b,
  }));
  expect(await rowsOf(JSON.stringify(text, null, 2), "json", COLUMNS))
    .toEqual(text.map(({ id, name }) => [id, name]));
  expect(await rowsOf('{"id":7}', "json", COLUMNS)).toEqual([[7, null]]);
});

test("batches have as many rows as were asked for, the last what is left", async () => {
  const lines = Array.from({ length: 25 }, (_, id) => `{"id":${id}}`).join("\n");
  const options = { format: "ndjson", columns: COLUMNS, batchRows: 10 } as const;
  const batches = await allOf(readRows(chunksOf(lines), options));
  expect(batches.map(({ rows }) => rows)).toEqual([10, 10, 5]);
});

const REFUSED: readonly (readonly ["ndjson" | "json", string | Uint8Array, string])[] = [
  ["ndjson", '{"id":1}\n{"id":2', "row 2: it is not JSON: Expected '}'"],
  ["ndjson", '{"id":1}\n[1]', "row 2: it is [1]; allowed: an object, a field a column"],
  ["ndjson", '{"id":1,"x":2}', 'row 1: column "x" is not in the table; allowed: id, name'],
  ["ndjson", '{"id":1,"__proto__":{}}', 'row 1: column "__proto__" is not in the table'],
  ["ndjson", '{"name":"a"}', 'row 1: column "id" is missing and must have a value'],
  ["ndjson", '{"id":null}', 'row 1: column "id" is null and must have a value'],
  [
    "ndjson",
    Buffer.concat([Buffer.from('{"id":1}\n{"id":2}\n'), Buffer.from([0x22, 0xff, 0x22, 10])]),
    "row 3: it is not UTF-8",
  ],
  ["ndjson", "[".repeat(1_000_000), "row 1: it is not JSON"],
  ["json", '[{"id":1},{"id":2', "row 2: the body ends within it"],
  ["json", '[{"id":1},', "row 2: the body ends; allowed: an object"],
  ["json", '[{"id":1}', "row 2: the body ends; allowed: a comma or ]"],
  ["json", '[{"id":1},]', 'row 2: it begins with "]"; allowed: an object'],
  ["json", '[{"id":1}{"id":2}]', 'row 2: it begins with "{"; allowed: a comma or ]'],
  ["json", '[{"id":1},5]', "row 2: it is 5; allowed: an object, a field a column"],
  ["json", '[{"id":1],', "row 1: it is not JSON"],
  ["json", '[{"id":1,\n"name":"a\nb"}]', "row 1: it is not JSON"],
  ["json", '{"id":1}\n{"id":2}', 'row 2: it begins with "{"; allowed: nothing more'],
];

for (const [format, body, message] of REFUSED) {
  test(`${format} with "${message}" is refused, in pieces of any size`, async () => {
    const bytes = Buffer.from(body as string);
    for (const sizes of [[bytes.length], [1_000], [7, 1], [1]]) {
      if (bytes.length > 10_000 && sizes[0]! < 1_000) continue;
      const failure = await refusal(cut(bytes, sizes), format, COLUMNS);
      expect(failure).toBeInstanceOf(Failure);
      expect(failure).toMatchObject({ kind: "invalid" });
      expect((failure as Error).message).toStartWith(`Cannot take ${message}`);
    }
  });
}

test("a body of JSON that is empty, or neither object nor array, is refused", async () => {
  const allowed = "allowed: a JSON object, or an array of objects";
  expect(await refusal(" \n", "json", COLUMNS))
    .toMatchObject({ kind: "invalid", message: `The body is empty; ${allowed}` });
  expect(await refusal("id,name", "json", COLUMNS))
    .toMatchObject({ kind: "invalid", message: `The body begins with "i"; ${allowed}` });
});

test("a row that is too long is refused before it is read", async () => {
  async function* endless() {
    yield Buffer.from('{"id":1}\n{"id":2,"name":"');
    for (;;) yield Buffer.alloc(1_000_000, "x");
  }
  expect(await refusal(endless(), "ndjson", COLUMNS)).toMatchObject({
    kind: "too_large",
    message: "Cannot take row 2: it has more than 16777216 bytes",
    details: { row: 2 },
  });
});

test("a long text is refused in no time, with a short message", async () => {
  const long = "1".repeat(8_000_000);
  const bodies = [
    ["ndjson", `{"id":${long}x}`],
    ["ndjson", `{"id":1,"${long}":1}`],
    ["ndjson", `{"id":"${long}"}`],
    ["ndjson", `{"id":1} ${"x".repeat(1_000_000)}`],
    ["csv", `id\n${long}x`],
    ["csv", `id,${long}\n`],
    ["csv", `${long},${long}\n`],
  ] as const;
  for (const [format, body] of bodies) {
    const failure = await refusal(body, format, COLUMNS);
    expect(failure).toMatchObject({ kind: "invalid" });
    const { message, details } = failure as Failure;
    expect(message.length + JSON.stringify(details ?? {}).length).toBeLessThan(700);
  }
  const float = [column("f", "float64")];
  expect(await refusal(`f\n${long}x`, "csv", float)).toMatchObject({ kind: "invalid" });
});

test("a column may be named like what every object inherits", async () => {
  const columns = [column("constructor", "varchar"), column("__proto__", "varchar")];
  expect(await rowsOf('{}\n{"constructor":"a","__proto__":"b"}', "ndjson", columns))
    .toEqual([[null, null], ["a", "b"]]);
});
