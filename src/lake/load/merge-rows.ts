/**
 * Rows of several data files → one, in the order of their row ids. Files are read one after the
 * other until there is no room for the next; the rest of them is left for another time.
 */
import { type Data, makeData } from "apache-arrow";
import { readFileSync } from "node:fs";
import { assert } from "../../base/assert.ts";
import { Failure, isFailure } from "../../base/failure.ts";
import {
  MERGE_SMALL_BYTES,
  MERGE_VECTOR_BYTES_MAX,
  PARQUET_ROW_GROUP_ROWS,
  PARQUET_ROWS_MAX,
} from "../../base/lake-limits.ts";
import { mergeFiles } from "../catalog/merge.ts";
import type { Column } from "../column.ts";
import { arrowField } from "../parquet/arrow-field.ts";
import { decodeParquet } from "../parquet/decoder.ts";
import { type Places, take } from "../parquet/take.ts";
import { ROW_ID_COLUMN, sizeOf, SNAPSHOT_ID_COLUMN } from "../parquet/write.ts";
import { FileOutput } from "./file-output.ts";
import type { Merged, MergeOrder, MergeSourceFile } from "./message.ts";

/** Leaves out files whose rows cannot be copied. Throws `corrupt` for one with other rows. */
export function mergeRows({ table, files, output }: MergeOrder): Merged {
  // What a file may hold was decided when its rows came in.
  const columns = table.columns.map((column) => ({ ...column, nullable: true }));
  const rows = new MergedRows(columns);
  const sizes: (readonly [number, number])[] = [];
  const replaced: number[] = [];
  for (const file of files) {
    const batches = readCopyable(file, columns);
    if (batches === null) {
      // As large as one that is merged no more, so that nobody reads it again for that.
      sizes.push([file.id, MERGE_SMALL_BYTES]);
      continue;
    }
    const bytes = batches.reduce((sum, vectors) => sum + sizeOf(vectors), 0);
    sizes.push([file.id, bytes]);
    if (!rows.hasRoom(file.rows, bytes)) break;
    rows.add(batches, bytes);
    replaced.push(file.id);
  }
  if (replaced.length < 2) return { sizes, replaced: [], change: null, files: [] };
  const written = new FileOutput([...columns, ROW_ID_COLUMN, SNAPSHOT_ID_COLUMN], output);
  try {
    for (const vectors of rows.sorted()) written.add(vectors);
    const { loaded, data } = written.finish();
    const [file] = data;
    assert(file !== undefined && data.length === 1, "merged files are one");
    const change = mergeFiles({ table: table.id, replaced, columns: table.columns, file });
    return { sizes, replaced, change, files: loaded };
  } catch (error) {
    written.discard();
    throw error;
  }
}

/**
 * Null for a file that was written for other columns than those it came to have: stored rows may
 * become visible after a change of the columns.
 */
function readCopyable(file: MergeSourceFile, columns: readonly Column[]) {
  try {
    return readBatches(file, columns);
  } catch (error) {
    if (isFailure(error, "invalid")) return null;
    throw error;
  }
}

/** The columns of the table, the row ids, the snapshots. */
function readBatches(
  file: MergeSourceFile,
  columns: readonly Column[],
): readonly (readonly Data[])[] {
  const lineage = [ROW_ID_COLUMN, SNAPSHOT_ID_COLUMN];
  const batches = decodeParquet(readFileSync(file.path), columns, lineage);
  let row = 0;
  const all = batches.map((found) => {
    const vectors = found.slice(0, columns.length).filter((vector) => vector !== undefined);
    const length = vectors[0]?.length ?? 0;
    const firstRowId = file.firstRowId + row;
    row += length;
    const [rowIds, snapshots] = found.slice(columns.length);
    if (snapshots === undefined && file.isPartial) throw damaged(file, "no snapshots of its rows");
    return [
      ...vectors,
      rowIds ?? wholes(length, (index) => firstRowId + index),
      snapshots ?? wholes(length, () => file.beginSnapshot),
    ];
  });
  if (row !== file.rows) throw damaged(file, `${row} rows, not ${file.rows}`);
  return all;
}

function wholes(length: number, value: (index: number) => number): Data {
  const { type } = arrowField(ROW_ID_COLUMN);
  const values = BigInt64Array.from({ length }, (_, index) => BigInt(value(index)));
  return makeData({ type, length, nullCount: 0, data: values });
}

class MergedRows {
  readonly #columns: readonly Column[];
  readonly #batches: (readonly Data[])[] = [];
  #rows = 0;
  #bytes = 0;

  constructor(columns: readonly Column[]) {
    this.#columns = columns;
  }

  hasRoom(rows: number, bytes: number): boolean {
    return this.#rows + rows <= PARQUET_ROWS_MAX && this.#bytes + bytes <= MERGE_VECTOR_BYTES_MAX;
  }

  add(batches: readonly (readonly Data[])[], bytes: number): void {
    this.#batches.push(...batches);
    this.#rows += batches.reduce((sum, [first]) => sum + (first?.length ?? 0), 0);
    this.#bytes += bytes;
  }

  /** Batch by batch, in the order of row ids, each of which must be there once. */
  *sorted(): Generator<readonly Data[]> {
    const { source, index } = this.#order();
    const types = [...this.#columns, ROW_ID_COLUMN, SNAPSHOT_ID_COLUMN]
      .map((column) => arrowField(column).type);
    for (let from = 0; from < this.#rows; from += PARQUET_ROW_GROUP_ROWS) {
      const to = from + PARQUET_ROW_GROUP_ROWS;
      const places = { source: source.subarray(from, to), index: index.subarray(from, to) };
      yield types.map((type, at) =>
        take(type, this.#batches.flatMap((vectors) => vectors[at] ?? []), places)
      );
    }
  }

  #order(): Places {
    const rows = this.#rows;
    const ids = new Float64Array(rows);
    const source = new Uint32Array(rows);
    const index = new Uint32Array(rows);
    let row = 0;
    for (const [batch, vectors] of this.#batches.entries()) {
      const values = vectors[this.#columns.length]?.values as BigInt64Array;
      for (let at = 0; at < values.length; at++, row++) {
        ids[row] = Number(values[at]);
        source[row] = batch;
        index[row] = at;
      }
    }
    const order = Uint32Array.from({ length: rows }, (_, row) => row);
    order.sort((a, b) => (ids[a] ?? 0) - (ids[b] ?? 0));
    for (let at = 1; at < rows; at++) {
      if ((ids[order[at - 1] ?? 0] ?? 0) < (ids[order[at] ?? 0] ?? 0)) continue;
      throw new Failure(
        "corrupt",
        `Cannot merge data files: row ${ids[order[at] ?? 0]} is there twice`,
      );
    }
    const inOrder = (values: Uint32Array) => order.map((row) => values[row] ?? 0);
    return { source: inOrder(source), index: inOrder(index) };
  }
}

function damaged({ id }: MergeSourceFile, what: string): Failure {
  return new Failure("corrupt", `Cannot merge the data file ${id}: it has ${what}`);
}
