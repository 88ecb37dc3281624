/**
 * Removing what a verified snapshot covers, once it has left the time that can be restored. Claims
 * and tombstones stay for ever (I4): whoever slept finds its next number taken. Safe to kill at any
 * point, since nothing needs what it removes.
 */
import { FETCHES_MAX, REMOVE_KEYS_MAX } from "../base/limits.ts";
import { decodeHeader, HEADER_BYTES } from "../epoch/header.ts";
import {
  type Chain,
  type ChainObject,
  COMPACTED_LEVELS,
  levelPages,
  listLevel,
  SNAPSHOT_LEVEL,
} from "./chain.ts";

/**
 * Removes everything that lies wholly before the snapshot at `snapshot`, which the caller has
 * verified, except claims and tombstones. That snapshot and the epoch of its number stay (I10).
 * Returns how many objects went.
 */
export async function pruneBelow(chain: Chain, snapshot: number): Promise<number> {
  const [older, ...compacted] = await Promise.all([
    listLevel(chain, SNAPSHOT_LEVEL),
    ...COMPACTED_LEVELS.map((level) => listLevel(chain, level)),
  ]);
  // First what leads from nowhere to nowhere once the epochs between are gone.
  const whole = [...older, ...compacted.flat()]
    .filter((object) => object.max < snapshot || (object.level !== 9 && object.max <= snapshot));
  let removed = await removeAll(chain, whole.map(({ key }) => key));
  for await (const page of levelPages(chain, 0)) {
    // The epoch at the snapshot stays: a stray claim at its number would look like what it ends with.
    const epochs = page.filter((object) => object.max < snapshot);
    const removable: string[] = [];
    for (let at = 0; at < epochs.length; at += FETCHES_MAX) {
      const some = await Promise.all(
        epochs.slice(at, at + FETCHES_MAX).map((object) => mayGo(chain, object)),
      );
      removable.push(...some.filter((key) => key !== null));
    }
    removed += await removeAll(chain, removable);
    if (epochs.length < page.length) break;
  }
  return removed;
}

async function removeAll(chain: Chain, keys: readonly string[]): Promise<number> {
  for (let at = 0; at < keys.length; at += REMOVE_KEYS_MAX) {
    await chain.store.remove(keys.slice(at, at + REMOVE_KEYS_MAX));
  }
  return keys.length;
}

/**
 * The newest snapshot that is verified and was written at or before `beforeMs`, the first moment
 * that must stay restorable, by the store's clock (I10, I11). Null when there is none: then
 * everything stays.
 */
export async function retentionBase(
  chain: Chain,
  verified: ReadonlySet<number>,
  beforeMs: number,
): Promise<number | null> {
  const snapshots = await listLevel(chain, SNAPSHOT_LEVEL);
  const base = snapshots.findLast(({ max, modifiedAtMs }) =>
    verified.has(max) && modifiedAtMs <= beforeMs
  );
  return base?.max ?? null;
}

/** The key of an epoch that is neither claim nor tombstone, read from its own header (I4). */
async function mayGo(chain: Chain, object: ChainObject): Promise<string | null> {
  const start = await chain.store.getRange(object.key, { offset: 0, length: HEADER_BYTES });
  // Another node has pruned it meanwhile.
  if (start === null) return null;
  const { kind } = decodeHeader(start, object.key);
  return kind === "data" || kind === "resignation" ? object.key : null;
}
