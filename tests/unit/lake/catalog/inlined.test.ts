import { expect, test } from "bun:test";
import { encodeRow, type SqlValue } from "../../../../src/database/value.ts";
import { encodeRows } from "../../../../src/lake/catalog/inlined.ts";
import type { Row } from "../../../../src/lake/catalog/query.ts";
import { inlinedSize, readInlined } from "../../../../src/lake/catalog/read-inlined.ts";
import { batchOf, LakeCatalog, wish } from "../../../support/lake-catalog.ts";
import {
  nestedColumns,
  nestedRows,
  sampleColumns,
  sampleRows,
} from "../../../support/lake-samples.ts";

test.each([
  ["plain", sampleColumns(), sampleRows()],
  ["nested", nestedColumns(), nestedRows()],
])("%s rows of every type come back as they were", (_, wishes, rows) => {
  using ours = new LakeCatalog();
  const { columns } = ours.createTable("t", ...wishes);
  ours.insert("t", ...rows);
  const query = readInlined({ table: 1, version: 1, columns, snapshot: null });
  expect(ours.ask(query).vectors).toEqual(batchOf(columns, rows).vectors);
  // What an answer over the network says is read just the same.
  const carried = ours.ask({
    ...query,
    decode: (cells) => cells.map((row) => JSON.parse(encodeRow(row as SqlValue[])) as Row),
  });
  expect(query.decode(carried).vectors).toEqual(batchOf(columns, rows).vectors);
});

test("a text with a NUL character and one with half a surrogate are kept as far as Unicode goes", () => {
  using ours = new LakeCatalog();
  const { columns } = ours.createTable("t", wish("v", "varchar"));
  ours.insert("t", ["a\0b"], ["\ud800x"]);
  expect(ours.ask(readInlined({ table: 1, version: 1, columns, snapshot: null })).vectors)
    .toEqual([["a\0b", "\ufffdx"]]);
});

test("rows are those of the snapshot, from a row id on, with their ids and snapshots", () => {
  using ours = new LakeCatalog();
  const { columns } = ours.createTable("t", wish("a", "int8"));
  ours.insert("t", [1], [2]);
  ours.insert("t", [3], [4]);
  ours.database.run("UPDATE ducklake_inlined_data_1_1 SET end_snapshot = 3 WHERE row_id = 1");
  const read = (snapshot: number | null, more = {}) => {
    const { rowIds, snapshots, vectors } = ours.ask(
      readInlined({ table: 1, version: 1, columns, snapshot, ...more }),
    );
    return [rowIds, snapshots, ...vectors];
  };
  expect(read(1)).toEqual([[], [], []]);
  expect(read(2)).toEqual([[0, 1], [2, 2], [1, 2]]);
  expect(read(null)).toEqual([[0, 2, 3], [2, 3, 3], [1, 3, 4]]);
  expect(read(null, { fromRowId: 1, limit: 1 })).toEqual([[2], [3], [3]]);
  const of = { table: 1, version: 1 };
  expect(ours.ask(inlinedSize(of, 2))).toEqual({ rows: 2, newestSnapshot: 2 });
  expect(ours.ask(inlinedSize(of, 1))).toEqual({ rows: 0, newestSnapshot: null });
});

test("a batch's JSON is short and exact", () => {
  using ours = new LakeCatalog();
  const { columns } = ours.createTable(
    "t",
    wish("a", "int64"),
    wish("b", "boolean"),
    wish("c", "blob"),
    wish("d", "float64"),
  );
  expect(
    encodeRows(
      batchOf(columns, [[2n ** 63n - 1n, true, Uint8Array.of(255), 0.1], [-1, null, null, null]]),
    ),
  )
    .toBe('[[9223372036854775807,1,"FF","0.1"],[-1,null,null,null]]');
});
