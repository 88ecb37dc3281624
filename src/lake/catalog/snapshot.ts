/**
 * One request, one snapshot. Its row comes first, as a copy of the newest one, so that every
 * statement behind it finds the new snapshot's id and the next free ids in the newest row: the owner
 * runs requests one after the other, and what a caller believes to know cannot be out of date.
 */
import { assert } from "../../base/assert.ts";
import type { Statement } from "../../database/statement.ts";
import { type Row, whole } from "./query.ts";
import { timeMs, timeText } from "./snapshot-time.ts";

export interface Change {
  /** Refuses the change; exactly one statement, so that its index says which change was refused. */
  readonly guard: Statement;
  readonly statements: readonly Statement[];
  /** For `ducklake_snapshot_changes`: "inlined_insert:2". */
  readonly made: string;
  /** Whether readers must forget the schemas and tables that they know. */
  readonly changesSchema: boolean;
}

export interface SnapshotOptions {
  /** On the store's time. A snapshot's time is never before that of the one before it. */
  readonly nowMs: number;
  readonly author?: string;
  readonly message?: string;
}

/** The id of the newest snapshot: inside a change that is the one being made. */
export const THIS_SNAPSHOT = "(SELECT max(snapshot_id) FROM ducklake_snapshot)";
/** Ids that nothing has yet. */
export const NEXT_FILE_ID = newest("next_file_id");
export const NEXT_CATALOG_ID = newest("next_catalog_id");

/** The statements of one request that makes one snapshot of all changes, or nothing of any. */
export function snapshot(
  changes: readonly Change[],
  { nowMs, author, message }: SnapshotOptions,
): readonly Statement[] {
  assert(changes.length > 0, "a snapshot has changes");
  // The guards of all changes look at what was there before the first of them.
  const effective = changes.filter(({ statements }) => statements.length > 0);
  const isAlone = effective.length <= 1 || !changes.some(({ changesSchema }) => changesSchema);
  assert(isAlone, "a change of the schema has a snapshot of its own");
  const made = [...new Set(changes.map((change) => change.made))].join(",");
  const steps = changes.some(({ changesSchema }) => changesSchema) ? 1 : 0;
  return [
    ...changes.map(({ guard }) => guard),
    {
      sql: "INSERT INTO ducklake_snapshot SELECT snapshot_id + 1, " +
        `${timeText(`max(:now, coalesce(${timeMs("snapshot_time")}, 0))`)}, ` +
        "schema_version + :steps, next_catalog_id, next_file_id FROM ducklake_snapshot " +
        "ORDER BY snapshot_id DESC LIMIT 1 RETURNING snapshot_id",
      params: { now: Math.floor(nowMs), steps },
    },
    {
      sql: `INSERT INTO ducklake_snapshot_changes VALUES (${THIS_SNAPSHOT}, :made, :author, ` +
        ":message, NULL)",
      params: { made, author: author ?? null, message: message ?? null },
    },
    ...changes.flatMap(({ statements }) => statements),
  ];
}

/** The id of the snapshot, from the results of the statements that made it. */
export function madeSnapshot(
  changes: readonly Change[],
  results: readonly { readonly rows?: readonly Row[] }[],
): number {
  return whole(results[changes.length]?.rows?.[0]?.[0]);
}

export function takeFileIds(count: number): Statement {
  return take("next_file_id", count);
}

export function takeCatalogIds(count: number): Statement {
  return take("next_catalog_id", count);
}

function take(column: string, count: number): Statement {
  return {
    sql: `UPDATE ducklake_snapshot SET ${column} = ${column} + :count ` +
      `WHERE snapshot_id = ${THIS_SNAPSHOT}`,
    params: { count },
  };
}

function newest(column: string): string {
  return `(SELECT ${column} FROM ducklake_snapshot ORDER BY snapshot_id DESC LIMIT 1)`;
}
