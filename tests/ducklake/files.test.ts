import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, rmSync, statSync } from "node:fs";
import { addColumn } from "../../src/lake/catalog/alter-table.ts";
import { dropTable } from "../../src/lake/catalog/create-table.ts";
import { type DataFile, forgetFiles, registerFiles } from "../../src/lake/catalog/data-files.ts";
import { expireSnapshots } from "../../src/lake/catalog/expire.ts";
import { flushRows, ROW_ID_COLUMN, SNAPSHOT_COLUMN } from "../../src/lake/catalog/flush.ts";
import { inlinedTableName } from "../../src/lake/catalog/inlined.ts";
import { mergeFiles } from "../../src/lake/catalog/merge.ts";
import { listCondemned, listFiles, tableStatistics } from "../../src/lake/catalog/read-files.ts";
import { listInlinedTables, readInlined } from "../../src/lake/catalog/read-inlined.ts";
import type { LakeTable } from "../../src/lake/catalog/read-tables.ts";
import type { Column } from "../../src/lake/column.ts";
import type { ColumnStatistics } from "../../src/lake/rows.ts";
import { Judge, missing } from "../support/ducklake.ts";
import { LakeCatalog, wish } from "../support/lake-catalog.ts";

const COLUMNS = [wish("a", "int64"), wish("v", "varchar")];
const OWN = `${ROW_ID_COLUMN.name}: ${ROW_ID_COLUMN.fieldId}, ` +
  `${SNAPSHOT_COLUMN.name}: ${SNAPSHOT_COLUMN.fieldId}`;

/** A lake with its files in a folder, written by DuckDB itself. */
class Stage {
  readonly judge: Judge;
  readonly ours: LakeCatalog;

  constructor(judge: Judge) {
    this.judge = judge;
    this.ours = new LakeCatalog(judge.path("ours.db"), { dataPath: `${judge.path("data")}/` });
    mkdirSync(judge.path("data"));
  }

  /** Writes the rows of a query, in its order, with the field ids of columns `a` and `v`. */
  async write(path: string, query: string, { own = false, more = "" } = {}): Promise<DataFile> {
    const target = this.judge.path(`data/${path}`);
    await this.judge.run(
      `COPY (${query}) TO '${target}' (FORMAT parquet, FIELD_IDS {a: 1, v: 2${more}${
        own ? `, ${OWN}` : ""
      }})`,
    );
    const [[rows, a, b, n, v, w, m] = []] = await this.judge.rows(
      "SELECT count(*), min(a), max(a), count(*) - count(a), min(v), max(v), count(*) - count(v) " +
        `FROM read_parquet('${target}')`,
    );
    const count = Number(rows);
    const common = { values: count, nans: false, bytes: 1 };
    const statistics: ColumnStatistics[] = [
      {
        columnId: 1,
        min: a as bigint | null,
        max: b as bigint | null,
        nulls: Number(n),
        ...common,
      },
      {
        columnId: 2,
        min: v as string | null,
        max: w as string | null,
        nulls: Number(m),
        ...common,
      },
    ];
    const [[footer] = []] = await this.judge.rows(
      `SELECT footer_size FROM parquet_file_metadata('${target}')`,
    );
    return {
      path,
      rows: count,
      bytes: statSync(target).size,
      footerBytes: Number(footer),
      statistics,
    };
  }

  /** What the real DuckLake answers, in the order of row ids. */
  see(sql: string): Promise<unknown[][]> {
    return this.judge.attached("ours.db", "READ_ONLY", () => this.judge.rows(sql));
  }

  /** The rows of each version from the first to the last. */
  async versions(first: number, last: number): Promise<unknown[]> {
    const seen: unknown[] = [];
    for (let version = first; version <= last; version++) {
      seen.push(
        await this.see(`SELECT rowid, a, v FROM lake.t AT (VERSION => ${version}) ORDER BY rowid`),
      );
    }
    return seen;
  }

  /** Flushes what is inlined for a table's columns as they are, in files of so many rows. */
  async flush({ id: table, version, columns }: LakeTable, upToSnapshot: number, size: number) {
    const name = inlinedTableName({ table, version });
    await this.judge.run(`ATTACH '${this.judge.path("ours.db")}' AS raw (TYPE sqlite, READ_ONLY)`);
    const late = columns.length > 2 ? ["late, ", ", late: 3"] : ["", ""];
    const query = `SELECT a, v, ${late[0]}row_id AS ${ROW_ID_COLUMN.name}, begin_snapshot AS ` +
      `${SNAPSHOT_COLUMN.name} FROM raw.${name} WHERE begin_snapshot <= ${upToSnapshot} ORDER BY row_id`;
    const [[count] = []] = await this.judge.rows(`SELECT count(*) FROM (${query})`);
    const files: DataFile[] = [];
    for (let at = 0; at < Number(count); at += size) {
      const path = `flushed-${version}-${upToSnapshot}-${at}.parquet`;
      files.push(
        await this.write(path, `${query} LIMIT ${size} OFFSET ${at}`, {
          own: true,
          more: late[1] ?? "",
        }),
      );
    }
    await this.judge.run("DETACH raw");
    return flushRows({ table, version, columns, upToSnapshot, files });
  }
}

