import { describe, expect, test } from "bun:test";
import { Judge, missing } from "../support/ducklake.ts";
import { LakeCatalog } from "../support/lake-catalog.ts";
import { nestedColumns, nestedRows, sampleColumns, sampleRows } from "../support/lake-samples.ts";
import { lakeValue } from "../support/lake-values.ts";
import type { LakeValue } from "../../src/lake/rows.ts";
import type { LakeTable } from "../../src/lake/catalog/read-tables.ts";

async function judged(judge: Judge, { columns, name }: LakeTable): Promise<LakeValue[][]> {
  const rows = await judge.rows(`SELECT * FROM lake.${name} ORDER BY rowid`);
  return rows.map((row) =>
    row.map((value, index) => {
      const column = columns[index];
      if (column === undefined) throw new Error("a column too many");
      return lakeValue(value, column);
    })
  );
}

describe.skipIf(missing !== null)("rows that we inline", () => {
  test("are the same rows for the real DuckLake, of every type", async () => {
    await using judge = await Judge.open();
    using ours = new LakeCatalog(judge.path("ours.db"));
    const table = ours.createTable("t", ...sampleColumns());
    ours.insert("t", ...sampleRows());
    const seen = await judge.attached("ours.db", "READ_ONLY", () => judged(judge, table));
    for (const [index, column] of table.columns.entries()) {
      expect([column.type.name, ...seen.map((row) => row[index])])
        .toEqual([column.type.name, ...sampleRows().map((row) => row[index] as LakeValue)]);
    }
  });

  test("are the same rows where lists, structs and maps stand in one another", async () => {
    await using judge = await Judge.open();
    using ours = new LakeCatalog(judge.path("ours.db"));
    const table = ours.createTable("t", ...nestedColumns());
    ours.insert("t", ...nestedRows());
    const seen = await judge.attached("ours.db", "READ_ONLY", () => judged(judge, table));
    for (const [index, { name }] of table.columns.entries()) {
      expect([name, ...seen.map((row) => row[index])])
        .toEqual([name, ...nestedRows().map((row) => row[index] as LakeValue)]);
    }
  });
});
