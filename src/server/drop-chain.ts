/**
 * The chain under a database that is dropped: a tombstone, the snapshot that ends at it, then the row,
 * then all that the snapshot covers (PROTOCOL section 7). Whoever leads finishes what was cut off.
 */
import { describe } from "../base/failure.ts";
import type { Parts } from "../replica/parts.ts";
import { pruneBelow } from "../replica/prune.ts";
import type { Replica } from "../replica/replica.ts";

export interface DropSteps {
  removeRow(): Promise<void>;
  forget(): Promise<void>;
}

/** Returns the tombstone's epoch. */
export async function dropChain(
  parts: Parts,
  replica: Replica,
  { removeRow, forget }: DropSteps,
): Promise<number> {
  if (!replica.dropped) {
    const tombstone = { source: "empty", keepRequests: false, kind: "tombstone" } as const;
    await replica.rewrite(tombstone).catch((error) => {
      // The leader before has got so far already.
      if (!replica.dropped) throw error;
    });
  }
  const epoch = replica.tip;
  parts.crashPoint("drop.after_tombstone");
  // One that is there already was not verified by this process, and much is removed on its word.
  const snapshot = await replica.snapshotNow();
  parts.crashPoint("drop.after_snapshot");
  await removeRow();
  parts.crashPoint("drop.after_row");
  await forget();
  try {
    await pruneBelow(replica.chain, snapshot);
  } catch (error) {
    // Nothing depends on it; a later drop or retention takes what is left.
    parts.log.warn("could not remove all objects of a dropped database", {
      database: replica.name,
      cause: describe(error),
    });
  }
  return epoch;
}
