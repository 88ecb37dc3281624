/**
 * Which objects make up a database: the newest snapshot that is not too new, then the fewest objects
 * that extend it without a gap (PROTOCOL, section 6). Ranges may overlap. Taking, at each step, the
 * object that reaches furthest gives the fewest; it also prefers high levels by itself.
 */

import { SNAPSHOT_LEVEL } from "./key.ts";

/** One listed object of a chain. Level 9 holds snapshots, which begin with epoch 1. */
export interface Listed {
  readonly level: number;
  readonly min: number;
  readonly max: number;
  readonly size: number;
}

export type Plan<T extends Listed> =
  /** Decode these in order and the database is as of `epoch`. */
  | { readonly kind: "complete"; readonly objects: readonly T[]; readonly epoch: number }
  /** Nothing that ends at or before epoch `wanted` holds `missing`; `objects` lead up to it. */
  | {
    readonly kind: "gap";
    readonly objects: readonly T[];
    readonly missing: number;
    readonly wanted: number;
  };

/**
 * Plans from nothing up to epoch `target`, or to the newest epoch that any object holds.
 * No objects at all, and no target, are a complete plan to epoch 0.
 */
export function planRestore<T extends Listed>(objects: readonly T[], target?: number): Plan<T> {
  const wanted = target ?? newest(objects);
  let snapshot: T | null = null;
  for (const object of objects) {
    if (object.level !== SNAPSHOT_LEVEL || object.min !== 1 || object.max > wanted) continue;
    if (snapshot === null || object.max > snapshot.max) snapshot = object;
  }
  const rest = extend(objects, snapshot?.max ?? 0, wanted);
  return snapshot === null ? rest : { ...rest, objects: [snapshot, ...rest.objects] };
}

/** Plans from a database that is at epoch `from` up to `target`, or to the newest epoch. */
export function planCatchUp<T extends Listed>(
  objects: readonly T[],
  from: number,
  target?: number,
): Plan<T> {
  return extend(objects, from, target ?? Math.max(from, newest(objects)));
}

function newest(objects: readonly Listed[]): number {
  return objects.reduce((epoch, { max }) => Math.max(epoch, max), 0);
}

function extend<T extends Listed>(objects: readonly T[], from: number, wanted: number): Plan<T> {
  const usable = objects
    .filter(({ level, min, max }) =>
      level !== SNAPSHOT_LEVEL && min <= max && max > from && max <= wanted
    )
    .sort((a, b) => a.min - b.min);
  const chosen: T[] = [];
  let epoch = from;
  let next = 0;
  while (epoch < wanted) {
    // What an earlier step saw and did not take reaches no further than what it took.
    let best: T | null = null;
    for (let object = usable[next]; object && object.min <= epoch + 1; object = usable[++next]) {
      if (best === null || isBetter(object, best)) best = object;
    }
    if (best === null || best.max <= epoch) {
      return { kind: "gap", objects: chosen, missing: epoch + 1, wanted };
    }
    chosen.push(best);
    epoch = best.max;
  }
  return { kind: "complete", objects: chosen, epoch };
}

/** Reaches further; else, the same with fewer bytes; else, what was compacted more. */
function isBetter(a: Listed, b: Listed): boolean {
  if (a.max !== b.max) return a.max > b.max;
  return a.size !== b.size ? a.size < b.size : a.level > b.level;
}
