/**
 * Rows to one Parquet file in memory, as a lake stores them: field ids are column ids, so a column
 * may be renamed without touching its files (DuckLake 1.0 specification, "Data files").
 */
import { type Data, makeData, RecordBatch, Schema, Struct, Table } from "apache-arrow";
import { assert } from "../../base/assert.ts";
import { Failure } from "../../base/failure.ts";
import { PARQUET_INPUT_BYTES_MAX, PARQUET_ROWS_MAX } from "../../base/lake-limits.ts";
import type { Column } from "../column.ts";
import type { ColumnStatistics, RowBatch } from "../rows.ts";
import { arrowField, holds } from "./arrow-field.ts";
import { declareTypes } from "./declare.ts";
import { encodeParquet } from "./encoder.ts";
import { FOOTER_TAIL_BYTES, readFooter } from "./footer.ts";
import { dataBytes } from "./size.ts";
import { Summary } from "./statistics.ts";
import { vector } from "./vector.ts";

/**
 * Columns beside those of the table, in files of rows that had an identity before: flushed and
 * merged ones. One value a row. Their ids are reserved by DuckDB (`MultiFileReader`), as in Iceberg.
 */
export interface Lineage {
  readonly rowIds?: BigInt64Array;
  readonly snapshotIds?: BigInt64Array;
}

export const ROW_ID_COLUMN: Column = lineageColumn(2_147_483_540, "_ducklake_internal_row_id");
export const SNAPSHOT_ID_COLUMN: Column = lineageColumn(
  2_147_483_539,
  "_ducklake_internal_snapshot_id",
);

function lineageColumn(id: number, name: string): Column {
  return { id, name, type: { name: "int64" }, nullable: true, children: [] };
}

export interface ParquetFile {
  readonly bytes: Uint8Array;
  readonly rows: number;
  /** Of the metadata alone, as DuckLake counts it: without the eight bytes after it. */
  readonly footerBytes: number;
  /** Of the table's columns that have no children, depth first; not of the lineage. */
  readonly statistics: readonly ColumnStatistics[];
}

/**
 * Takes about a second for a million rows of eight columns, without a pause.
 * Throws `too_large` beyond PARQUET_ROWS_MAX rows or PARQUET_INPUT_BYTES_MAX bytes: split the rows;
 * `invalid` for a value that Parquet cannot hold: an int128 that is no exact float of 64 bits, a
 * timestamp_s beyond 64 bits of microseconds.
 */
export function writeRows(
  columns: readonly Column[],
  batches: readonly RowBatch[],
  lineage: Lineage = {},
): ParquetFile {
  return writeVectors(columns, batches.map((batch) => vectorsOf(columns, batch)), lineage);
}

/** A batch as Arrow vectors, one a column. Throws `invalid` as `writeRows` does. */
export function vectorsOf(columns: readonly Column[], batch: RowBatch): readonly Data[] {
  assert(batch.vectors.length === columns.length, `a batch has ${columns.length} columns`);
  return columns.map((column, index) => {
    const values = batch.vectors[index] ?? [];
    assert(values.length === batch.rows, `${column.name} has ${batch.rows} values`);
    return vector(column, values);
  });
}

/** What `writeRows` writes, of vectors that were made before. */
export function writeVectors(
  columns: readonly Column[],
  batches: readonly (readonly Data[])[],
  lineage: Lineage = {},
): ParquetFile {
  checkRows(batches.reduce((sum, vectors) => sum + (vectors[0]?.length ?? 0), 0));
  return write(columns, batches, lineage);
}

/** Of rows that go into no file. */
export function statisticsOf(
  columns: readonly Column[],
  batches: readonly (readonly Data[])[],
): readonly ColumnStatistics[] {
  const summary = new Summary(columns);
  for (const vectors of batches) summary.add(vectors);
  return summary.statistics();
}

/** What vectors count against PARQUET_INPUT_BYTES_MAX. */
export function sizeOf(vectors: readonly Data[]): number {
  return vectors.reduce((sum, data) => sum + dataBytes(data), 0);
}

