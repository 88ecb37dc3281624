import { describe, expect, test } from "bun:test";
import { describeStatement } from "../../../../src/database/rules.ts";
import type { Statement } from "../../../../src/database/statement.ts";
import { addColumn, dropColumn, renameColumn } from "../../../../src/lake/catalog/alter-table.ts";
import { VERSION } from "../../../../src/base/version.ts";
import { createLake, lakeMetadata, moveLake } from "../../../../src/lake/catalog/create-lake.ts";
import { createTable, dropTable, renameTable } from "../../../../src/lake/catalog/create-table.ts";
import {
  type DataFile,
  dateCondemned,
  forgetFiles,
  registerFiles,
} from "../../../../src/lake/catalog/data-files.ts";
import { expireSnapshots } from "../../../../src/lake/catalog/expire.ts";
import { flushRows } from "../../../../src/lake/catalog/flush.ts";
import { canInline, dropInlinedTable, insertRows } from "../../../../src/lake/catalog/inlined.ts";
import { mergeFiles } from "../../../../src/lake/catalog/merge.ts";
import { listCondemned, listFiles } from "../../../../src/lake/catalog/read-files.ts";
import { listInlinedTables } from "../../../../src/lake/catalog/read-inlined.ts";
import { findSnapshot } from "../../../../src/lake/catalog/read-snapshots.ts";
import { listTables } from "../../../../src/lake/catalog/read-tables.ts";
import { createSchema, dropSchema } from "../../../../src/lake/catalog/schemas.ts";
import { snapshot } from "../../../../src/lake/catalog/snapshot.ts";
import { CATALOG_TABLES } from "../../../../src/lake/catalog/tables.ts";
import type { ColumnWish } from "../../../../src/lake/column.ts";
import { inlinedRows, LakeCatalog, wish } from "../../../support/lake-catalog.ts";

const uuid = "00000000-0000-4000-8000-000000000001";

function file(path: string, rows: number): DataFile {
  return { path, rows, bytes: 100, footerBytes: 10, statistics: [] };
}

function lake(): LakeCatalog {
  const made = new LakeCatalog();
  made.createTable("t", wish("a", "int32"), wish("b", "varchar"));
  return made;
}

test("a catalog has the 28 tables of DuckLake", () => {
  expect(CATALOG_TABLES).toHaveLength(28);
  expect(new Set(CATALOG_TABLES).size).toBe(28);
});

test("a lake says what made it and where its files are, and can be moved", () => {
  using ours = lake();
  expect(ours.ask(lakeMetadata()))
    .toEqual({ version: "1.0", createdBy: `Headgate ${VERSION}`, dataPath: "data/" });
  ours.execute([moveLake("s3://bucket/other")]);
  expect(ours.ask(lakeMetadata()).dataPath).toBe("s3://bucket/other/");
});

test("a snapshot has an author and a message where they are given", () => {
  using ours = lake();
  const options = { nowMs: ours.nowMs, author: "ann", message: "why" };
  ours.execute(snapshot([createSchema({ name: "s", uuid })], options));
  expect(ours.ask(findSnapshot("newest")))
    .toMatchObject({ id: 2, author: "ann", message: "why", changes: 'created_schema:"s"' });
  expect(ours.ask(findSnapshot({ version: 1 }))).toMatchObject({ author: null, message: null });
  expect(ours.ask(findSnapshot({ version: 3 }))).toBeNull();
});

test("what is condemned gets the epoch by which it was", () => {
  using ours = lake();
  const { columns } = ours.table("t");
  ours.change(registerFiles({ table: 1, columns, files: [file("a", 1), file("b", 1)] }));
  const replaced = ours.ask(listFiles(1, null)).map(({ id }) => id);
  ours.change(mergeFiles({ table: 1, columns, replaced, file: file("c", 2) }));
  expect(ours.ask(listCondemned()))
    .toEqual([{ path: "a", epoch: null }, { path: "b", epoch: null }]);
  ours.execute([dateCondemned(7)]);
  expect(ours.ask(listCondemned())).toEqual([{ path: "a", epoch: 7 }, { path: "b", epoch: 7 }]);
  ours.execute(forgetFiles(["a"]));
  expect(ours.ask(listCondemned())).toEqual([{ path: "b", epoch: 7 }]);
});

