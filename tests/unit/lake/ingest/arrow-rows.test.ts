import { expect, test } from "bun:test";
import * as arrow from "apache-arrow";
import { readArrow } from "../../../../src/lake/ingest/arrow-rows.ts";
import { inferColumns } from "../../../../src/lake/ingest/infer.ts";
import { allOf, chunksOf, cut } from "../../../support/byte-chunks.ts";
import { column, decimal, list, map, struct } from "../../../support/lake-columns.ts";
import { refusal, rowsOf } from "../../../support/lake-rows.ts";

function stream(vectors: Readonly<Record<string, arrow.Vector>>): Uint8Array {
  return arrow.tableToIPC(new arrow.Table(vectors), "stream");
}

const IDS = arrow.vectorFromArray([1, 2, 3], new arrow.Int32());
const NAMES = arrow.vectorFromArray(["é", null, ""], new arrow.Utf8());

test("columns are matched by name, and one that the stream lacks is NULL", async () => {
  const columns = [column("name", "varchar"), column("extra", "date"), column("id", "int32")];
  const bytes = stream({ id: IDS, name: NAMES });
  const rows = [["é", null, 1], [null, null, 2], ["", null, 3]];
  for (const sizes of [[1], [5, 9], [100_000]]) {
    expect(await rowsOf(cut(bytes, sizes), "arrow", columns, 2)).toEqual(rows);
  }
});

test("integers and floats widen, dictionaries become their values", async () => {
  const columns = [column("id", "int64"), column("f", "float64"), column("d", "varchar")];
  const bytes = stream({
    id: IDS,
    f: arrow.vectorFromArray([0.5, null, 2], new arrow.Float32()),
    d: arrow.vectorFromArray(
      ["a", null, "a"],
      new arrow.Dictionary(new arrow.Utf8(), new arrow.Int32()),
    ),
  });
  expect(await rowsOf(bytes, "arrow", columns))
    .toEqual([[1, 0.5, "a"], [2, null, null], [3, 2, "a"]]);
});

test("what was made elsewhere by an Arrow writer is read: nested values too", async () => {
  const columns = [
    list("l", "int32"),
    struct("s", column("b", "boolean"), column("a", "int64")),
    map("m", "varchar", "int32"),
  ];
  const item = new arrow.Field("item", new arrow.Int32(), true);
  const fields = [
    new arrow.Field("a", new arrow.Int64(), true),
    new arrow.Field("b", new arrow.Bool(), true),
  ];
  const entries = new arrow.Struct([
    new arrow.Field("k", new arrow.Utf8(), false),
    new arrow.Field("v", new arrow.Int32(), true),
  ]);
  const bytes = stream({
    l: arrow.vectorFromArray([[1, null], null, []], new arrow.List(item)),
    s: arrow.vectorFromArray(
      [{ a: 2n ** 60n, b: true }, null, { a: null, b: false }],
      new arrow.Struct(fields),
    ),
    m: arrow.vectorFromArray(
      [new Map([["x", 1]]), null, new Map()],
      new arrow.Map_(new arrow.Field("entries", entries, false) as never),
    ),
  });
  expect(await rowsOf(bytes, "arrow", columns)).toEqual([
    [[1, null], [true, 2n ** 60n], [["x", 1]]],
    [null, null, null],
    [[], [false, null], []],
  ]);
});

test("a type that may hold more than the column is refused, whatever it holds", async () => {
  const bytes = stream({ id: arrow.vectorFromArray([1n], new arrow.Int64()) });
  expect(await refusal(bytes, "arrow", [column("id", "int32")])).toMatchObject({
    kind: "invalid",
    message: 'Cannot take the Arrow stream: column "id" is Int64; allowed: what fits int32',
    details: { column: "id" },
  });
  const price = stream({ p: arrow.vectorFromArray(["a"], new arrow.Utf8()) });
  expect(await refusal(price, "arrow", [column("p", decimal(5, 2))]))
    .toMatchObject({ message: expect.stringContaining("allowed: what fits decimal(5,2)") });
});

