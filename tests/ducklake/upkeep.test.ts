import { describe, expect, test } from "bun:test";
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { addColumn, dropColumn, renameColumn } from "../../src/lake/catalog/alter-table.ts";
import { registerFiles } from "../../src/lake/catalog/data-files.ts";
import { expireSnapshots } from "../../src/lake/catalog/expire.ts";
import {
  inlinedSize,
  listInlinedTables,
  readInlined,
} from "../../src/lake/catalog/read-inlined.ts";
import { listFiles } from "../../src/lake/catalog/read-files.ts";
import { listColumns } from "../../src/lake/catalog/read-tables.ts";
import { mergeRows } from "../../src/lake/load/merge-rows.ts";
import { packRows } from "../../src/lake/load/pack-rows.ts";
import { BY_HAND, BY_ITSELF, chooseMerges } from "../../src/lake/merge-choice.ts";
import { writeRows } from "../../src/lake/parquet/write.ts";
import type { LakeValue } from "../../src/lake/rows.ts";
import { Judge, missing } from "../support/ducklake.ts";
import { batchOf, LakeCatalog, wish } from "../support/lake-catalog.ts";

/** A lake whose files are where the real DuckLake finds them, all written by us. */
class Stage {
  readonly judge: Judge;
  readonly ours: LakeCatalog;
  #files = 0;

  constructor(judge: Judge) {
    this.judge = judge;
    this.ours = new LakeCatalog(judge.path("ours.db"), { dataPath: `${judge.path("data")}/` });
    mkdirSync(judge.path("data"));
  }

  /** Rows as a request brings them that is too large for the catalog. */
  register(...rows: readonly (readonly LakeValue[])[]): void {
    const { id: table, columns } = this.ours.table("t");
    const { bytes, ...file } = writeRows(columns, [batchOf(columns, rows)]);
    const path = `file-${++this.#files}.parquet`;
    writeFileSync(this.judge.path(`data/${path}`), bytes);
    const files = [{ ...file, path, bytes: bytes.length }];
    this.ours.change(registerFiles({ table, columns, files }));
  }

  flush(): void {
    for (const { table, version, columnsSnapshot } of this.ours.ask(listInlinedTables(1))) {
      const columns = this.ours.ask(listColumns(table, columnsSnapshot));
      const of = { table, version, columns, snapshot: null };
      const source = this.judge.path(`rows-${++this.#files}`);
      const { sql, params } = readInlined(of);
      const rows = this.ours.ask({ sql, params, decode: (rows) => rows });
      const asText = (_: string, value: unknown) =>
        typeof value === "bigint" ? Number(value) : value;
      writeFileSync(source, JSON.stringify({ rows }, asText));
      const upToSnapshot = this.ours.ask(inlinedSize(of, null)).newestSnapshot!;
      const table_ = { id: table, version, columns };
      this.#commit(packRows({ source, table: table_, upToSnapshot, output: this.#output() }));
    }
  }

  /** As the leader does by itself. Answers how many files became one. */
  merge(rules = BY_ITSELF): number {
    const { id } = this.ours.table("t");
    const [group = []] = chooseMerges(this.ours.ask(listFiles(id, null)), new Map(), rules);
    const { version, beginSnapshot } = group[0]!;
    const columns = this.ours.ask(listColumns(id, beginSnapshot));
    const files = group.map((file) => ({
      ...file,
      path: this.judge.path(`data/${file.path}`),
      isPartial: file.partialMax !== null,
    }));
    const merged = mergeRows({ table: { id, version, columns }, files, output: this.#output() });
    this.#commit(merged);
    return merged.replaced.length;
  }

  /** Row ids and rows of each version. */
  async versions(versions: readonly number[]): Promise<unknown[]> {
    return await this.judge.attached("ours.db", "READ_ONLY", async () => {
      const seen: unknown[] = [];
      for (const version of versions) {
        const sql = `SELECT rowid, a, v FROM lake.t AT (VERSION => ${version}) ORDER BY rowid`;
        seen.push(await this.judge.rows(sql));
      }
      return seen;
    });
  }

  #output() {
    return { path: this.judge.path(`made-${++this.#files}`), name: `made-${this.#files}` };
  }

  #commit({ change, files }: Pick<ReturnType<typeof mergeRows>, "change" | "files">): void {
    for (const { path, name } of files) renameSync(path, this.judge.path(`data/${name}`));
    this.ours.change(change!);
  }
}