test("every statement obeys the rules for statements, but for those that name machinery", () => {
  using ours = lake();
  const table = ours.table("t");
  const of = { table: 1, version: 1 };
  const all: readonly Statement[] = [
    ...createLake({ dataPath: "x", schemaUuid: uuid, nowMs: 0 }),
    ...[
      createSchema({ name: "s", uuid }),
      dropSchema(1),
      createTable({ schema: "main", name: "u", uuid, columns: [wish("a", "int8")] }),
      dropTable(1),
      renameTable({ table: 1, schema: "main", name: "v" }),
      addColumn(of, wish("c", "int8")),
      renameColumn(of, { column: 1, name: "z" }),
      dropColumn(of, 1),
      insertRows(inlinedRows(table, [[1, "x"]])),
      registerFiles({ ...of, columns: table.columns, files: [file("a", 1)] }),
      flushRows({ ...of, columns: table.columns, upToSnapshot: 1, files: [file("b", 1)] }),
      mergeFiles({ table: 1, replaced: [0], columns: table.columns, file: file("c", 1) }),
    ].flatMap((change) => snapshot([change], { nowMs: 0 })),
    ...expireSnapshots({ beforeMs: 0, nowMs: 0 }),
    ...dropInlinedTable(of),
    ...forgetFiles(["x"]),
  ];
  for (const { sql } of all) {
    const { mentionsMachinery } = describeStatement(sql, "trusted");
    if (!mentionsMachinery) expect(() => describeStatement(sql, "execute")).not.toThrow();
  }
});