async function stage(): Promise<Stage & AsyncDisposable> {
  const judge = await Judge.open();
  const made = new Stage(judge);
  return Object.assign(made, {
    async [Symbol.asyncDispose]() {
      made.ours.database.close();
      await judge[Symbol.asyncDispose]();
    },
  });
}

function register(table: LakeTable, ...files: DataFile[]) {
  const columns: readonly Column[] = table.columns;
  return registerFiles({ table: table.id, version: table.version, columns, files });
}

describe.skipIf(missing !== null)("files that we register", () => {
  test("are read with their rows, row ids and statistics", async () => {
    await using lake = await stage();
    const { ours } = lake;
    const table = ours.createTable("t", ...COLUMNS);
    ours.insert("t", [7, "inlined"]);
    const first = await lake.write(
      "first.parquet",
      "SELECT range AS a, 'f' AS v FROM range(10, 13)",
    );
    const second = await lake.write("second.parquet", "SELECT -1 AS a, NULL::VARCHAR AS v");
    ours.change(register(table, first, second));
    ours.insert("t", [8, "later"]);
    expect(await lake.see("SELECT rowid, a, v FROM lake.t ORDER BY rowid")).toEqual([
      [0n, 7n, "inlined"],
      [1n, 10n, "f"],
      [2n, 11n, "f"],
      [3n, 12n, "f"],
      [4n, -1n, null],
      [5n, 8n, "later"],
    ]);
    expect(await lake.see("SELECT count(*), min(a), max(a), min(v), max(v) FROM lake.t"))
      .toEqual([[6n, -1n, 12n, "f", "later"]]);
    expect(await lake.see("SELECT a FROM lake.t WHERE a = 11")).toEqual([[11n]]);
    expect(ours.ask(listFiles(table.id, null))).toMatchObject([
      { path: "first.parquet", rows: 3, firstRowId: 1, bytes: first.bytes },
      { path: "second.parquet", rows: 1, firstRowId: 4, bytes: second.bytes },
    ]);
    expect(ours.ask(tableStatistics(table.id, table.columns))).toMatchObject({
      rows: 6,
      nextRowId: 6,
      fileBytes: first.bytes + second.bytes,
      columns: [{ min: -1, max: 12, hasNulls: false }, { min: "f", max: "later", hasNulls: true }],
    });
  });

  test("say of a column that they do not have that it has nulls", async () => {
    await using lake = await stage();
    const { ours } = lake;
    const old = ours.createTable("t", ...COLUMNS);
    ours.change(addColumn({ table: old.id, version: old.version }, wish("late", "int32")));
    ours.insert("t", [1, "x", 5]);
    const file = await lake.write("old.parquet", "SELECT 2::BIGINT AS a, 'y' AS v");
    ours.change(registerFiles({ table: old.id, columns: old.columns, files: [file] }));
    expect(await lake.see("SELECT late, late IS NULL FROM lake.t ORDER BY rowid"))
      .toEqual([[5, false], [null, true]]);
    expect(await lake.see("SELECT count(*) FROM lake.t WHERE late IS NULL")).toEqual([[1n]]);
  });
});

