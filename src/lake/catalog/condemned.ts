/**
 * Files that nothing refers to, on their way out of the store (PROTOCOL, section 11): condemned, given
 * the epoch by which that is durable, deleted and forgotten. All paths are behind `data_path`.
 */
import { CLEAN_FILES_MAX } from "../../base/lake-limits.ts";
import type { Statement } from "../../database/statement.ts";
import { pathOf } from "./data-files.ts";
import { type CatalogQuery, text, whole } from "./query.ts";
import type { CondemnedFile } from "./read-files.ts";
import { timeMs, timeText } from "./snapshot-time.ts";
import { CONDEMNED_TABLE } from "./tables.ts";

/** SQL for the paths of all files that are in the catalog, of whatever snapshot. */
const NAMED = `SELECT ${pathOf("file")} FROM ducklake_data_file AS file ` +
  `UNION ALL SELECT ${pathOf("gone")} FROM ducklake_delete_file AS gone`;

/** Paths of condemned files that have no epoch yet, some of them if they are many. */
export function listUndated(): CatalogQuery<readonly string[]> {
  return {
    sql: `SELECT path FROM ${CONDEMNED_TABLE} WHERE epoch IS NULL LIMIT :most`,
    params: { most: CLEAN_FILES_MAX },
    decode: (rows) => rows.map(([path]) => text(path)),
  };
}

/** `epoch` is a durable one in which all of them were condemned. */
export function datePaths(paths: readonly string[], epoch: number): Statement {
  return {
    sql: `UPDATE ${CONDEMNED_TABLE} SET epoch = :epoch WHERE epoch IS NULL ` +
      "AND path IN (SELECT value FROM json_each(:paths))",
    params: { epoch, paths: JSON.stringify(paths) },
  };
}

/**
 * Files that were condemned before a time and have their epoch, some of them if they are many, the
 * first ones first. Not those that the catalog names all the same, nor any that has an absolute path:
 * another DuckLake's writer put it where it is.
 */
export function listDeletable(beforeMs: number): CatalogQuery<readonly CondemnedFile[]> {
  return {
    sql: `SELECT path, epoch FROM ${CONDEMNED_TABLE} AS condemned WHERE epoch IS NOT NULL ` +
      `AND ${timeMs("at")} < :before AND path NOT IN (${NAMED}) AND NOT EXISTS ` +
      "(SELECT 1 FROM ducklake_files_scheduled_for_deletion AS planned " +
      "WHERE planned.path = condemned.path AND NOT planned.path_is_relative) " +
      "ORDER BY epoch, path LIMIT :most",
    params: { before: Math.floor(beforeMs), most: CLEAN_FILES_MAX },
    decode: (rows) => rows.map(([path, epoch]) => ({ path: text(path), epoch: whole(epoch) })),
  };
}

/** Those of the paths that are neither named nor condemned. */
export function findOrphans(paths: readonly string[]): CatalogQuery<readonly string[]> {
  return {
    sql: "SELECT value FROM json_each(:paths) AS path " +
      `WHERE value NOT IN (${NAMED}) AND value NOT IN (SELECT path FROM ${CONDEMNED_TABLE})`,
    params: { paths: JSON.stringify(paths) },
    decode: (rows) => rows.map(([path]) => text(path)),
  };
}

/** Condemns those of the paths that no file in the catalog has; none can be registered after it. */
export function condemnOrphans(paths: readonly string[], nowMs: number): Statement {
  return {
    sql: `INSERT OR IGNORE INTO ${CONDEMNED_TABLE} SELECT value, NULL, ${timeText(":now")} ` +
      `FROM json_each(:paths) WHERE value NOT IN (${NAMED})`,
    params: { paths: JSON.stringify(paths), now: Math.floor(nowMs) },
  };
}
