import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  MERGE_FILES_MAX,
  MERGE_GROWTH,
  MERGE_SMALL_BYTES,
  MERGE_VECTOR_BYTES_MAX,
  PARQUET_ROWS_MAX,
} from "../../src/base/lake-limits.ts";
import type { StoredFile } from "../../src/lake/catalog/read-files.ts";
import type { Column } from "../../src/lake/column.ts";
import { mergeRows } from "../../src/lake/load/merge-rows.ts";
import { BY_HAND, BY_ITSELF, chooseMerges } from "../../src/lake/merge-choice.ts";
import { ROW_ID_COLUMN, SNAPSHOT_ID_COLUMN, writeRows } from "../../src/lake/parquet/write.ts";
import type { LakeValue, RowBatch } from "../../src/lake/rows.ts";
import { ParquetJudge } from "../support/duckdb-parquet.ts";
import { rowBatches } from "../support/parquet-arbitrary.ts";

const folder = mkdtempSync(join(tmpdir(), "headgate-merge-"));
let judge: ParquetJudge;
beforeAll(async () => {
  judge = await ParquetJudge.start();
});
afterAll(() => {
  judge.stop();
  rmSync(folder, { recursive: true });
});

interface NumberedRow {
  readonly rowId: number;
  readonly snapshot: number;
  readonly values: readonly LakeValue[];
}

/** A file as it is in a lake: with ids and snapshots of its rows, or with neither. */
interface SourceFile {
  readonly rows: readonly NumberedRow[];
  readonly hasLineage: boolean;
}

let files = 0;

function written(columns: readonly Column[], { rows, hasLineage }: SourceFile) {
  const batch: RowBatch = {
    columns,
    rows: rows.length,
    vectors: columns.map((_, index) => rows.map(({ values }) => values[index] ?? null)),
  };
  const lineage = {
    rowIds: BigInt64Array.from(rows, ({ rowId }) => BigInt(rowId)),
    snapshotIds: BigInt64Array.from(rows, ({ snapshot }) => BigInt(snapshot)),
  };
  const path = join(folder, `source-${++files}`);
  writeFileSync(path, writeRows(columns, [batch], hasLineage ? lineage : {}).bytes);
  return {
    id: files,
    path,
    rows: rows.length,
    firstRowId: rows[0]?.rowId ?? 0,
    beginSnapshot: Math.min(...rows.map(({ snapshot }) => snapshot)),
    isPartial: hasLineage,
  };
}

/** Each batch is dealt out: rows of one file may lie between those of another. */
function dealt(batches: readonly RowBatch[], deal: readonly number[]): SourceFile[] {
  const all = batches.flatMap((batch) =>
    Array.from(
      { length: batch.rows },
      (_, row) => batch.vectors.map((values) => values[row] ?? null),
    )
  );
  const lists: NumberedRow[][] = [[], [], []];
  for (const [rowId, values] of all.entries()) {
    lists[(deal[rowId % deal.length] ?? 0) % 3]?.push({ rowId, snapshot: 10 + rowId % 4, values });
  }
  // The last file is one that was registered as it came: its rows follow one another.
  const own = lists.pop()!.map((row, index) => ({
    ...row,
    rowId: all.length + index,
    snapshot: 9,
  }));
  return [
    ...lists.map((rows) => ({ rows, hasLineage: true })),
    { rows: own, hasLineage: false },
  ].filter(({ rows }) => rows.length > 0);
}

describe("merged files", () => {
  test("hold all rows of any columns once, in the order of their ids, with their snapshots", async () => {
    const deals = fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 1, maxLength: 7 });
    await fc.assert(
      fc.asyncProperty(rowBatches, deals, async (batches, deal) => {
        const { columns } = batches[0]!;
        const sources = dealt(batches, deal);
        if (sources.length < 2) return;
        const path = join(folder, `merged-${++files}`);
        const merged = mergeRows({
          table: { id: 1, version: 1, columns },
          files: sources.map((source) => written(columns, source)),
          output: { path, name: "data/x" },
        });
        expect(merged.replaced).toHaveLength(sources.length);
        expect(merged.files.map(({ name }) => name)).toEqual(["data/x-1.parquet"]);
        const rows = sources.flatMap((source) => source.rows).sort((a, b) => a.rowId - b.rowId);
        const found = await judge.vectors(
          judge.keep(readFileSync(merged.files[0]!.path)),
          [...columns, ROW_ID_COLUMN, SNAPSHOT_ID_COLUMN],
        );
        expect(found).toEqual([
          ...columns.map((_, index) => rows.map(({ values }) => values[index] ?? null)),
          rows.map(({ rowId }) => rowId),
          rows.map(({ snapshot }) => snapshot),
        ]);
      }),
      { numRuns: 150 },
    );
  });
});

