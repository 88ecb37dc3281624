/**
 * Several files into one. The merged file holds the rows of all of them with their ids and their
 * snapshots in DuckLake's own columns (`ROW_ID_COLUMN`, `SNAPSHOT_COLUMN`), so it answers every
 * snapshot that they answered, and they leave the catalog at once.
 */
import type { Column } from "../column.ts";
import { type DataFile, fileRows, pathOf, PATHS_ARE_TAKEN, scheduleFiles } from "./data-files.ts";
import { refuse, TABLE_IS_MISSING } from "./refusal.ts";
import { type Change, NEXT_FILE_ID, takeFileIds } from "./snapshot.ts";
import { addFileStatistics, statisticsRows } from "./statistics.ts";

export interface MergedFiles {
  readonly table: number;
  /** Ids of the files that the merged one replaces. */
  readonly replaced: readonly number[];
  readonly columns: readonly Column[];
  readonly file: DataFile;
}

const REPLACED = "(SELECT value FROM json_each(:replaced))";

/** The snapshot's own time. */
const NOW_TEXT = "(SELECT snapshot_time FROM ducklake_snapshot ORDER BY snapshot_id DESC LIMIT 1)";

/**
 * Refused when one of the files is gone, has deleted rows, was written for other columns than the
 * rest, or when the merged one does not hold as many rows.
 */
export function mergeFiles({ table, replaced, columns, file }: MergedFiles): Change {
  const ids = JSON.stringify(replaced);
  const sources = `FROM ducklake_data_file AS file WHERE file.data_file_id IN ${REPLACED}`;
  const live = `${sources} AND file.table_id = :table AND file.end_snapshot IS NULL`;
  const of = { replaced: ids };
  return {
    guard: refuse([
      TABLE_IS_MISSING,
      ["file_missing", `(SELECT count(*) ${live}) <> :count`],
      [
        "rows_deleted",
        `EXISTS (SELECT 1 FROM ducklake_delete_file WHERE data_file_id IN ${REPLACED}) OR ` +
        "EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'ducklake_inlined_delete_' || :table)",
      ],
      ["files_differ", `(SELECT count(DISTINCT ${versionAt("file")}) ${live}) <> 1`],
      ["rows_changed", `(SELECT sum(record_count) ${live}) <> :rows`],
      ...PATHS_ARE_TAKEN,
    ], {
      table,
      ...of,
      count: new Set(replaced).size,
      rows: file.rows,
      paths: JSON.stringify([file.path]),
    }),
    statements: [
      {
        sql: `INSERT INTO ducklake_data_file SELECT ${NEXT_FILE_ID}, :table, ` +
          "min(file.begin_snapshot), NULL, NULL, made.value ->> 0, 1, 'parquet', " +
          "made.value ->> 1, made.value ->> 2, made.value ->> 3, min(file.row_id_start), NULL, " +
          "NULL, NULL, max(coalesce(file.partial_max, file.begin_snapshot)) " +
          "FROM json_each(:file) AS made, ducklake_data_file AS file " +
          `WHERE file.data_file_id IN ${REPLACED}`,
        params: { table, file: fileRows([file]), ...of },
      },
      addFileStatistics(table, [statisticsRows(file.statistics, columns)]),
      {
        sql: "UPDATE ducklake_table_stats SET file_size_bytes = file_size_bytes + :bytes - " +
          `(SELECT sum(file_size_bytes) ${sources}) WHERE table_id = :table`,
        params: { table, bytes: file.bytes, ...of },
      },
      ...scheduleFiles(
        `SELECT data_file_id AS id, ${
          pathOf("file")
        } AS path, path_is_relative AS is_relative ${sources}`,
        of,
        NOW_TEXT,
      ),
      ...OF_A_FILE.map((from) => ({
        sql: `DELETE FROM ${from} WHERE data_file_id IN ${REPLACED}`,
        params: of,
      })),
      takeFileIds(1),
    ],
    made: `merge_adjacent:${table}`,
    changesSchema: false,
  };
}

/** Rows about a data file, the file itself last. */
export const OF_A_FILE: readonly string[] = [
  "ducklake_file_column_stats",
  "ducklake_file_variant_stats",
  "ducklake_file_partition_value",
  "ducklake_data_file",
];

/** SQL for the version of its table's columns that was the newest one when a file began. */
export function versionAt(file: string): string {
  return "(SELECT max(schema_version) FROM ducklake_schema_versions AS version " +
    `WHERE version.table_id = ${file}.table_id AND version.begin_snapshot <= ${file}.begin_snapshot)`;
}
