/** Upkeep of a lake that somebody asks for: done at once, at the node that was asked. */
import { CLOCK_OFFSET_MS_MAX } from "../base/limits.ts";
import { Failure } from "../base/failure.ts";
import { EXPIRED_SNAPSHOTS_MAX, LAKE_RETRY_MS, MERGE_ATTEMPTS_MAX } from "../base/lake-limits.ts";
import { expireSnapshots } from "./catalog/expire.ts";
import { dropInlinedTable } from "./catalog/inlined.ts";
import { listInlinedTables } from "./catalog/read-inlined.ts";
import { type LakeTable, listTables, type TableName } from "./catalog/read-tables.ts";
import { type Flushed, type FlushParts, flushTable } from "./flush-table.ts";
import type { CatalogParts, Freshness, LakeCatalog } from "./lake-catalog.ts";
import { noTable } from "./lake-failure.ts";
import { BY_HAND } from "./merge-choice.ts";
import { FileSizes, type MergeResult, mergeTable } from "./merge-table.ts";

/** Rows of the table, or of all tables, go from the catalog into files. */
export async function flushByHand(
  parts: FlushParts,
  catalog: LakeCatalog,
  name: TableName | null,
  freshness: Freshness,
): Promise<Flushed> {
  const all: Flushed[] = [];
  for (const table of await tablesOf(catalog, name, freshness)) {
    all.push(await flushTable(parts, catalog, table, freshness));
  }
  return {
    rows: sum(all, ({ rows }) => rows),
    files: sum(all, ({ files }) => files),
    epoch: Math.max(0, ...all.map(({ epoch }) => epoch)),
  };
}

export type MergedLake = Omit<MergeResult, "isRefused">;

/** Small files of the table, or of all tables, become as few as they can. */
export async function mergeByHand(
  parts: FlushParts & Pick<CatalogParts, "clock">,
  catalog: LakeCatalog,
  name: TableName | null,
  freshness: Freshness,
): Promise<MergedLake> {
  const options = { rules: BY_HAND, sizes: new FileSizes(), freshness };
  const all: MergeResult[] = [];
  for (const table of await tablesOf(catalog, name, freshness)) {
    // What is merged may be merged again, and others may do so at the same time.
    for (let refusals = 0; refusals < MERGE_ATTEMPTS_MAX;) {
      const merged = await mergeTable(parts, catalog, table, options);
      all.push(merged);
      if (!merged.isRefused && merged.merged === 0) break;
      if (merged.isRefused) refusals++;
      if (merged.isRefused) await parts.clock.sleep(LAKE_RETRY_MS * refusals);
    }
  }
  return {
    merged: sum(all, ({ merged }) => merged),
    into: sum(all, ({ into }) => into),
    epoch: Math.max(0, ...all.map(({ epoch }) => epoch)),
  };
}

/** Before a time, or before so long ago on the store's time. */
export type ExpiryWish = { readonly beforeMs: number } | { readonly ageMs: number };

export interface Expired {
  readonly snapshots: number;
  /** Files that nothing refers to any more: they go when they cannot be restored any more. */
  readonly files: number;
  readonly epoch: number;
}

/** The newest snapshot stays. Rejects with `unavailable` while this node's clock is wrong (I11). */
export async function expireByHand(
  { clockOffsetMs }: Pick<CatalogParts, "clockOffsetMs">,
  catalog: LakeCatalog,
  wish: ExpiryWish,
  freshness: Freshness,
): Promise<Expired> {
  if (Math.abs(clockOffsetMs()) > CLOCK_OFFSET_MS_MAX) {
    throw new Failure(
      "unavailable",
      "Cannot expire snapshots: this node's clock is not the store's",
    );
  }
  const nowMs = catalog.storeMs;
  const beforeMs = "beforeMs" in wish ? wish.beforeMs : nowMs - wish.ageMs;
  const statements = expireSnapshots({ beforeMs, nowMs });
  const scheduled = statements.flatMap(({ sql }, index) =>
    sql.startsWith("INSERT INTO ducklake_files_scheduled_for_deletion") ? [index] : []
  );
  let expired = { snapshots: 0, files: 0, epoch: 0 };
  for (;;) {
    const { text, epoch } = await catalog.execute(statements, freshness.deadlineMs);
    const { results } = JSON.parse(text) as { results: { readonly rows_affected: number }[] };
    const snapshots = results[0]?.rows_affected ?? 0;
    const files = sum(scheduled, (index) => results[index]?.rows_affected ?? 0);
    expired = {
      snapshots: expired.snapshots + snapshots,
      files: expired.files + files,
      epoch,
    };
    if (snapshots < EXPIRED_SNAPSHOTS_MAX) break;
  }
  const session = { level: "session", minEpoch: expired.epoch, deadlineMs: freshness.deadlineMs };
  const { value: inlined } = await catalog.ask(listInlinedTables(null), session as Freshness);
  for (const of of inlined.filter(({ isOrphan }) => isOrphan)) {
    const { epoch } = await catalog.execute(dropInlinedTable(of), freshness.deadlineMs);
    expired = { ...expired, epoch };
  }
  return expired;
}

async function tablesOf(
  catalog: LakeCatalog,
  name: TableName | null,
  freshness: Freshness,
): Promise<readonly LakeTable[]> {
  const { value: tables } = await catalog.ask(listTables(null), freshness);
  const wanted = tables.filter((table) => name === null || isNamed(table, name));
  if (name !== null && wanted.length === 0) throw noTable(catalog.lake, name);
  return wanted;
}

function isNamed(table: TableName, { schema, name }: TableName): boolean {
  return table.schema.toLowerCase() === schema.toLowerCase() &&
    table.name.toLowerCase() === name.toLowerCase();
}

function sum<T>(all: readonly T[], of: (one: T) => number): number {
  return all.reduce((total, one) => total + of(one), 0);
}