test("an unknown column, one that is missing, and a null where none may be are refused", async () => {
  const id = column("id", "int32", { nullable: false });
  const name = column("name", "varchar", { nullable: false });
  const bytes = stream({ id: IDS, name: NAMES });
  expect(await refusal(bytes, "arrow", [id])).toMatchObject({
    message: 'Cannot take the Arrow stream: column "name" is not in the table; allowed: id',
  });
  expect(await refusal(stream({ id: IDS }), "arrow", [id, name])).toMatchObject({
    message: 'Cannot take the Arrow stream: column "name" is missing and must have a value',
  });
  expect(await refusal(bytes, "arrow", [id, name])).toMatchObject({
    message: 'Cannot take row 2: column "name" is null and must have a value',
    details: { row: 2, column: "name" },
  });
});

test("text that is not UTF-8 is refused with its row", async () => {
  const bytes = stream({ name: arrow.vectorFromArray(["ab", "Zürich", "cd"], new arrow.Utf8()) });
  const at = Buffer.from(bytes).indexOf("Zürich") + 1;
  bytes[at] = 0xff;
  expect(await refusal(bytes, "arrow", [column("name", "varchar")])).toMatchObject({
    message: 'Cannot take row 2: column "name": it is not UTF-8',
    details: { row: 2, column: "name" },
  });
});

test("a stream that is cut anywhere is refused", async () => {
  const bytes = stream({ id: IDS, name: NAMES });
  for (let length = 0; length < bytes.length; length += 3) {
    expect(
      await refusal(bytes.subarray(0, length), "arrow", [
        column("id", "int32"),
        column("name", "varchar"),
      ]),
    ).toMatchObject({ name: "Failure", kind: "invalid" });
  }
});

test("the batches that go on as Arrow have the table's columns, those of the same type untouched", async () => {
  const columns = [
    column("name", "varchar"),
    column("day", "date"),
    column("id", "int64"),
    column("n", "int32"),
  ];
  const bytes = stream({ id: IDS, name: NAMES, n: IDS });
  const [batch] = await allOf(readArrow(chunksOf(bytes), columns));
  expect(batch!.schema.fields.map((field) => `${field.name} ${field.type}`))
    .toEqual(["name Utf8", "day Date32<DAY>", "id Int64", "n Int32"]);
  expect(batch!.toArray().map((row) => Object.values(row!.toJSON())))
    .toEqual([["é", null, 1n, 1], [null, null, 2n, 2], ["", null, 3n, 3]]);
  // It can be written again.
  const again = arrow.tableToIPC(new arrow.Table([batch!]), "stream");
  expect(await rowsOf(again, "arrow", columns)).toEqual([
    ["é", null, 1, 1],
    [null, null, 2, 2],
    ["", null, 3, 3],
  ]);
});

test("the columns of a new table are exactly those of the stream", async () => {
  const bytes = stream({
    a: arrow.vectorFromArray([1], new arrow.Uint16()),
    b: arrow.vectorFromArray(["x"], new arrow.Dictionary(new arrow.Utf8(), new arrow.Int32())),
    c: arrow.vectorFromArray([0], new arrow.TimestampMillisecond()),
    d: arrow.vectorFromArray([0], new arrow.TimestampMillisecond("UTC")),
    e: arrow.vectorFromArray(
      [[1]],
      new arrow.List(new arrow.Field("item", new arrow.Int8(), true)),
    ),
  });
  const { columns, body } = await inferColumns(chunksOf(bytes), "arrow");
  expect(columns.map(({ name, type }) => `${name} ${type.name}`))
    .toEqual(["a uint16", "b varchar", "c timestamp_ms", "d timestamptz", "e list"]);
  expect(Buffer.concat(await allOf(body)).equals(bytes)).toBe(true);
});

test("a type that no column has is refused with its name", async () => {
  const bytes = stream({ i: arrow.vectorFromArray([1n], new arrow.DurationSecond()) });
  expect(await refusal(bytes, "arrow", [column("i", "int64")])).toMatchObject({
    kind: "invalid",
    message:
      "Cannot read the Arrow stream: a field is of Arrow's type Duration, which no column can have",
  });
});