describe.skipIf(missing !== null)("flushed rows", () => {
  test("are the same rows in every version, before and after", async () => {
    await using lake = await stage();
    const { ours } = lake;
    const table = ours.createTable("t", ...COLUMNS);
    ours.insert("t", [1, "a"], [2, "b"]);
    ours.insert("t", [3, "c"]);
    const file = await lake.write("between.parquet", "SELECT 4 AS a, 'd' AS v");
    ours.change(register(table, file));
    ours.insert("t", [5, null], [6, "f"]);
    ours.insert("t", [7, "not flushed"]);
    const before = await lake.versions(1, 6);
    ours.change(await lake.flush(table, 5, 2));
    expect(await lake.versions(1, 6)).toEqual(before);
    expect(await lake.versions(7, 7)).toEqual(before.slice(-1));
    expect(ours.rows(`SELECT row_id FROM ${inlinedTableName({ table: 1, version: 1 })}`))
      .toEqual([[6n]]);
    expect(
      ours.ask(listFiles(1, null)).map((
        file,
      ) => [file.rows, file.firstRowId, file.beginSnapshot, file.partialMax]),
    )
      .toEqual([[2, 0, 2, 2], [2, 2, 3, 5], [1, 3, 4, null], [1, 5, 5, 5]]);
    expect(ours.ask(tableStatistics(1, table.columns))).toMatchObject({ rows: 7, nextRowId: 7 });
    ours.insert("t", [8, "after"]);
    expect(await lake.see("SELECT rowid, a FROM lake.t WHERE a > 6 ORDER BY rowid"))
      .toEqual([[6n, 7n], [7n, 8n]]);
  });

  test("have the columns of their time, whichever version is flushed first", async () => {
    await using lake = await stage();
    const { ours } = lake;
    const old = ours.createTable("t", ...COLUMNS);
    ours.insert("t", [1, "a"]);
    ours.change(addColumn({ table: old.id, version: old.version }, wish("late", "int32")));
    const late = ours.table("t");
    ours.insert("t", [2, "b", 22]);
    const all = "FROM lake.t ORDER BY rowid";
    const before = [await lake.versions(1, 4), await lake.see(all)];
    ours.change(await lake.flush(late, 4, 10));
    expect([await lake.versions(1, 4), await lake.see(all)]).toEqual(before);
    ours.change(await lake.flush(old, 4, 10));
    expect([await lake.versions(1, 4), await lake.see(all)]).toEqual(before);
    expect(ours.ask(listFiles(1, null)).map(({ version }) => version))
      .toEqual([old.version, late.version]);
  });

  test("and deleted ones of the real DuckLake are known to us", async () => {
    await using lake = await stage();
    const { ours } = lake;
    const { id: table, version, columns } = ours.createTable("t", ...COLUMNS);
    ours.insert("t", [1, "a"], [2, "b"], [3, "c"]);
    const inlined = readInlined({ table, version, columns, snapshot: null });
    await lake.judge.attached("ours.db", "", async () => {
      await lake.judge.run("DELETE FROM lake.t WHERE a = 2");
      await lake.judge.run("UPDATE lake.t SET v = 'z' WHERE a = 3");
    });
    const { rowIds, vectors } = ours.ask(inlined);
    expect(rowIds).toHaveLength(2);
    expect(vectors[1]?.toSorted()).toEqual(["a", "z"]);
    expect(ours.refusal(flushRows({ table, version, columns, upToSnapshot: 9, files: [] })))
      .toBe("rows_deleted");
    await lake.judge.attached("ours.db", "", async () => {
      await lake.judge.run("CALL ducklake_flush_inlined_data('lake')");
    });
    expect(ours.ask(inlined).rows).toBe(0);
    const files = ours.ask(listFiles(table, null));
    const live = files.reduce((sum, { rows, deletes }) => sum + rows - (deletes?.rows ?? 0), 0);
    expect([files.length, live, files[0]?.deletes?.format]).toEqual([1, 2, "parquet"]);
    for (const { path } of files) expect(existsSync(lake.judge.path(`data/${path}`))).toBe(true);
    ours.insert("t", [4, "d"]);
    expect(await lake.see("SELECT sum(a), count(*) FROM lake.t")).toEqual([[8n, 3n]]);
  });

  test("stay the same when what was flushed is merged", async () => {
    await using lake = await stage();
    const { ours } = lake;
    const table = ours.createTable("t", ...COLUMNS);
    ours.insert("t", [1, "a"], [2, "b"]);
    ours.change(register(table, await lake.write("x.parquet", "SELECT 3 AS a, 'c' AS v")));
    ours.insert("t", [4, "d"]);
    ours.change(await lake.flush(table, 4, 100));
    const before = await lake.versions(1, 5);
    const files = ours.ask(listFiles(1, null));
    const merged = await lake.write(
      "merged.parquet",
      "SELECT row AS _ducklake_internal_row_id, a, v, made AS _ducklake_internal_snapshot_id " +
        "FROM (VALUES (0, 2, 1, 'a'), (1, 2, 2, 'b'), (2, 3, 3, 'c'), (3, 4, 4, 'd')) " +
        "AS t(row, made, a, v)",
      { own: true },
    );
    ours.change(mergeFiles({
      table: 1,
      replaced: files.map(({ id }) => id),
      columns: table.columns,
      file: merged,
    }));
    for (const { path } of files) rmSync(lake.judge.path(`data/${path}`));
    expect(await lake.versions(1, 5)).toEqual(before);
    expect(await lake.versions(6, 6)).toEqual(before.slice(-1));
    expect(ours.ask(listFiles(1, null))).toMatchObject([
      { path: "merged.parquet", rows: 4, firstRowId: 0, beginSnapshot: 2, partialMax: 4 },
    ]);
    expect(ours.ask(listCondemned()).map(({ path }) => path).toSorted())
      .toEqual(files.map(({ path }) => path).toSorted());
    expect(ours.ask(tableStatistics(1, table.columns))?.fileBytes).toBe(merged.bytes);
    // The path of a file that may be deleted at any moment is not taken again.
    expect(ours.refusal(register(table, { ...merged, path: "x.parquet" }))).toBe("path_condemned");
    ours.execute(forgetFiles(["x.parquet"]));
    expect(ours.refusal(register(table, { ...merged, path: "x.parquet" }))).toBeNull();
  });
});