describe.skipIf(missing !== null)("a lake that we keep in order", () => {
  test("shows the real DuckLake rows of all columns that a table has had", async () => {
    await using judge = await Judge.open();
    const stage = new Stage(judge);
    using ours = stage.ours;
    ours.createTable("t", wish("a", "int64"), wish("v", "varchar"));
    const of = () => {
      const { id: table, version } = ours.table("t");
      return { table, version };
    };
    stage.register([1, "one"]);
    stage.register([2, null]);
    ours.insert("t", [3, "three"]);
    ours.change(addColumn(of(), wish("w", "int32")));
    stage.register([4, "four", 40]);
    ours.insert("t", [5, "five", 50]);
    ours.change(renameColumn(of(), { column: 2, name: "words" }));
    stage.register([6, "six", 60]);
    ours.insert("t", [7, "seven", null]);
    ours.change(dropColumn(of(), 3));
    stage.register([8, "eight"]);
    ours.insert("t", [9, "nine"]);
    // By the name of the one that is gone, and of another type.
    ours.change(addColumn(of(), wish("w", "varchar")));
    stage.register([10, "ten", "new"]);
    ours.insert("t", [11, "eleven", null]);

    const at = (version: number) =>
      judge.rows(
        "SELECT row_to_json(t)::VARCHAR FROM (SELECT rowid, * FROM lake.t " +
          `AT (VERSION => ${version})) AS t ORDER BY rowid`,
      );
    const look = () =>
      judge.attached("ours.db", "READ_ONLY", async () => {
        const seen: unknown[] = [];
        for (let version = 2; version <= 16; version++) seen.push(await at(version));
        // Statistics of files and of the table leave no row out.
        const few = "SELECT rowid FROM lake.t WHERE w IS NULL AND words > 'a' ORDER BY rowid";
        return [...seen, await judge.rows(few)];
      });
    const before = await look();
    const texts = [["one"], [null], ["three"], ["four"], ["five"], ["six"], ["seven"]];
    expect((before.at(-2) as [string][]).map(([text]) => JSON.parse(text))).toEqual([
      ...[...texts, ["eight"], ["nine"]].map(([words], index) => ({
        ...{ rowid: index, a: index + 1, words, w: null },
      })),
      { rowid: 9, a: 10, words: "ten", w: "new" },
      { rowid: 10, a: 11, words: "eleven", w: null },
    ]);
    stage.flush();
    expect(await look()).toEqual(before);
    expect(stage.merge(BY_HAND)).toBe(3);
    expect(stage.merge(BY_HAND)).toBe(2);
    expect(await look()).toEqual(before);
  });

  test("shows the real DuckLake the same rows, ids and history before and after a merge", async () => {
    await using judge = await Judge.open();
    const stage = new Stage(judge);
    using ours = stage.ours;
    ours.createTable("t", wish("a", "int64"), wish("v", "list", wish("element", "varchar")));
    // Inlined rows before and after a file's own are flushed together: their ids lie around the file's.
    ours.insert("t", [1, ["one"]], [2, null]);
    stage.register([3, ["three", null]], [4, []]);
    ours.insert("t", [5, ["five"]]);
    stage.flush();
    stage.register([6, ["six"]]);
    stage.register([null, null]);
    ours.insert("t", [8, ["eight"]]);
    stage.flush();
    const versions = [2, 3, 4, 5, 6, 7, 8, 9];
    const before = await stage.versions(versions);
    expect(stage.merge()).toBe(5);
    expect(ours.ask(listFiles(1, null))).toHaveLength(1);
    expect(await stage.versions(versions)).toEqual(before);
    expect(await stage.versions([10])).toEqual(before.slice(-1));

    stage.register([9, ["nine"]]);
    const after = await stage.versions([10, 11]);
    ours.execute(expireSnapshots({ beforeMs: ours.nowMs - 500, nowMs: ours.nowMs }));
    expect(await stage.versions([11])).toEqual(after.slice(1));
    await expect(stage.versions([5])).rejects.toThrow();
  });
});
