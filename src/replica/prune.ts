/**
 * Removing what a verified snapshot covers. Claims and tombstones stay for ever (I4): whoever slept
 * finds its next number taken. Safe to kill at any point, since nothing needs what it removes.
 */
import { FETCHES_MAX, REMOVE_KEYS_MAX } from "../base/limits.ts";
import { decodeHeader, HEADER_BYTES } from "../epoch/header.ts";
import {
  type Chain,
  type ChainObject,
  COMPACTED_LEVELS,
  listLevel,
  SNAPSHOT_LEVEL,
} from "./chain.ts";

/**
 * Removes everything that lies wholly before the snapshot at `snapshot`, which the caller has
 * verified, except claims and tombstones. That snapshot and the epoch of its number stay (I10).
 * Returns how many objects went.
 */
export async function pruneBelow(chain: Chain, snapshot: number): Promise<number> {
  const [older, level0, ...compacted] = await Promise.all([
    listLevel(chain, SNAPSHOT_LEVEL),
    listLevel(chain, 0),
    ...COMPACTED_LEVELS.map((level) => listLevel(chain, level)),
  ]);
  const whole = [...older, ...compacted.flat()]
    .filter((object) => object.max < snapshot || (object.level !== 9 && object.max <= snapshot));
  // The epoch at the snapshot stays: a stray claim at its number would look like what it ends with.
  const epochs = (level0 ?? []).filter((object) => object.max < snapshot);
  const removable: string[] = whole.map(({ key }) => key);
  for (let at = 0; at < epochs.length; at += FETCHES_MAX) {
    const some = await Promise.all(
      epochs.slice(at, at + FETCHES_MAX).map((object) => mayGo(chain, object)),
    );
    removable.push(...some.filter((key) => key !== null));
  }
  for (let at = 0; at < removable.length; at += REMOVE_KEYS_MAX) {
    await chain.store.remove(removable.slice(at, at + REMOVE_KEYS_MAX));
  }
  return removable.length;
}

/** The key of an epoch that is neither claim nor tombstone, read from its own header (I4). */
async function mayGo(chain: Chain, object: ChainObject): Promise<string | null> {
  const start = await chain.store.getRange(object.key, { offset: 0, length: HEADER_BYTES });
  // Another node has pruned it meanwhile.
  if (start === null) return null;
  const { kind } = decodeHeader(start, object.key);
  return kind === "data" || kind === "resignation" ? object.key : null;
}
