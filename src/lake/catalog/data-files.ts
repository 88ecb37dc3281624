/** Parquet files of a table: made known to the catalog with their rows, ids and statistics. */
import type { Statement } from "../../database/statement.ts";
import type { Column } from "../column.ts";
import type { ColumnStatistics } from "../rows.ts";
import { COLUMNS_HAVE_CHANGED, type Condition, refuse, TABLE_IS_MISSING } from "./refusal.ts";
import { type Change, NEXT_FILE_ID, takeFileIds, THIS_SNAPSHOT } from "./snapshot.ts";
import {
  addFileStatistics,
  addToTable,
  NEXT_ROW_ID,
  type StatisticsRow,
  statisticsRows,
} from "./statistics.ts";
import { CONDEMNED_TABLE } from "./tables.ts";

export interface DataFile {
  /** Behind the table's own path, which is empty for tables that we made: then behind `data_path`. */
  readonly path: string;
  readonly rows: number;
  readonly bytes: number;
  /** Of the Parquet metadata at its end, without length and magic. */
  readonly footerBytes: number;
  readonly statistics: readonly ColumnStatistics[];
}

export interface NewFiles {
  readonly table: number;
  /** Given, the files are refused when the table has other columns by now; columns go by their ids. */
  readonly version?: number;
  readonly columns: readonly Column[];
  readonly files: readonly DataFile[];
}

/** A file with its statistics as the catalog keeps them. */
export interface RecordedFile extends Omit<DataFile, "statistics"> {
  readonly statistics: readonly StatisticsRow[];
}

/** Rows get the next row ids in the order of the files. */
export function registerFiles({ columns, files, ...of }: NewFiles): Change {
  const recorded = files.map((file) => ({
    ...file,
    statistics: statisticsRows(file.statistics, columns),
  }));
  return registerRecorded({ ...of, files: recorded });
}

export interface RecordedFiles extends Pick<NewFiles, "table" | "version"> {
  readonly files: readonly RecordedFile[];
}

export function registerRecorded({ table, version, files }: RecordedFiles): Change {
  const statistics = files.map((file) => file.statistics);
  const guards = version === undefined
    ? [TABLE_IS_MISSING]
    : [TABLE_IS_MISSING, COLUMNS_HAVE_CHANGED];
  return {
    guard: refuse([...guards, ...PATHS_ARE_TAKEN], {
      table,
      paths: JSON.stringify(files.map(({ path }) => path)),
      ...(version === undefined ? {} : { version }),
    }),
    statements: [
      {
        sql: `INSERT INTO ducklake_data_file SELECT ${NEXT_FILE_ID} + key, :table, ` +
          `${THIS_SNAPSHOT}, NULL, NULL, value ->> 0, 1, 'parquet', value ->> 1, value ->> 2, ` +
          `value ->> 3, ${NEXT_ROW_ID} + sum(value ->> 1) OVER (ORDER BY key) - (value ->> 1), ` +
          "NULL, NULL, NULL, NULL FROM json_each(:files) ORDER BY key",
        params: { table, files: fileRows(files) },
      },
      addFileStatistics(table, statistics),
      ...addToTable({
        table,
        rows: files.reduce((sum, { rows }) => sum + rows, 0),
        fileBytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
        statistics,
        mayLackColumns: true,
      }),
      takeFileIds(files.length),
    ],
    made: `inserted_into_table:${table}`,
    changesSchema: false,
  };
}

/** `[path, rows, bytes, footer bytes]` of each, as JSON. */
export function fileRows(files: readonly Omit<DataFile, "statistics">[]): string {
  return JSON.stringify(
    files.map(({ path, rows, bytes, footerBytes }) => [path, rows, bytes, footerBytes]),
  );
}

/** The path of a table's folder as SQL, of the table whose id `table` is; "" where there is none. */
function folderOf(table: string): string {
  return "coalesce((SELECT CASE WHEN t.path_is_relative THEN s.path ELSE '' END || t.path " +
    "FROM ducklake_table AS t JOIN ducklake_schema AS s ON s.schema_id = t.schema_id " +
    `WHERE t.table_id = ${table} ORDER BY t.begin_snapshot DESC LIMIT 1), '')`;
}

/** The path of a data or delete file behind `data_path` as SQL; `file` is a row of its table. */
export function pathOf(file: string): string {
  return `CASE WHEN ${file}.path_is_relative THEN ${folderOf(`${file}.table_id`)} ELSE '' END ` +
    `|| ${file}.path`;
}

/** Paths as the JSON list `:paths`, the table as `:table`. */
export const PATHS_ARE_TAKEN: readonly Condition[] = [
  [
    "path_condemned",
    `EXISTS (SELECT 1 FROM json_each(:paths) JOIN ${CONDEMNED_TABLE} AS condemned ` +
    `ON condemned.path = ${folderOf(":table")} || value)`,
  ],
  [
    "path_taken",
    "EXISTS (SELECT 1 FROM json_each(:paths) JOIN ducklake_data_file AS file " +
    "ON file.table_id = :table AND file.path = value)",
  ],
];

/**
 * Condemns the files of a query of `id`, `path` and `is_relative`, and lists them for deletion. The
 * epoch of a condemnation is not known before it is made.
 */
export function scheduleFiles(
  rows: string,
  params: Readonly<Record<string, string | number>>,
  nowText: string,
): readonly Statement[] {
  return [
    {
      sql: `INSERT OR IGNORE INTO ${CONDEMNED_TABLE} SELECT path, NULL, ${nowText} FROM (${rows})`,
      params,
    },
    {
      sql: "INSERT INTO ducklake_files_scheduled_for_deletion " +
        `SELECT id, path, is_relative, ${nowText} FROM (${rows})`,
      params,
    },
  ];
}

/**
 * Says of what was condemned since the last time that it was so in `epoch`, which must be a durable
 * one that holds it: how long a restore could bring it back counts from there.
 */
export function dateCondemned(epoch: number): Statement {
  return {
    sql: `UPDATE ${CONDEMNED_TABLE} SET epoch = :epoch WHERE epoch IS NULL`,
    params: { epoch },
  };
}

/** When the files of these paths have been deleted from the store. */
export function forgetFiles(paths: readonly string[]): readonly Statement[] {
  return ["ducklake_files_scheduled_for_deletion", CONDEMNED_TABLE].map((table) => ({
    sql: `DELETE FROM ${table} WHERE path IN (SELECT value FROM json_each(:paths))`,
    params: { paths: JSON.stringify(paths) },
  }));
}