/**
 * The same from a table whose columns are in the order of `columns`, each of the type that
 * `arrowField` gives it (`holds` tells); their names and ids come from `columns`.
 */
export function writeTable(
  columns: readonly Column[],
  table: Table,
  lineage: Lineage = {},
): ParquetFile {
  checkRows(table.numRows);
  assert(table.numCols === columns.length, `a table has ${columns.length} columns`);
  for (const [index, column] of columns.entries()) {
    const type = table.schema.fields[index]?.type;
    assert(type !== undefined && holds(type, column), `${column.name} has its type, not ${type}`);
  }
  return write(columns, table.batches.map((batch) => batch.data.children), lineage);
}

function checkRows(rows: number): void {
  if (rows <= PARQUET_ROWS_MAX) return;
  throw new Failure(
    "too_large",
    `Cannot write ${rows} rows as one file: at most ${PARQUET_ROWS_MAX}`,
  );
}

/** `batches` has a list of vectors a batch, one a column. */
function write(
  columns: readonly Column[],
  batches: readonly (readonly Data[])[],
  lineage: Lineage,
): ParquetFile {
  checkBytes(batches);
  const summary = new Summary(columns);
  for (const vectors of batches) summary.add(vectors);
  checkNulls(columns, batches);
  const written = [...columns, ...lineageColumns(lineage)];
  const fields = written.map((column) => arrowField(column));
  const schema = new Schema(fields);
  let row = 0;
  const recordBatches = batches.map((vectors) => {
    const length = vectors[0]?.length ?? 0;
    const children = [...vectors, ...lineageVectors(lineage, row, length)];
    row += length;
    const type = new Struct(fields);
    return new RecordBatch(schema, makeData({ type, length, nullCount: 0, children }));
  });
  for (const ids of Object.values(lineage)) {
    assert(ids === undefined || ids.length === row, `${ids?.length} ids for ${row} rows`);
  }
  const bytes = declareTypes(encodeParquet(new Table(schema, recordBatches)), columns);
  const footer = readFooter(bytes);
  assert(footer.rows === row, `a file of ${row} rows has ${footer.rows}`);
  return {
    bytes,
    rows: row,
    footerBytes: bytes.length - FOOTER_TAIL_BYTES - footer.begin,
    statistics: summary.statistics(footer.leaves),
  };
}

function checkBytes(batches: readonly (readonly Data[])[]): void {
  let bytes = 0;
  for (const vectors of batches) bytes += sizeOf(vectors);
  if (bytes <= PARQUET_INPUT_BYTES_MAX) return;
  throw new Failure(
    "too_large",
    `Cannot write ${bytes} bytes of values as one file: at most ${PARQUET_INPUT_BYTES_MAX}`,
  );
}

/** Rows with a null that the table refuses are refused where they come in. */
function checkNulls(columns: readonly Column[], batches: readonly (readonly Data[])[]): void {
  for (const [index, column] of columns.entries()) {
    if (column.nullable) continue;
    const nulls = batches.reduce((sum, vectors) => sum + (vectors[index]?.nullCount ?? 0), 0);
    assert(nulls === 0, `${column.name}, which is not nullable, has ${nulls} nulls`);
  }
}

function lineageColumns({ rowIds, snapshotIds }: Lineage): readonly Column[] {
  return [
    ...(rowIds === undefined ? [] : [ROW_ID_COLUMN]),
    ...(snapshotIds === undefined ? [] : [SNAPSHOT_ID_COLUMN]),
  ];
}

function lineageVectors(lineage: Lineage, row: number, length: number): readonly Data[] {
  return [lineage.rowIds, lineage.snapshotIds].filter((ids) => ids !== undefined).map((ids) =>
    makeData({
      type: arrowField(ROW_ID_COLUMN).type,
      length,
      nullCount: 0,
      data: ids.subarray(row, row + length),
    })
  );
}
