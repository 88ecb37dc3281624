/**
 * Old snapshots removed, and with them all that only they could see, in the order in which one thing
 * follows from another. The newest snapshot always stays. This makes no snapshot of its own: nothing
 * changes for who reads one that is left (DuckLake 1.0, "Expire Snapshots").
 */
import { EXPIRED_SNAPSHOTS_MAX } from "../../base/lake-limits.ts";
import type { Statement } from "../../database/statement.ts";
import { pathOf, scheduleFiles } from "./data-files.ts";
import { OF_A_FILE } from "./merge.ts";
import { THIS_SNAPSHOT } from "./snapshot.ts";
import { timeMs, timeText } from "./snapshot-time.ts";

export interface Expiry {
  /** Snapshots made before this go. */
  readonly beforeMs: number;
  readonly nowMs: number;
}

/** Gone once no row of `ducklake_table` has their table's id. Inlined tables are dropped by name. */
const OF_A_TABLE: readonly string[] = [
  "ducklake_table_stats",
  "ducklake_table_column_stats",
  "ducklake_partition_info",
  "ducklake_partition_column",
  "ducklake_column",
  "ducklake_column_tag",
  "ducklake_sort_info",
  "ducklake_sort_expression",
  "ducklake_schema_versions",
  "ducklake_column_mapping",
];

/** The real DuckLake keeps the earlier names of a table as long as the table. */
const TABLE_IS_GONE = `NOT EXISTS (SELECT 1 FROM ducklake_table AS other ` +
  `WHERE other.table_id = ducklake_table.table_id AND NOT (${unseen("other")}))`;

/**
 * The first statement removes the snapshots, the oldest `EXPIRED_SNAPSHOTS_MAX` at most; while it
 * affects as many rows there may be more.
 */
export function expireSnapshots({ beforeMs, nowMs }: Expiry): readonly Statement[] {
  const now = { now: Math.floor(nowMs) };
  const schedule = (kind: "data" | "delete", which: string) =>
    scheduleFiles(
      `SELECT ${kind}_file_id AS id, ${pathOf("file")} AS path, path_is_relative AS is_relative ` +
        `FROM ducklake_${kind}_file AS file WHERE ${which}`,
      now,
      timeText(":now"),
    );
  const dataIsGone = unseen("file");
  const deleteIsGone =
    `${unseen("file")} OR NOT EXISTS (SELECT 1 FROM ducklake_data_file AS data ` +
    "WHERE data.data_file_id = file.data_file_id)";
  return [
    {
      sql: "DELETE FROM ducklake_snapshot WHERE snapshot_id IN " +
        `(SELECT snapshot_id FROM ducklake_snapshot WHERE snapshot_id <> ${THIS_SNAPSHOT} ` +
        `AND ${timeMs("snapshot_time")} < :before ORDER BY snapshot_id LIMIT :most)`,
      params: { before: Math.floor(beforeMs), most: EXPIRED_SNAPSHOTS_MAX },
    },
    without("ducklake_snapshot_changes", "snapshot_id", "ducklake_snapshot"),
    ...schedule("data", dataIsGone),
    ...OF_A_FILE.map((from) => ({
      sql: `DELETE FROM ${from} WHERE data_file_id IN ` +
        `(SELECT data_file_id FROM ducklake_data_file AS file WHERE ${dataIsGone})`,
    })),
    ...schedule("delete", deleteIsGone),
    { sql: `DELETE FROM ducklake_delete_file AS file WHERE ${deleteIsGone}` },
    { sql: `DELETE FROM ducklake_table WHERE ${TABLE_IS_GONE}` },
    ...OF_A_TABLE.map((from) => without(from, "table_id", "ducklake_table")),
    ...["schema", "view", "tag", "macro"].map((kind) => ({
      sql: `DELETE FROM ducklake_${kind} AS kept WHERE ${unseen("kept")}`,
    })),
    without("ducklake_macro_impl", "macro_id", "ducklake_macro"),
    without("ducklake_macro_parameters", "macro_id", "ducklake_macro"),
    without("ducklake_name_mapping", "mapping_id", "ducklake_column_mapping"),
  ];
}

/** SQL that is true where a row has ended and no snapshot is left that it was there in. */
function unseen(row: string): string {
  return `${row}.end_snapshot IS NOT NULL AND NOT EXISTS (SELECT 1 FROM ducklake_snapshot ` +
    `WHERE snapshot_id >= ${row}.begin_snapshot AND snapshot_id < ${row}.end_snapshot)`;
}

/** Deletes the rows that point to nothing. */
function without(table: string, id: string, target: string): Statement {
  return { sql: `DELETE FROM ${table} WHERE ${id} NOT IN (SELECT ${id} FROM ${target})` };
}
