import { expect, test } from "bun:test";
import { addColumn } from "../../../../src/lake/catalog/alter-table.ts";
import { registerFiles } from "../../../../src/lake/catalog/data-files.ts";
import { tableStatistics } from "../../../../src/lake/catalog/read-files.ts";
import { statisticText } from "../../../../src/lake/catalog/value-text.ts";
import { LakeCatalog, wish } from "../../../support/lake-catalog.ts";

test("an instant that was kept with another offset than UTC is not compared", () => {
  using ours = new LakeCatalog();
  const { columns } = ours.createTable("t", wish("z", "timestamptz"));
  ours.insert("t", [0n]);
  ours.database.run("UPDATE ducklake_table_column_stats SET min_value = '1969-12-31 23:30:00-01'");
  ours.insert("t", [3_600_000_000n]);
  const [z] = ours.ask(tableStatistics(1, columns))?.columns ?? [];
  expect([z?.min, z?.max]).toEqual([null, 3_600_000_000n]);
});

test("a bound that is not known stays so when one more value comes", () => {
  using ours = new LakeCatalog();
  const { columns } = ours.createTable("t", wish("v", "varchar"));
  ours.insert("t", ["b"]);
  ours.database.run("UPDATE ducklake_table_column_stats SET min_value = NULL");
  ours.insert("t", ["c"]);
  expect(ours.ask(tableStatistics(1, columns))?.columns).toMatchObject([{ min: null, max: "c" }]);
});

test("nothing is claimed of a column that came after the first rows", () => {
  using ours = new LakeCatalog();
  ours.createTable("t", wish("a", "int8"));
  ours.insert("t", [1]);
  ours.change(addColumn({ table: 1, version: 1 }, wish("b", "int8")));
  ours.insert("t", [2, 5]);
  const { columns } = ours.table("t");
  expect(ours.ask(tableStatistics(1, columns))?.columns.map(({ columnId }) => columnId))
    .toEqual([1]);
});

test("a column that a file lacks has nulls from then on", () => {
  using ours = new LakeCatalog();
  const { columns } = ours.createTable("t", wish("a", "int8"));
  ours.insert("t", [1]);
  const hasNulls = () => ours.ask(tableStatistics(1, columns))?.columns[0]?.hasNulls;
  expect(hasNulls()).toBe(false);
  const file = { path: "x", rows: 1, bytes: 1, footerBytes: 1, statistics: [] };
  ours.change(registerFiles({ table: 1, columns, files: [file] }));
  expect(hasNulls()).toBe(true);
});

test("a long text bounds from below when it is cut, and from above not at all", () => {
  const long = "x".repeat(255) + "😀";
  expect(statisticText(long, { name: "varchar" }, "min")).toBe("x".repeat(255));
  expect(statisticText(long, { name: "varchar" }, "max")).toBeNull();
  expect(statisticText(5n, { name: "int128" }, "min")).toBeNull();
});
