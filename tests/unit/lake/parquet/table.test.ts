import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  type Field,
  Int32,
  makeData,
  RecordBatch,
  Schema,
  Struct,
  Table,
  tableFromIPC,
  tableToIPC,
  TimestampMicrosecond,
  TimestampMillisecond,
  Utf8,
  vectorFromArray,
} from "apache-arrow";
import { arrowField, holds } from "../../../../src/lake/parquet/arrow-field.ts";
import { vector } from "../../../../src/lake/parquet/vector.ts";
import { writeRows, writeTable } from "../../../../src/lake/parquet/write.ts";
import type { LakeValue } from "../../../../src/lake/rows.ts";
import { ParquetJudge } from "../../../support/duckdb-parquet.ts";
import { ColumnMaker } from "../../../support/lake-column.ts";
import { SAMPLE_BATCH } from "../../../support/parquet-samples.ts";

let judge: ParquetJudge;
beforeAll(async () => {
  judge = await ParquetJudge.start();
});
afterAll(() => judge.stop());

const { columns, rows, vectors } = SAMPLE_BATCH;

/** As a client sends it: through a stream of bytes. */
function sampleTable(): Table {
  const fields: Field[] = columns.map((column) => arrowField(column));
  const schema = new Schema(fields);
  const children = columns.map((column, index) => vector(column, vectors[index] ?? []));
  const type = new Struct(fields);
  const batch = new RecordBatch(schema, makeData({ type, length: rows, nullCount: 0, children }));
  return tableFromIPC(tableToIPC(new Table(schema, [batch, batch])));
}

test("a table makes the file that its rows make, with the same statistics", () => {
  const fromTable = writeTable(columns, sampleTable());
  const fromRows = writeRows(columns, [SAMPLE_BATCH, SAMPLE_BATCH]);
  expect(fromTable.statistics).toEqual(fromRows.statistics);
  expect(Buffer.compare(fromTable.bytes, fromRows.bytes)).toBe(0);
});

test("any slice of a table makes the file of just its rows", async () => {
  const table = sampleTable();
  for (const [from, to] of [[0, 1], [1, 4], [3, 9], [6, 12], [2, 2 * rows], [rows, rows + 1]]) {
    const slice = table.slice(from, to);
    const file = writeTable(columns, slice);
    const values = vectors.map((vector) => [...vector, ...vector].slice(from, to));
    const expected = writeRows(columns, [{ columns, rows: slice.numRows, vectors: values }]);
    const facts = (
      { columnId, values, nulls, nans, min, max }: typeof file.statistics[number],
    ) => ({
      ...{ columnId, values, nulls, nans, min, max },
    });
    expect(file.statistics.map(facts)).toEqual(expected.statistics.map(facts));
    expect(await judge.vectors(judge.keep(file.bytes), columns))
      .toEqual(values as LakeValue[][]);
  }
});

test("the fields of a null struct and the elements of a null list are no values", async () => {
  const make = new ColumnMaker();
  const struct = make.make("s", "struct", [make.make("a", "int32")]);
  const list = make.list("l", make.make("element", "int32"));
  const nullBitmap = Uint8Array.of(0b101);
  const numbers = () => makeData({ type: new Int32(), data: Int32Array.of(1, -100, 3) });
  const data = [
    makeData({
      type: arrowField(struct).type as Struct,
      length: 3,
      nullBitmap,
      children: [numbers()],
    }),
    makeData({
      type: arrowField(list).type as never,
      length: 3,
      nullBitmap,
      valueOffsets: Int32Array.of(0, 1, 2, 3),
      child: numbers(),
    } as never),
  ];
  const fields = [arrowField(struct), arrowField(list)];
  const schema = new Schema(fields);
  const type = new Struct(fields);
  const table = new Table(schema, [
    new RecordBatch(schema, makeData({ type, length: 3, nullCount: 0, children: data })),
  ]);
  const file = writeTable([struct, list], table);
  for (const statistics of file.statistics) {
    expect(statistics).toMatchObject({ values: 3, nulls: 1, min: 1, max: 3 });
  }
  expect(await judge.vectors(judge.keep(file.bytes), [struct, list]))
    .toEqual([[[1], null, [3]], [[1], null, [3]]]);
});

test("a table's names and nullability are its sender's, a file's are the lake's", async () => {
  const column = new ColumnMaker().make("ours", "varchar");
  const table = new Table({ theirs: vectorFromArray(["x"], new Utf8()) });
  const file = writeTable([column], table);
  expect(await judge.sql(`FROM ${judge.keep(file.bytes)}`)).toEqual([{ ours: "x" }]);
});

test("a type is only held by its like", () => {
  const make = new ColumnMaker();
  const timestamp = make.make("t", "timestamp");
  const zoned = make.make("t", "timestamptz");
  expect(holds(new TimestampMicrosecond(), timestamp)).toBe(true);
  expect(holds(new TimestampMillisecond(), timestamp)).toBe(false);
  expect(holds(new TimestampMicrosecond("Europe/Berlin"), timestamp)).toBe(false);
  expect(holds(new TimestampMicrosecond("Europe/Berlin"), zoned)).toBe(true);
  expect(holds(new TimestampMicrosecond(), zoned)).toBe(false);
  const nested = (element: "int32" | "int64") =>
    make.list("l", make.make("element", "struct", [make.make("x", element)]));
  expect(holds(arrowField(nested("int32")).type, nested("int32"))).toBe(true);
  expect(holds(arrowField(nested("int32")).type, nested("int64"))).toBe(false);
  for (const [index, column] of columns.entries()) {
    for (const [other, { type }] of columns.map((column) => arrowField(column)).entries()) {
      if (index === other) expect(holds(type, column)).toBe(true);
    }
  }
  const table = new Table({ n: vectorFromArray([1], new Int32()) });
  expect(() => writeTable([make.make("n", "int64")], table)).toThrow("n has its type, not Int32");
});