describe("a change that does not fit is refused with its reason and changes nothing", () => {
  test("when a schema or a table is missing", () => {
    using ours = lake();
    const columns = [wish("a", "int8")];
    expect(ours.refusal(createTable({ schema: "no", name: "x", uuid, columns })))
      .toBe("schema_missing");
    expect(ours.refusal(dropSchema(9))).toBe("schema_missing");
    expect(ours.refusal(dropTable(9))).toBe("table_missing");
    expect(ours.refusal(renameTable({ table: 9, schema: "main", name: "x" })))
      .toBe("table_missing");
    const table = ours.table("t");
    ours.change(dropTable(table.id));
    expect(ours.refusal(insertRows(inlinedRows(table, [[1, "x"]])))).toBe("table_missing");
    expect(ours.refusal(registerFiles({ table: 1, columns: [], files: [file("a", 1)] })))
      .toBe("table_missing");
  });

  test("when a name is taken, in any case, and when a schema is in use", () => {
    using ours = lake();
    const columns = [wish("a", "int8")];
    expect(ours.refusal(createSchema({ name: "MAIN", uuid }))).toBe("name_taken");
    expect(ours.refusal(createTable({ schema: "Main", name: "T", uuid, columns })))
      .toBe("name_taken");
    expect(ours.refusal(renameTable({ table: 1, schema: "main", name: "T" }))).toBe("name_taken");
    expect(ours.refusal(addColumn({ table: 1, version: 1 }, wish("B", "int8")))).toBe("name_taken");
    expect(ours.refusal(renameColumn({ table: 1, version: 1 }, { column: 1, name: "B" })))
      .toBe("name_taken");
    expect(ours.refusal(dropSchema(0))).toBe("schema_not_empty");
  });

  test("when the columns have changed meanwhile", () => {
    using ours = lake();
    const before = ours.table("t");
    const of = { table: before.id, version: before.version };
    ours.change(addColumn(of, wish("c", "int8")));
    expect(ours.refusal(addColumn(of, wish("d", "int8")))).toBe("columns_changed");
    expect(ours.refusal(renameColumn(of, { column: 1, name: "z" }))).toBe("columns_changed");
    expect(ours.refusal(dropColumn(of, 1))).toBe("columns_changed");
    expect(ours.refusal(insertRows(inlinedRows(before, [[1, "x"]])))).toBe("columns_changed");
    const files = [file("a", 1)];
    expect(ours.refusal(registerFiles({ ...of, columns: [], files }))).toBe("columns_changed");
    expect(ours.refusal(registerFiles({ table: 1, columns: [], files }))).toBeNull();
  });

  test("when a column is missing, fixed or the last one", () => {
    using ours = new LakeCatalog();
    ours.createTable("t", wish("m", "map", wish("key", "varchar"), wish("value", "int8")));
    const of = { table: 1, version: 1 };
    expect(ours.refusal(dropColumn(of, 9))).toBe("column_missing");
    expect(ours.refusal(dropColumn(of, 3))).toBe("column_fixed");
    expect(ours.refusal(renameColumn(of, { column: 2, name: "k" }))).toBe("column_fixed");
    expect(ours.refusal(dropColumn(of, 1))).toBe("column_last");
  });

  test("when files do not hold what they replace", () => {
    using ours = lake();
    const { columns } = ours.table("t");
    const of = { table: 1, version: 1, columns };
    expect(ours.refusal(flushRows({ ...of, upToSnapshot: 1, files: [file("a", 1)] })))
      .toBe("inlined_missing");
    ours.insert("t", [1, "x"], [2, "y"]);
    expect(ours.refusal(flushRows({ ...of, upToSnapshot: 2, files: [file("a", 1)] })))
      .toBe("rows_changed");
    ours.database.run("UPDATE ducklake_inlined_data_1_1 SET end_snapshot = 3 WHERE row_id = 0");
    expect(ours.refusal(flushRows({ ...of, upToSnapshot: 2, files: [file("a", 2)] })))
      .toBe("rows_deleted");
    ours.change(registerFiles({ ...of, files: [file("a", 1), file("b", 2)] }));
    expect(ours.refusal(registerFiles({ ...of, files: [file("b", 2)] }))).toBe("path_taken");
    const replaced = ours.ask(listFiles(1, null)).map(({ id }) => id);
    const merge = { table: 1, columns, replaced, file: file("c", 3) };
    expect(ours.refusal(mergeFiles({ ...merge, file: file("c", 4) }))).toBe("rows_changed");
    expect(ours.refusal(mergeFiles({ ...merge, replaced: [...replaced, 77] })))
      .toBe("file_missing");
    ours.change(addColumn({ table: 1, version: 1 }, wish("c", "int8")));
    ours.change(registerFiles({ table: 1, columns, files: [file("d", 1)] }));
    const later = ours.ask(listFiles(1, null)).map(({ id }) => id);
    expect(ours.refusal(mergeFiles({ ...merge, replaced: later, file: file("e", 4) })))
      .toBe("files_differ");
    expect(ours.refusal(mergeFiles(merge))).toBeNull();
  });

  test("and says which of several changes it was", () => {
    using ours = lake();
    const good = insertRows(inlinedRows(ours.table("t"), [[1, "x"]]));
    const bad = registerFiles({ table: 9, columns: [], files: [file("a", 1)] });
    expect(() => ours.change(good, bad)).toThrow("Cannot change the lake: there is no such table");
    try {
      ours.change(good, bad);
    } catch (error) {
      expect(error).toMatchObject({ kind: "missing", details: { statement: 1 } });
    }
    expect(ours.rows("SELECT max(snapshot_id) FROM ducklake_snapshot")).toEqual([[1n]]);
  });
});

