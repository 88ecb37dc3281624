/**
 * Rows from the catalog into files. The files hold the rows of one inlined table in the order of
 * their row ids, and beside the table's columns two of DuckLake's own, so that a reader of an older
 * snapshot still sees only the rows that it had: the file begins with the first snapshot that
 * any of its rows has, and says with `partial_max` up to which snapshot rows must be filtered.
 */
import type { Column } from "../column.ts";
import type { TableVersion } from "./alter-table.ts";
import { type DataFile, fileRows, PATHS_ARE_TAKEN } from "./data-files.ts";
import { inlinedTableName } from "./inlined.ts";
import { refuse, TABLE_IS_MISSING } from "./refusal.ts";
import { type Change, NEXT_FILE_ID, takeFileIds } from "./snapshot.ts";
import { addFileStatistics, statisticsRows } from "./statistics.ts";

/** The column of a flushed or merged file with each row's id, and its Parquet field id. */
export const ROW_ID_COLUMN = { name: "_ducklake_internal_row_id", fieldId: 2_147_483_540 } as const;
/** The column with the snapshot that inserted each row. */
export const SNAPSHOT_COLUMN = {
  name: "_ducklake_internal_snapshot_id",
  fieldId: 2_147_483_539,
} as const;

export interface FlushedRows extends TableVersion {
  /** Rows of later snapshots stay where they are. */
  readonly upToSnapshot: number;
  /** Of `version`. */
  readonly columns: readonly Column[];
  /** None where there are no rows. */
  readonly files: readonly DataFile[];
}

/** Refused when the files do not hold as many rows as there are, or when one has been deleted. */
export function flushRows({ table, version, upToSnapshot, columns, files }: FlushedRows): Change {
  const name = inlinedTableName({ table, version });
  const rows = files.reduce((sum, file) => sum + file.rows, 0);
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  const upTo = { upTo: upToSnapshot };
  return {
    guard: refuse([
      TABLE_IS_MISSING,
      ["rows_deleted", `EXISTS (SELECT 1 FROM ${name} WHERE end_snapshot IS NOT NULL)`],
      ["rows_changed", `(SELECT count(*) FROM ${name} WHERE begin_snapshot <= :upTo) <> :rows`],
      ...PATHS_ARE_TAKEN,
    ], { table, rows, ...upTo, paths: JSON.stringify(files.map(({ path }) => path)) }),
    statements: [
      {
        sql: "WITH file AS (SELECT key, value, value ->> 1 AS size, " +
          "sum(value ->> 1) OVER (ORDER BY key) AS stop FROM json_each(:files)), " +
          "row AS (SELECT row_id, begin_snapshot, row_number() OVER (ORDER BY row_id) AS place " +
          `FROM ${name} WHERE begin_snapshot <= :upTo) ` +
          `INSERT INTO ducklake_data_file SELECT ${NEXT_FILE_ID} + key, :table, ` +
          "min(begin_snapshot), NULL, NULL, value ->> 0, 1, 'parquet', size, value ->> 2, " +
          "value ->> 3, min(row_id), NULL, NULL, NULL, max(begin_snapshot) " +
          "FROM file JOIN row ON place > stop - size AND place <= stop GROUP BY key ORDER BY key",
        params: { table, files: fileRows(files), ...upTo },
      },
      addFileStatistics(table, files.map((file) => statisticsRows(file.statistics, columns))),
      { sql: `DELETE FROM ${name} WHERE begin_snapshot <= :upTo`, params: upTo },
      {
        sql: "UPDATE ducklake_table_stats SET file_size_bytes = file_size_bytes + :bytes " +
          "WHERE table_id = :table",
        params: { table, bytes },
      },
      takeFileIds(files.length),
    ],
    made: `inline_flush:${table}`,
    changesSchema: false,
  };
}
