/** Rows that stand in the catalog itself. */
import type { Column } from "../column.ts";
import type { LakeValue, RowBatch } from "../rows.ts";
import type { TableVersion } from "./alter-table.ts";
import { inlinedTableName } from "./inlined.ts";
import { quoteName } from "./name.ts";
import {
  bytes,
  type CatalogQuery,
  type Cell,
  CHOSEN,
  seen,
  type SnapshotChoice,
  text,
  whole,
  wide,
} from "./query.ts";
import { integerValue, parseValue, storageOf } from "./value-text.ts";

export interface InlinedTable extends TableVersion {
  /** Its columns are the table's columns as of this snapshot. */
  readonly columnsSnapshot: number;
  /** The table has been dropped and its last snapshot has expired. */
  readonly isOrphan: boolean;
}

/** Of one table or, for null, of all; the oldest version first. */
export function listInlinedTables(
  table: number | null,
): CatalogQuery<readonly InlinedTable[]> {
  return {
    sql:
      "SELECT inlined.table_id, inlined.schema_version, coalesce((SELECT version.begin_snapshot " +
      "FROM ducklake_schema_versions AS version WHERE version.table_id = inlined.table_id " +
      "AND version.schema_version = inlined.schema_version), 0), NOT EXISTS (SELECT 1 " +
      "FROM ducklake_table AS t WHERE t.table_id = inlined.table_id) " +
      "FROM ducklake_inlined_data_tables AS inlined " +
      "WHERE :table IS NULL OR inlined.table_id = :table " +
      "ORDER BY inlined.table_id, inlined.schema_version",
    params: { table },
    decode: (rows) =>
      rows.map(([id, version, snapshot, isOrphan]) => ({
        table: whole(id),
        version: whole(version),
        columnsSnapshot: whole(snapshot),
        isOrphan: whole(isOrphan) !== 0,
      })),
  };
}

export interface InlinedBatch extends RowBatch {
  /** One a row, rising. */
  readonly rowIds: readonly number[];
  /** The snapshot that inserted each row. */
  readonly snapshots: readonly number[];
}

export interface InlinedChoice extends TableVersion {
  /** Of `version`. */
  readonly columns: readonly Column[];
  readonly snapshot: SnapshotChoice;
  /** At most so many rows, from this row id on. */
  readonly fromRowId?: number;
  readonly limit?: number;
}

/** The rows that are there in a snapshot. */
export function readInlined(choice: InlinedChoice): CatalogQuery<InlinedBatch> {
  const { columns, snapshot, fromRowId = 0, limit = -1 } = choice;
  return {
    sql: `SELECT ${["row_id", "begin_snapshot", ...columns.map(({ name }) => quoteName(name))]} ` +
      `FROM ${inlinedTableName(choice)} AS row WHERE row_id >= :from AND ${seen("row")} ` +
      "ORDER BY row_id LIMIT :limit",
    params: { snapshot, from: fromRowId, limit },
    decode: (rows) => ({
      columns,
      rows: rows.length,
      rowIds: rows.map((row) => whole(row[0])),
      snapshots: rows.map((row) => whole(row[1])),
      vectors: columns.map((column, index) => rows.map((row) => cellValue(row[index + 2], column))),
    }),
  };
}

export interface InlinedSize {
  readonly rows: number;
  /** The newest snapshot that a row came with; null where there are none. */
  readonly newestSnapshot: number | null;
}

/** What flushing would take. */
export function inlinedSize(
  of: TableVersion,
  snapshot: SnapshotChoice,
): CatalogQuery<InlinedSize> {
  return {
    sql: `SELECT count(*), max(begin_snapshot) FROM ${inlinedTableName(of)} ` +
      `WHERE begin_snapshot <= ${CHOSEN}`,
    params: { snapshot },
    decode: ([row]) => ({
      rows: whole(row?.[0]),
      newestSnapshot: row?.[1] === null ? null : whole(row?.[1]),
    }),
  };
}

function cellValue(cell: Cell | undefined, column: Column): LakeValue {
  if (cell === null) return null;
  switch (storageOf(column.type)) {
    case "BIGINT":
      return integerValue(wide(cell), column.type);
    case "BLOB":
      return bytes(cell);
    default:
      return parseValue(text(cell), column);
  }
}
