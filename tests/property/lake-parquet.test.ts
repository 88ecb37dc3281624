import { afterAll, beforeAll, expect, test } from "bun:test";
import fc from "fast-check";
import type { Column } from "../../src/lake/column.ts";
import { divideRows } from "../../src/lake/parquet/divide.ts";
import { dataBytes, vectorBytes } from "../../src/lake/parquet/size.ts";
import { vector } from "../../src/lake/parquet/vector.ts";
import { writeRows } from "../../src/lake/parquet/write.ts";
import type { ColumnStatistics, LakeValue, RowBatch } from "../../src/lake/rows.ts";
import { lakeValue, ParquetJudge } from "../support/duckdb-parquet.ts";
import { rowBatches } from "../support/parquet-arbitrary.ts";

let judge: ParquetJudge;
beforeAll(async () => {
  judge = await ParquetJudge.start();
});
afterAll(() => judge.stop());

test("any rows of any columns come back from DuckDB, with the statistics that it computes", async () => {
  await fc.assert(
    fc.asyncProperty(rowBatches, async (batches) => {
      const { columns } = batches[0]!;
      const file = writeRows(columns, batches);
      const path = judge.keep(file.bytes);
      const written = columns.map((_, index) =>
        batches.flatMap((batch) => batch.vectors[index] ?? [])
      );
      expect(await judge.vectors(path, columns)).toEqual(written);
      await expectCounts(file.statistics, path);
      for (const [index, column] of columns.entries()) {
        if (column.children.length === 0) await expectBounds(column, file.statistics, path);
        else expectSeen(column, written[index] ?? [], file.statistics);
      }
    }),
    { numRuns: 150 },
  );
});

/**
 * As many places as when DuckDB writes the same rows itself. The nulls are those of the writer, in
 * Rust: for structs in lists, DuckDB 1.5.5 counts some of them twice.
 */
async function expectCounts(
  statistics: readonly ColumnStatistics[],
  path: string,
): Promise<void> {
  const copy = judge.path();
  await judge.sql(`COPY (FROM ${path}) TO ${copy} (FORMAT parquet)`);
  const counts = await judge.sql(`
    SELECT ours.column_id::INTEGER AS index, ours.values, ours.nulls, theirs.values AS copied
    FROM (${sums(path)}) ours JOIN (${sums(copy)}) theirs USING (column_id) ORDER BY 1`);
  const rows = statistics.filter(({ values }) => values > 0);
  expect(counts).toEqual(
    rows.map(({ values, nulls }, index) => ({ index, values, nulls, copied: values })),
  );
}

function sums(path: string): string {
  return `SELECT column_id, sum(num_values)::INTEGER AS values,
    sum(stats_null_count)::INTEGER AS nulls FROM parquet_metadata(${path}) GROUP BY column_id`;
}

async function expectBounds(
  column: Column,
  statistics: readonly ColumnStatistics[],
  path: string,
): Promise<void> {
  const { min, max, nans } = statistics.find(({ columnId }) => columnId === column.id)!;
  const isFloat = column.type.name === "float32" || column.type.name === "float64";
  const numbers = isFloat ? `FILTER (NOT isnan(${column.name}))` : "";
  const [row] = await judge.values(`
    SELECT min(${column.name}) ${numbers}, max(${column.name}) ${numbers},
      coalesce(bool_or(${isFloat ? `isnan(${column.name})` : "false"}), false)
    FROM ${path}`);
  const isOrdered = column.type.name !== "blob";
  expect({ min, max, nans }).toEqual({
    min: isOrdered ? lakeValue(column, row?.[0] ?? null) : null,
    max: isOrdered ? lakeValue(column, row?.[1] ?? null) : null,
    nans: row?.[2] === true,
  });
}

/** Nested columns, value by value. */
function expectSeen(
  column: Column,
  values: readonly LakeValue[],
  statistics: readonly ColumnStatistics[],
): void {
  if (column.children.length > 0) {
    const found = values.filter((value) => value !== null) as readonly (readonly LakeValue[])[];
    const [first] = column.children;
    if (column.type.name === "list") return expectSeen(first!, found.flat(1), statistics);
    const structs = column.type.name === "map"
      ? found.flat(1) as readonly (readonly LakeValue[])[]
      : found;
    for (const [index, child] of column.children.entries()) {
      expectSeen(child, structs.map((struct) => struct[index] ?? null), statistics);
    }
    return;
  }
  const { min, max, nans } = statistics.find(({ columnId }) => columnId === column.id)!;
  const isOrdered = column.type.name !== "blob";
  const present = values.filter((value) => value !== null && !Number.isNaN(value));
  const sorted = isOrdered ? present.toSorted(compare) : [];
  expect({ min, max, nans }).toEqual({
    min: sorted[0] ?? null,
    max: sorted.at(-1) ?? null,
    nans: values.some(Number.isNaN),
  });
}

function compare(left: LakeValue, right: LakeValue): number {
  if (typeof left === "string" && typeof right === "string") {
    return Buffer.compare(Buffer.from(left), Buffer.from(right));
  }
  return Number(left! > right!) - Number(left! < right!);
}

test("any rows divided into files are the same rows, and no vector is larger than reckoned", () => {
  fc.assert(
    fc.property(rowBatches, fc.integer({ min: 1, max: 400 }), (batches, bytesMax) => {
      const limits = { rowsMax: 7, bytesMax };
      const groups = divideRows(batches, limits);
      for (const [index, column] of batches[0]!.columns.entries()) {
        const values = (list: readonly RowBatch[]) =>
          list.flatMap((batch) => batch.vectors[index] ?? []);
        expect(values(groups.flat())).toEqual(values(batches));
        for (const group of groups) {
          expect(dataBytes(vector(column, values(group))))
            .toBeLessThanOrEqual(vectorBytes(column, values(group)));
        }
      }
      for (const group of groups) {
        const rows = group.reduce((sum, batch) => sum + batch.rows, 0);
        const bytes = group.flatMap((batch) =>
          batch.columns.map((column, index) => vectorBytes(column, batch.vectors[index] ?? []))
        ).reduce((sum, size) => sum + size, 0);
        expect(rows <= 7).toBe(true);
        expect(bytes <= bytesMax || rows === 1).toBe(true);
      }
    }),
  );
});
