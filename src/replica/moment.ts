/** From a moment to an epoch: timestamps ascend along a chain, so a binary search over headers. */
import { Failure } from "../base/failure.ts";
import { decodeHeader, HEADER_BYTES } from "../epoch/header.ts";
import { planCatchUp } from "../epoch/plan.ts";
import {
  type Chain,
  type ChainObject,
  COMPACTED_LEVELS,
  listLevel,
  SNAPSHOT_LEVEL,
} from "./chain.ts";
import { gone } from "./fetch.ts";

/** The newest epoch that can be restored whose timestamp is at or before `timeMs`. */
export async function epochAt(chain: Chain, timeMs: number): Promise<number> {
  const levels = await Promise.all(
    [SNAPSHOT_LEVEL, ...COMPACTED_LEVELS, 0].map((level) => listLevel(chain, level)),
  );
  const ends = new Map<number, ChainObject>();
  for (const object of restorable(levels.flat())) ends.set(object.max, object);
  const objects = [...ends.values()].sort((a, b) => a.max - b.max);
  let low = 0;
  let high = objects.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const object = objects[middle];
    if (object && (await timestamp(chain, object)) <= timeMs) low = middle + 1;
    else high = middle;
  }
  const found = objects[low - 1];
  if (found) return found.max;
  throw new Failure(
    "missing",
    `Cannot restore ${chain.name} as of ${
      new Date(timeMs).toISOString()
    }: its oldest epoch is younger`,
  );
}

/** Without the claims that were kept, or went astray, where all else was pruned: they lead nowhere. */
function restorable(objects: readonly ChainObject[]): readonly ChainObject[] {
  const ends = objects.filter(({ level }) => level === SNAPSHOT_LEVEL).map(({ max }) => max);
  if (ends.length === 0) return objects;
  const oldest = Math.min(...ends);
  if (planCatchUp(objects, 0, oldest).kind === "complete") return objects;
  return objects.filter(({ max }) => max >= oldest);
}

async function timestamp(chain: Chain, object: ChainObject): Promise<number> {
  const start = await chain.store.getRange(object.key, { offset: 0, length: HEADER_BYTES });
  if (start === null) throw gone(object.key);
  return decodeHeader(start, object.key).timestampMs;
}
