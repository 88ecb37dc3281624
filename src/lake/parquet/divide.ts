/** Rows for any number of files, each within the limits of one (`write.ts`). */
import { PARQUET_INPUT_BYTES_MAX, PARQUET_ROWS_MAX } from "../../base/lake-limits.ts";
import type { RowBatch } from "../rows.ts";
import { vectorBytes } from "./size.ts";

export interface FileLimits {
  readonly rowsMax: number;
  readonly bytesMax: number;
}

const LIMITS: FileLimits = { rowsMax: PARQUET_ROWS_MAX, bytesMax: PARQUET_INPUT_BYTES_MAX };

/**
 * The same rows in the same order, in groups that fit one file each; batches are only divided where
 * one alone does not fit. A single row that is too large is a group, which `writeRows` refuses.
 */
export function divideRows(
  batches: readonly RowBatch[],
  limits: FileLimits = LIMITS,
): readonly (readonly RowBatch[])[] {
  const groups: RowBatch[][] = [];
  let group: RowBatch[] = [];
  let rows = 0;
  let bytes = 0;
  for (const batch of batches.flatMap((batch) => fitting(batch, limits))) {
    const size = batchBytes(batch);
    const fits = rows + batch.rows <= limits.rowsMax && bytes + size <= limits.bytesMax;
    if (!fits && group.length > 0) {
      groups.push(group);
      group = [];
      rows = 0;
      bytes = 0;
    }
    group.push(batch);
    rows += batch.rows;
    bytes += size;
  }
  if (group.length > 0) groups.push(group);
  return groups;
}

function fitting(batch: RowBatch, limits: FileLimits): readonly RowBatch[] {
  const fits = batch.rows <= limits.rowsMax && batchBytes(batch) <= limits.bytesMax;
  if (fits || batch.rows <= 1) return [batch];
  const middle = Math.ceil(batch.rows / 2);
  return [[0, middle] as const, [middle, batch.rows] as const].flatMap(([from, to]) => {
    const vectors = batch.vectors.map((values) => values.slice(from, to));
    return fitting({ columns: batch.columns, rows: to - from, vectors }, limits);
  });
}

function batchBytes(batch: RowBatch): number {
  return batch.columns.reduce(
    (sum, column, index) => sum + vectorBytes(column, batch.vectors[index] ?? []),
    0,
  );
}
