/** Which snapshots there are, and which one a version or a moment means. */
import { type CatalogQuery, type Row, text, textOrNull, whole } from "./query.ts";
import { timeMs } from "./snapshot-time.ts";

export interface LakeSnapshot {
  readonly id: number;
  readonly atMs: number;
  readonly schemaVersion: number;
  /** As `ducklake_snapshot_changes` has it: `inlined_insert:1,inlined_insert:2`. */
  readonly changes: string;
  readonly author: string | null;
  readonly message: string | null;
}

/** A snapshot's own number, the last one made at a moment or before, or the newest. */
export type SnapshotMoment = { readonly version: number } | { readonly atMs: number } | "newest";

const SELECT = `SELECT snapshot_id, ${timeMs("snapshot_time")}, schema_version, ` +
  "coalesce(changes_made, ''), author, commit_message FROM ducklake_snapshot " +
  "LEFT JOIN ducklake_snapshot_changes USING (snapshot_id)";

/** All that have not expired, the oldest first. */
export function listSnapshots(): CatalogQuery<readonly LakeSnapshot[]> {
  return { sql: `${SELECT} ORDER BY snapshot_id`, params: {}, decode: (rows) => rows.map(decode) };
}

export function findSnapshot(moment: SnapshotMoment): CatalogQuery<LakeSnapshot | null> {
  const [condition, params] = moment === "newest"
    ? ["1", {}]
    : "version" in moment
    ? ["snapshot_id = :version", { version: moment.version }]
    : [`${timeMs("snapshot_time")} <= :at`, { at: Math.floor(moment.atMs) }];
  return {
    sql: `${SELECT} WHERE ${condition} ORDER BY snapshot_id DESC LIMIT 1`,
    params,
    decode: ([row]) => row === undefined ? null : decode(row),
  };
}

function decode([id, at, version, changes, author, message]: Row): LakeSnapshot {
  return {
    id: whole(id),
    atMs: whole(at),
    schemaVersion: whole(version),
    changes: text(changes),
    author: textOrNull(author ?? null),
    message: textOrNull(message ?? null),
  };
}