test("a file that was written for other columns is left out, and is no small one from then on", () => {
  const columns: readonly Column[] = [
    { id: 1, name: "id", type: { name: "int64" }, nullable: true, children: [] },
    { id: 2, name: "text", type: { name: "varchar" }, nullable: true, children: [] },
  ];
  const late: Column = {
    id: 3,
    name: "late",
    type: { name: "int8" },
    nullable: true,
    children: [],
  };
  const rowsOf = (first: number, width: number): SourceFile => ({
    rows: [0, 1].map((row) => ({
      ...{ rowId: first + row, snapshot: 3 },
      values: [BigInt(first + row), "x", 1].slice(0, width),
    })),
    hasLineage: false,
  });
  const all = [...columns, late];
  const [a, old, b] = [
    written(all, rowsOf(0, 3)),
    written(columns, rowsOf(2, 2)),
    written(all, rowsOf(4, 3)),
  ];
  const path = join(folder, `merged-${++files}`);
  const merged = mergeRows({
    table: { id: 1, version: 2, columns: all },
    files: [a!, old!, b!],
    output: { path, name: "data/x" },
  });
  expect(merged.replaced).toEqual([a!.id, b!.id]);
  const sizes = new Map(merged.sizes);
  expect(sizes.get(old!.id)).toBe(MERGE_SMALL_BYTES);
  const stored = [old!, b!].map(({ id }): StoredFile => ({
    ...{ id, path: "data/x", isAbsolute: false, rows: 2, bytes: 1, footerBytes: 1, firstRowId: id },
    ...{ version: 2, beginSnapshot: 3, partialMax: null, deletes: null },
  }));
  expect(chooseMerges(stored, new Map(), BY_HAND)).toHaveLength(1);
  expect(chooseMerges(stored, sizes, BY_HAND)).toEqual([]);
});

const storedFiles: fc.Arbitrary<readonly StoredFile[]> = fc.array(
  fc.record({
    path: fc.constant("data/x"),
    isAbsolute: fc.constantFrom(false, false, false, true),
    rows: fc.oneof(fc.integer({ min: 1, max: 1_000 }), fc.integer({ min: 1, max: 1_048_576 })),
    bytes: fc.oneof(
      fc.integer({ min: 1, max: 100_000 }),
      fc.integer({ min: 1, max: 40 * 1024 * 1024 }),
    ),
    footerBytes: fc.constant(10),
    firstRowId: fc.option(fc.integer({ min: 0, max: 1_000_000 }), { freq: 9 }),
    version: fc.integer({ min: 1, max: 2 }),
    beginSnapshot: fc.constant(1),
    partialMax: fc.constant(null),
    deletes: fc.option(fc.constant({ path: "d", rows: 1, format: "parquet" }), { freq: 1 })
      .map((deletes) => deletes),
  }),
  { maxLength: 400 },
).map((all) =>
  all.map((file, id) => ({ ...file, id, deletes: id % 7 === 0 ? file.deletes : null }))
);

describe("a choice of files to merge", () => {
  test("keeps every limit, names no file twice, and only small ones of one version without deletes", () => {
    fc.assert(fc.property(storedFiles, fc.boolean(), (all, byHand) => {
      const sizes = new Map(
        all.filter(({ id }) => id % 3 === 0).map(({ id, bytes }) => [id, bytes]),
      );
      const sizeOf = ({ id, bytes }: StoredFile) => sizes.get(id) ?? bytes * MERGE_GROWTH;
      const rules = byHand ? BY_HAND : BY_ITSELF;
      const groups = chooseMerges(all, sizes, rules);
      const ids = groups.flat().map(({ id }) => id);
      expect(new Set(ids).size).toBe(ids.length);
      for (const group of groups) {
        expect(group.length).toBeWithin(rules.filesMin, MERGE_FILES_MAX + 1);
        expect(new Set(group.map(({ version }) => version)).size).toBe(1);
        expect(group.every((file) => !file.isAbsolute && file.deletes === null)).toBe(true);
        expect(group.every((file) => sizeOf(file) < MERGE_SMALL_BYTES)).toBe(true);
        const bytes = group.reduce((sum, file) => sum + sizeOf(file), 0);
        expect(bytes).toBeLessThanOrEqual(MERGE_VECTOR_BYTES_MAX);
        expect(group.reduce((sum, { rows }) => sum + rows, 0)).toBeLessThanOrEqual(
          PARQUET_ROWS_MAX,
        );
        if (byHand) continue;
        expect(Math.max(...group.map(sizeOf)) * 2).toBeLessThanOrEqual(bytes);
      }
    }));
  });

  test("copies each byte a few times only, however many small files come one after the other", () => {
    const file = (id: number, bytes: number): StoredFile => ({
      ...{ id, bytes, path: "data/x", isAbsolute: false, rows: 10, footerBytes: 1, firstRowId: id },
      ...{ version: 1, beginSnapshot: 1, partialMax: null, deletes: null },
    });
    let there: StoredFile[] = [];
    let copied = 0;
    let most = 0;
    const count = 3_000;
    for (let id = 0; id < count; id++) {
      there.push(file(id, 1_000));
      for (const group of chooseMerges(there, new Map(), BY_ITSELF)) {
        const bytes = group.reduce((sum, { bytes }) => sum + bytes, 0);
        copied += bytes;
        there = there.filter((one) => !group.some(({ id }) => id === one.id));
        there.push(file(group[0]!.id, bytes));
      }
      most = Math.max(most, there.length);
    }
    expect(copied / (count * 1_000)).toBeLessThan(12);
    expect(most).toBeLessThan(30);
  });
});