describe("columns", () => {
  test("are read as they were wished for, with ids from outside to inside", () => {
    using ours = new LakeCatalog();
    const wishes: ColumnWish[] = [
      { ...wish("a", "int64"), nullable: false },
      wish(
        "s",
        "struct",
        wish("x", { name: "decimal", precision: 20, scale: 4 }),
        wish("l", "list", wish("element", "map", wish("key", "uuid"), wish("value", "json"))),
      ),
      wish('"', "timestamp_ns"),
    ];
    const { columns } = ours.createTable("t", ...wishes);
    const ids: number[] = [];
    const plain = (of: typeof columns): unknown[] =>
      of.map(({ id, children, ...rest }) => {
        ids.push(id);
        return { ...rest, children: plain(children) };
      });
    expect(plain(columns)).toEqual(wishes);
    expect(ids).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    ours.change(dropColumn({ table: 1, version: 1 }, 2));
    ours.change(addColumn({ table: 1, version: 2 }, wish("n", "list", wish("element", "date"))));
    expect(ours.table("t").columns.map(({ id, children }) => [id, ...children.map(({ id }) => id)]))
      .toEqual([[1], [8], [9, 10]]);
    expect(ours.ask(listTables(1))[0]?.columns).toEqual(columns);
  });

  test.each<[string, ColumnWish[]]>([
    ["no columns", []],
    ["two columns called", [wish("a", "int8"), wish("A", "int8")]],
    ["is a list with children", [wish("l", "list")]],
    ["is a map with children", [wish("m", "map", wish("key", "int8"))]],
    ["is a int8 with children", [wish("i", "int8", wish("x", "int8"))]],
    ["is a decimal(39,1)", [wish("d", { name: "decimal", precision: 39, scale: 1 })]],
    ["it is empty", [wish("", "int8")]],
    ["NUL", [wish("a\0", "int8")]],
  ])("that no table can have are invalid: %s", (reason, columns) => {
    expect(() => createTable({ schema: "main", name: "t", uuid, columns })).toThrow(reason);
  });

  test("with the names of an inlined table's own cannot be inlined, nor can lists of JSON", () => {
    using ours = new LakeCatalog();
    expect(canInline(ours.createTable("a", wish("Row_Id", "int8")).columns)).toBe(false);
    expect(canInline(ours.createTable("b", wish("l", "list", wish("element", "json"))).columns))
      .toBe(false);
    expect(canInline(ours.createTable("c", wish("j", "json")).columns)).toBe(true);
    expect(() => ours.insert("b", [["1"]])).toThrow(
      "it has a list of JSON, or a column called row_id",
    );
  });
});

test("rows go into an inlined table that is known to be there, and are refused where it is not", () => {
  using ours = lake();
  const rows = { ...inlinedRows(ours.table("t"), [[1, "x"]]), isOpen: true };
  expect(ours.refusal(insertRows(rows))).toBe("inlined_missing");
  ours.insert("t", [0, "w"]);
  expect(ours.refusal(insertRows(rows))).toBeNull();
  expect(ours.rows("SELECT row_id, a FROM ducklake_inlined_data_1_1")).toEqual([[0n, 0n], [
    1n,
    1n,
  ]]);
});

test("an inlined table is dropped once it is empty and takes no more rows", () => {
  using ours = lake();
  ours.insert("t", [1, "x"]);
  expect(() => ours.execute(dropInlinedTable({ table: 1, version: 1 }))).toThrow("still has rows");
  const { columns } = ours.table("t");
  ours.change(addColumn({ table: 1, version: 1 }, wish("c", "int8")));
  expect(() => ours.execute(dropInlinedTable({ table: 1, version: 1 }))).toThrow("still has rows");
  ours.change(
    flushRows({ table: 1, version: 1, columns, upToSnapshot: 3, files: [file("a", 1)] }),
  );
  ours.execute(dropInlinedTable({ table: 1, version: 1 }));
  expect(ours.ask(listInlinedTables(null))).toEqual([]);
  ours.insert("t", [2, "y", 3]);
  expect(ours.ask(listInlinedTables(1)).map(({ version }) => version)).toEqual([2]);
});
