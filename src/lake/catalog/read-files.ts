/** A table's files as of a snapshot, and the files that nothing refers to any more. */
import type { Column, ColumnType } from "../column.ts";
import type { LakeValue } from "../rows.ts";
import { pathOf } from "./data-files.ts";
import { versionAt } from "./merge.ts";
import {
  type CatalogQuery,
  flagOrNull,
  seen,
  type SnapshotChoice,
  text,
  textOrNull,
  whole,
  wholeOrNull,
} from "./query.ts";
import { CONDEMNED_TABLE } from "./tables.ts";
import { parseStatistic } from "./value-text.ts";

export interface StoredFile {
  readonly id: number;
  /** Behind the lake's `data_path`, unless it is an absolute one. */
  readonly path: string;
  readonly isAbsolute: boolean;
  readonly rows: number;
  readonly bytes: number;
  readonly footerBytes: number | null;
  readonly firstRowId: number | null;
  /** Version of the table's columns that was the newest one when the file began. */
  readonly version: number;
  readonly beginSnapshot: number;
  /** Not null: readers of an older snapshot must filter rows by `SNAPSHOT_COLUMN`. */
  readonly partialMax: number | null;
  readonly deletes:
    | { readonly path: string; readonly rows: number; readonly format: string }
    | null;
}

export function listFiles(
  table: number,
  snapshot: SnapshotChoice,
): CatalogQuery<readonly StoredFile[]> {
  return {
    sql: `SELECT file.data_file_id, ${pathOf("file")}, NOT file.path_is_relative, ` +
      "file.record_count, file.file_size_bytes, file.footer_size, file.row_id_start, " +
      `${versionAt("file")}, file.begin_snapshot, file.partial_max, ` +
      `${pathOf("gone")}, gone.delete_count, gone.format FROM ducklake_data_file AS file ` +
      "LEFT JOIN ducklake_delete_file AS gone ON gone.data_file_id = file.data_file_id " +
      `AND ${seen("gone")} WHERE file.table_id = :table AND ${seen("file")} ` +
      "ORDER BY file.row_id_start, file.data_file_id",
    params: { table, snapshot },
    decode: (rows) =>
      rows.map((row) => ({
        id: whole(row[0]),
        path: text(row[1]),
        isAbsolute: whole(row[2]) !== 0,
        rows: whole(row[3]),
        bytes: whole(row[4]),
        footerBytes: wholeOrNull(row[5] ?? null),
        firstRowId: wholeOrNull(row[6] ?? null),
        version: whole(row[7]),
        beginSnapshot: whole(row[8]),
        partialMax: wholeOrNull(row[9] ?? null),
        deletes: row[11] === null
          ? null
          : { path: text(row[10]), rows: whole(row[11]), format: text(row[12]) },
      })),
  };
}

export interface TableStatistics {
  readonly rows: number;
  readonly nextRowId: number;
  readonly fileBytes: number;
  readonly columns: readonly {
    readonly columnId: number;
    /** Null where it is not known. */
    readonly hasNulls: boolean | null;
    readonly hasNans: boolean | null;
    readonly min: LakeValue;
    readonly max: LakeValue;
  }[];
}

/** Null for a table that never had rows. Columns that are not among `columns` are left out. */
export function tableStatistics(
  table: number,
  columns: readonly Column[],
): CatalogQuery<TableStatistics | null> {
  const types = new Map<number, ColumnType>();
  const collect = ({ id, type, children }: Column): void => {
    types.set(id, type);
    children.forEach(collect);
  };
  columns.forEach(collect);
  const parse = (value: string | null, type: ColumnType) =>
    value === null ? null : parseStatistic(value, type);
  return {
    sql: "SELECT record_count, next_row_id, file_size_bytes, column_id, contains_null, " +
      "contains_nan, min_value, max_value FROM ducklake_table_stats AS stats " +
      "LEFT JOIN ducklake_table_column_stats AS kept ON kept.table_id = stats.table_id " +
      "WHERE stats.table_id = :table ORDER BY column_id",
    params: { table },
    decode: (rows) => {
      const first = rows[0];
      if (first === undefined) return null;
      return {
        rows: whole(first[0]),
        nextRowId: whole(first[1]),
        fileBytes: whole(first[2]),
        columns: rows.flatMap(([, , , id, nulls, nans, min, max]) => {
          const type = id === null ? undefined : types.get(whole(id));
          if (type === undefined) return [];
          return [{
            columnId: whole(id),
            hasNulls: flagOrNull(nulls ?? null),
            hasNans: flagOrNull(nans ?? null),
            min: parse(textOrNull(min ?? null), type),
            max: parse(textOrNull(max ?? null), type),
          }];
        }),
      };
    },
  };
}

export interface CondemnedFile {
  readonly path: string;
  /** Null until `dateCondemned`. */
  readonly epoch: number | null;
}

/** Files to delete once the epoch that says so has left the restore window. */
export function listCondemned(): CatalogQuery<readonly CondemnedFile[]> {
  return {
    sql: `SELECT path, epoch FROM ${CONDEMNED_TABLE} ORDER BY epoch, path`,
    params: {},
    decode: (rows) =>
      rows.map(([path, epoch]) => ({ path: text(path), epoch: wholeOrNull(epoch ?? null) })),
  };
}