describe.skipIf(missing !== null)("expired snapshots", () => {
  test("take along what only they saw, and the real DuckLake reads what is left", async () => {
    await using lake = await stage();
    const { ours } = lake;
    const gone = ours.createTable("gone", ...COLUMNS);
    ours.change(register(gone, await lake.write("gone.parquet", "SELECT 1 AS a, 'x' AS v")));
    ours.insert("gone", [2, "y"]);
    const table = ours.createTable("t", ...COLUMNS);
    ours.change(register(table, await lake.write("kept.parquet", "SELECT 3 AS a, 'z' AS v")));
    ours.change(dropTable(gone.id));
    const keptFromMs = ours.nowMs;
    ours.insert("t", [4, "w"]);
    ours.execute(expireSnapshots({ beforeMs: keptFromMs, nowMs: ours.nowMs }));
    expect(ours.rows("SELECT snapshot_id FROM ducklake_snapshot_changes")).toEqual([[6n], [7n]]);
    expect(ours.rows("SELECT DISTINCT table_id FROM ducklake_table")).toEqual([[2n]]);
    for (
      const  of of["column", "data_file", "file_column_stats", "table_stats", "schema_versions"]
    ) {
      expect([of, ...ours.rows(`SELECT DISTINCT table_id FROM ducklake_${of}`)]).toEqual([of, [
        2n,
      ]]);
    }
    expect(ours.ask(listCondemned()).map(({ path }) => path)).toEqual(["gone.parquet"]);
    expect(ours.ask(listInlinedTables(null)).filter(({ isOrphan }) => isOrphan))
      .toMatchObject([{ table: 1, version: 1 }]);
    expect(await lake.versions(6, 7)).toEqual([[[0n, 3n, "z"]], [[0n, 3n, "z"], [1n, 4n, "w"]]]);
    await expect(lake.see("SELECT * FROM lake.t AT (VERSION => 5)")).rejects.toThrow(
      "No snapshot found",
    );
    expect(existsSync(lake.judge.path("data/kept.parquet"))).toBe(true);
  });

  test("leave files that the real DuckLake deletes where they are", async () => {
    await using lake = await stage();
    const { ours } = lake;
    await lake.judge.attached("ours.db", "DATA_INLINING_ROW_LIMIT 0", async () => {
      await lake.judge.run("CREATE SCHEMA lake.theirs");
      await lake.judge.run("CREATE TABLE lake.theirs.u AS SELECT range AS a FROM range(100)");
      await lake.judge.run("DROP TABLE lake.theirs.u");
    });
    const table = ours.createTable("t", ...COLUMNS);
    ours.change(register(table, await lake.write("gone.parquet", "SELECT 1 AS a, 'x' AS v")));
    ours.change(dropTable(table.id));
    ours.execute(expireSnapshots({ beforeMs: Number.MAX_SAFE_INTEGER, nowMs: ours.nowMs }));
    const paths = ours.ask(listCondemned()).map(({ path }) => path).toSorted();
    expect(paths).toEqual(["gone.parquet", expect.stringMatching(/^theirs\/u\/[\w-]+\.parquet$/)]);
    for (const path of paths) expect(existsSync(lake.judge.path(`data/${path}`))).toBe(true);
    await lake.judge.attached("ours.db", "", async () => {
      await lake.judge.run("CALL ducklake_cleanup_old_files('lake', cleanup_all => true)");
    });
    for (const path of paths) expect(existsSync(lake.judge.path(`data/${path}`))).toBe(false);
  });

  test("are expired by the real DuckLake too, in a lake of ours", async () => {
    await using lake = await stage();
    const { ours } = lake;
    const table = ours.createTable("t", ...COLUMNS);
    ours.insert("t", [1, "a"]);
    ours.insert("t", [2, "b"]);
    ours.change(await lake.flush(table, 3, 10));
    await lake.judge.attached("ours.db", "", async () => {
      await lake.judge.run("CALL ducklake_expire_snapshots('lake', versions => [1, 2])");
      await lake.judge.run("CALL ducklake_flush_inlined_data('lake')");
      await lake.judge.run("CALL ducklake_merge_adjacent_files('lake')");
    });
    expect(await lake.versions(3, 3)).toEqual([[[0n, 1n, "a"], [1n, 2n, "b"]]]);
    ours.insert("t", [3, "c"]);
    expect(await lake.see("SELECT sum(a), count(*) FROM lake.t")).toEqual([[6n, 3n]]);
  });
});
