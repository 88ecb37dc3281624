import { describe, expect, test } from "bun:test";
import { addColumn, dropColumn, renameColumn } from "../../src/lake/catalog/alter-table.ts";
import { dropTable, renameTable } from "../../src/lake/catalog/create-table.ts";
import { insertRows, openInlinedTable } from "../../src/lake/catalog/inlined.ts";
import { listFiles, tableStatistics } from "../../src/lake/catalog/read-files.ts";
import { listInlinedTables, readInlined } from "../../src/lake/catalog/read-inlined.ts";
import { findSnapshot, listSnapshots } from "../../src/lake/catalog/read-snapshots.ts";
import { listColumns, listSchemas, listTables } from "../../src/lake/catalog/read-tables.ts";
import { createSchema, dropSchema } from "../../src/lake/catalog/schemas.ts";
import { Judge, missing } from "../support/ducklake.ts";
import { inlinedRows, LakeCatalog, wish } from "../support/lake-catalog.ts";
import { sampleColumns, sampleRows, SAMPLES } from "../support/lake-samples.ts";

describe.skipIf(missing !== null)("a lake's history", () => {
  test("shows the real DuckLake each version with the columns and rows that it had", async () => {
    await using judge = await Judge.open();
    using ours = new LakeCatalog(judge.path("ours.db"));
    ours.createTable("t", wish("a", "int32"), wish("s", "struct", wish("x", "varchar")));
    ours.insert("t", [1, ["one"]], [2, null]);
    let { id: table, version } = ours.table("t");
    ours.change(addColumn({ table, version }, wish("b", "list", wish("element", "date"))));
    ours.insert("t", [3, ["three"], [0, null]]);
    ({ version } = ours.table("t"));
    ours.change(renameColumn({ table, version }, { column: 3, name: "y" }));
    ({ version } = ours.table("t"));
    ours.change(dropColumn({ table, version }, 1));
    ours.insert("t", [["four"], []]);
    ours.change(renameTable({ table, schema: "main", name: 'odd "name"' }));
    ours.change(dropTable(table));

    await judge.attached("ours.db", "READ_ONLY", async () => {
      const at = async (name: string, version: number) => {
        const rows = await judge.rows(
          `SELECT to_json(t)::VARCHAR FROM (FROM lake."${name}" AT (VERSION => ${version})) AS t`,
        );
        return rows.map(([row]) => JSON.parse(String(row)));
      };
      expect(await at("t", 2)).toEqual([{ a: 1, s: { x: "one" } }, { a: 2, s: null }]);
      expect(await at("t", 4)).toEqual([
        { a: 1, s: { x: "one" }, b: null },
        { a: 2, s: null, b: null },
        { a: 3, s: { x: "three" }, b: ["1970-01-01", null] },
      ]);
      expect(await at('odd ""name""', 8)).toEqual([
        { s: { y: "one" }, b: null },
        { s: null, b: null },
        { s: { y: "three" }, b: ["1970-01-01", null] },
        { s: { y: "four" }, b: [] },
      ]);
      await expect(at('odd ""name""', 9)).rejects.toThrow("does not exist");
      await expect(at("t", 8)).rejects.toThrow("does not exist");
    });
  });

  test("has the snapshots, times and changes that the real DuckLake lists", async () => {
    await using judge = await Judge.open();
    using ours = new LakeCatalog(judge.path("ours.db"));
    ours.change(createSchema({ name: 'a "b"', uuid: crypto.randomUUID() }));
    const table = ours.createTable("t", wish("a", "int32"));
    ours.insert("t", [1]);
    ours.nowMs -= 60_000;
    ours.insert("t", [2]);
    ours.change(dropSchema(1));
    ours.change(dropTable(table.id));
    const seen = await judge.attached(
      "ours.db",
      "READ_ONLY",
      () =>
        judge.objects(
          "SELECT snapshot_id, epoch_ms(snapshot_time) AS at, schema_version, " +
            "to_json(changes)::VARCHAR AS changes FROM ducklake_snapshots('lake')",
        ),
    );
    const listed = ours.ask(listSnapshots());
    expect(seen.map(({ snapshot_id, at, schema_version }) => [snapshot_id, at, schema_version]))
      .toEqual(
        listed.map((
          { id, atMs, schemaVersion },
        ) => [BigInt(id), BigInt(atMs), BigInt(schemaVersion)]),
      );
    expect(seen.map(({ changes }) => JSON.parse(String(changes)))).toEqual([
      { schemas_created: ["main"] },
      { schemas_created: ['a "b"'] },
      { tables_created: ["main.t"] },
      { inlined_insert: ["2"] },
      { inlined_insert: ["2"] },
      { schemas_dropped: ["1"] },
      { tables_dropped: ["2"] },
    ]);
    expect(listed.map(({ atMs }) => atMs)).toEqual(listed.map(({ atMs }) => atMs).toSorted());
    const third = listed[3];
    expect(ours.ask(findSnapshot({ atMs: (third?.atMs ?? 0) - 1 }))?.id).toBe(2);
    // The clock went back and a snapshot's time does not: the last of those of one moment counts.
    expect(ours.ask(findSnapshot({ atMs: third?.atMs ?? 0 }))?.id).toBe(6);
  });

  test("gives counts and extremes that agree with the rows, for the real DuckLake too", async () => {
    await using judge = await Judge.open();
    using ours = new LakeCatalog(judge.path("ours.db"));
    const table = ours.createTable("t", ...sampleColumns());
    for (const row of sampleRows()) ours.insert("t", row, row);
    const kinds = SAMPLES.map(([type]) => typeof type === "string" ? type : type.name);
    await judge.attached("ours.db", "READ_ONLY", async () => {
      const [[rows] = []] = await judge.rows("SELECT count(*) FROM lake.t");
      expect(rows).toBe(BigInt(sampleRows().length * 2));
      for (const [index, { name, type }] of table.columns.entries()) {
        const all = await judge.rows(
          `SELECT min(${name})::VARCHAR, max(${name})::VARCHAR, count(${name}) FROM lake.t`,
        );
        const bare = await judge.rows(
          `SELECT min(v)::VARCHAR, max(v)::VARCHAR, count(v) FROM (SELECT ${name} AS v FROM lake.t LIMIT 1000)`,
        );
        expect([kinds[index], ...all]).toEqual([kinds[index], ...bare]);
        const statistics = ours.ask(tableStatistics(table.id, table.columns))?.columns[index];
        expect(statistics?.hasNulls).toBe(true);
        if (type.name === "int128" || type.name === "blob" || type.name.startsWith("float")) {
          continue;
        }
        const [texts = []] = ours.rows(
          `SELECT min_value, max_value FROM ducklake_table_column_stats WHERE column_id = ${
            index + 1
          }`,
        );
        const [min, max] = texts.map((text) => `'${String(text).replaceAll("'", "''")}'`);
        const agree = await judge.rows(
          `SELECT min(${name}) = ${min}, max(${name}) = ${max} FROM lake.t`,
        );
        expect([name, type.name, ...agree]).toEqual([name, type.name, [true, true]]);
      }
    });
  });

  test("goes on when the real DuckLake writes", async () => {
    await using judge = await Judge.open();
    using ours = new LakeCatalog(judge.path("ours.db"), { dataPath: `${judge.path("data")}/` });
    ours.createTable("t", wish("a", "int32"), wish("v", "varchar"));
    ours.insert("t", [5, "five"]);
    const altered = ours.table("t");
    ours.change(addColumn({ table: altered.id, version: altered.version }, wish("z", "float64")));
    const table = ours.table("t");
    ours.execute(openInlinedTable({ table: table.id, version: table.version }, table.columns));
    await judge.attached("ours.db", "DATA_INLINING_ROW_LIMIT 10", async () => {
      await judge.run("INSERT INTO lake.t VALUES (-7, 'sieben', 1.5), (8, NULL, 'nan')");
      await judge.run("INSERT INTO lake.t SELECT range, 'bulk', NULL FROM range(100, 150)");
      await judge.run("CREATE SCHEMA lake.theirs");
      await judge.run("CREATE TABLE lake.theirs.u(d DATE)");
      await judge.run("INSERT INTO lake.theirs.u VALUES ('2024-01-15')");
    });
    ours.insert("t", [1000, "again", 2]);

    expect(ours.ask(listSchemas(null)).map(({ name }) => name)).toEqual(["main", "theirs"]);
    expect(ours.ask(listTables(null)).map(({ schema, name }) => `${schema}.${name}`))
      .toEqual(["main.t", "theirs.u"]);
    const inlined = ours.ask(listInlinedTables(table.id)).map(({ version, columnsSnapshot }) => {
      const columns = ours.ask(listColumns(table.id, columnsSnapshot));
      const { rowIds, vectors } = ours.ask(
        readInlined({ table: table.id, version, columns, snapshot: null }),
      );
      return { rowIds, vectors };
    });
    expect(inlined).toEqual([
      { rowIds: [0], vectors: [[5], ["five"]] },
      { rowIds: [1, 2, 53], vectors: [[-7, 8, 1000], ["sieben", null, "again"], [1.5, NaN, 2]] },
    ]);
    expect(ours.ask(listFiles(table.id, null))).toMatchObject([
      { rows: 50, firstRowId: 3, isAbsolute: false, deletes: null },
    ]);
    const statistics = ours.ask(tableStatistics(table.id, table.columns));
    expect(statistics).toMatchObject({ rows: 54, nextRowId: 54 });
    expect(statistics?.columns.slice(0, 2)).toMatchObject([
      { min: -7, max: 1000, hasNulls: false },
      { min: "again", max: "sieben", hasNulls: true },
    ]);
    await judge.attached("ours.db", "READ_ONLY", async () => {
      expect(await judge.rows("SELECT count(*), sum(a), min(v), max(a) FROM lake.t"))
        .toEqual([[54n, 7231n, "again", 1000]]);
      expect(await judge.rows("SELECT a FROM lake.t WHERE v = 'again'")).toEqual([[1000]]);
    });
  });

  test("is followed by a real DuckLake that stays attached", async () => {
    await using judge = await Judge.open();
    using ours = new LakeCatalog(judge.path("ours.db"));
    ours.createTable("t", wish("a", "int32"), wish("v", "varchar"));
    ours.insert("t", [1, "a"]);
    await judge.attached("ours.db", "READ_ONLY", async () => {
      const look = () =>
        judge.rows(
          "SELECT (SELECT max(a) FROM lake.t), (SELECT count(*) FROM lake.t WHERE a > 50), " +
            "(SELECT count(*) FROM lake.t WHERE v IS NULL)",
        );
      expect(await look()).toEqual([[1, 0n, 0n]]);
      ours.insert("t", [100, null]);
      expect(await look()).toEqual([[100, 1n, 1n]]);
      ours.change(addColumn({ table: 1, version: 1 }, wish("late", "date")));
      expect(await judge.rows("SELECT late FROM lake.t")).toEqual([[null], [null]]);
    });
  });

  test("is the same in one snapshot of many requests as in many", async () => {
    await using judge = await Judge.open();
    using ours = new LakeCatalog(judge.path("ours.db"));
    const table = ours.createTable("t", wish("a", "int64"));
    const other = ours.createTable("u", wish("b", "varchar"));
    const made = ours.change(
      insertRows(inlinedRows(table, [[3], [2]])),
      insertRows(inlinedRows(other, [["x"]])),
      insertRows(inlinedRows(table, [[null], [9]])),
    );
    expect(made).toBe(3);
    expect(ours.rows("SELECT changes_made FROM ducklake_snapshot_changes").at(-1))
      .toEqual(["inlined_insert:1,inlined_insert:2"]);
    await judge.attached("ours.db", "READ_ONLY", async () => {
      expect(await judge.rows("SELECT rowid, a FROM lake.t ORDER BY rowid"))
        .toEqual([[0n, 3n], [1n, 2n], [2n, null], [3n, 9n]]);
      expect(await judge.rows("SELECT min(a), max(a), count(*) FROM lake.t")).toEqual([[
        2n,
        9n,
        4n,
      ]]);
    });
    expect(ours.ask(tableStatistics(table.id, table.columns)))
      .toMatchObject({ rows: 4, columns: [{ min: 2, max: 9, hasNulls: true }] });
  });
});
