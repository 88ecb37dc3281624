/** Rows that stand in a catalog → Parquet files: for a query to read, or to stay as a flush. */
import { readFileSync } from "node:fs";
import { LOAD_FILE_BYTES_MAX, PARQUET_ROWS_MAX } from "../../base/lake-limits.ts";
import { flushRows } from "../catalog/flush.ts";
import { parseAnswer } from "../catalog/query.ts";
import { type InlinedBatch, readInlined } from "../catalog/read-inlined.ts";
import type { Column } from "../column.ts";
import { divideRows } from "../parquet/divide.ts";
import { ROW_ID_COLUMN, SNAPSHOT_ID_COLUMN, vectorsOf } from "../parquet/write.ts";
import type { RowBatch } from "../rows.ts";
import { FileOutput } from "./file-output.ts";
import type { Packed, PackOrder } from "./message.ts";

/** Throws `corrupt` for rows that are not of these columns. */
export function packRows({ source, table, upToSnapshot, output }: PackOrder): Packed {
  const { id, version, columns } = table;
  const choice = { table: id, version, columns, snapshot: null };
  const batch = readInlined(choice).decode(parseAnswer(readFileSync(source, "utf8")));
  const isFlush = upToSnapshot !== undefined;
  const written = isFlush ? [...columns, ROW_ID_COLUMN, SNAPSHOT_ID_COLUMN] : columns;
  const files = new FileOutput(written, output);
  try {
    const limits = { rowsMax: PARQUET_ROWS_MAX, bytesMax: LOAD_FILE_BYTES_MAX };
    for (const part of divideRows([withLineage(batch, written)], limits).flat()) {
      files.add(vectorsOf(written, part));
    }
    const { loaded, data } = files.finish();
    const change = isFlush
      ? flushRows({ table: id, version, upToSnapshot, columns, files: data })
      : null;
    return { rows: batch.rows, change, files: loaded };
  } catch (error) {
    files.discard();
    throw error;
  }
}

/** The columns that are written, DuckLake's own behind the table's. */
function withLineage(
  { rows, vectors, rowIds, snapshots }: InlinedBatch,
  columns: readonly Column[],
): RowBatch {
  return { columns, rows, vectors: [...vectors, rowIds, snapshots].slice(0, columns.length) };
}
