import { expect, test } from "bun:test";
import fc from "fast-check";
import { tableStatistics } from "../../src/lake/catalog/read-files.ts";
import { combineRows } from "../../src/lake/catalog/combine-rows.ts";
import { insertRows } from "../../src/lake/catalog/inlined.ts";
import { inlinedRows, LakeCatalog, wish } from "../support/lake-catalog.ts";
import type { LakeValue } from "../../src/lake/rows.ts";

const nullable = <T>(values: fc.Arbitrary<T>) => fc.option(values, { freq: 3 });
const cells = fc.tuple(
  nullable(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })),
  nullable(fc.double()),
  nullable(fc.bigInt({ min: -(10n ** 17n), max: 10n ** 17n })),
  nullable(fc.string({ unit: "grapheme", maxLength: 8 }).map((text) => text.toWellFormed())),
  nullable(fc.integer({ min: -5_000_000, max: 5_000_000 })),
  nullable(fc.boolean()),
);

const COLUMNS = [
  wish("i", "int32"),
  wish("f", "float64"),
  wish("d", { name: "decimal", precision: 18, scale: 5 }),
  wish("v", "varchar"),
  wish("e", "date"),
  wish("b", "boolean"),
];

/** The smallest and largest of all rows at once, in JavaScript. */
function extremes(values: readonly LakeValue[]): readonly [LakeValue, LakeValue] {
  const there = values.filter((value) => value !== null && !Number.isNaN(value));
  const key = (value: LakeValue) =>
    typeof value === "string" ? Buffer.from(value).toString("hex") : value as number;
  const sorted = there.toSorted((a, b) => key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0);
  return [sorted[0] ?? null, sorted.at(-1) ?? null];
}

test("a table's statistics are those of all its rows, however they came in batches", () => {
  fc.assert(
    fc.property(
      fc.array(fc.array(cells, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 5 }),
      (batches) => {
        using ours = new LakeCatalog();
        const { columns } = ours.createTable("t", ...COLUMNS);
        for (const batch of batches) ours.insert("t", ...batch);
        const statistics = ours.ask(tableStatistics(1, columns));
        const rows = batches.flat();
        expect(statistics).toMatchObject({ rows: rows.length, nextRowId: rows.length });
        statistics?.columns.forEach(({ min, max, hasNulls, hasNans }, index) => {
          const values = rows.map((row) => row[index] as LakeValue);
          expect(hasNulls).toBe(values.includes(null));
          const nans = values.some(Number.isNaN);
          expect(hasNans).toBe(index === 1 ? nans : null);
          // Of a column with NaN its extremes mean nothing to a reader.
          if (nans) return;
          const [smallest, largest] = extremes(values);
          expect([min === smallest, max === largest]).toEqual([true, true]);
        });
      },
    ),
    { numRuns: 40 },
  );
});

test("the rows of many requests are the same when they are combined into one change", () => {
  fc.assert(
    fc.property(
      fc.array(fc.array(cells, { maxLength: 3 }), { minLength: 1, maxLength: 5 }),
      (batches) => {
        using apart = new LakeCatalog();
        using together = new LakeCatalog();
        const table = apart.createTable("t", ...COLUMNS);
        together.createTable("t", ...COLUMNS);
        const parts = batches.map((batch) => inlinedRows(table, batch));
        apart.change(...parts.map(insertRows));
        together.change(insertRows(combineRows(parts)));
        const content = (of: LakeCatalog) =>
          ["inlined_data_1_1", "table_stats", "table_column_stats", "snapshot_changes"]
            .map((name) => of.rows(`SELECT * FROM ducklake_${name}`));
        // With NaN in it a column's extremes mean nothing, and may differ.
        if (parts.some(({ statistics }) => statistics.some(({ nans }) => nans))) return;
        expect(content(together)).toEqual(content(apart));
      },
    ),
    { numRuns: 40 },
  );
});
