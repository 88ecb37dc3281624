/**
 * A part of a store, for a program's own objects: every key lies below one prefix, and nothing else
 * of the store can be named. Its creates are driven to their outcome, so they have two answers: an
 * object with the same bytes counts as created, so bytes that must win say who wrote them.
 */
import type { Clock } from "../base/clock.ts";
import { CREATE_MS_MAX } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import { checkKey } from "./key.ts";
import { settle } from "./settle.ts";
import type { Store } from "./store.ts";

/**
 * A store that somebody else opened and closes. `timeoutMs` of a create is the time for all of its
 * attempts; after it `uncertain` or `unavailable`.
 */
export type PartOfStore = Omit<Store, "close">;

export interface PartOptions {
  /** Ends with "/". */
  readonly prefix: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export function partOf(store: Store, { prefix, ...parts }: PartOptions): PartOfStore {
  const { clock } = parts;
  const full = (key: string): string => {
    checkKey(key, prefix);
    return prefix + key;
  };
  return {
    name: `${store.name.replace(/\/$/, "")}/${prefix}`,
    get: async (key, options) => await store.get(full(key), options),
    getRange: async (key, range, options) => await store.getRange(full(key), range, options),
    head: async (key, options) => await store.head(full(key), options),
    create: async (key, body, options = {}) => {
      const path = full(key);
      const end = new AbortController();
      const { signal = end.signal, timeoutMs = CREATE_MS_MAX, ...rest } = options;
      const cancel = clock.after(timeoutMs, () => end.abort(new Error(`after ${timeoutMs} ms`)));
      const stop = AbortSignal.any([signal, end.signal]);
      try {
        const created = await settle(store, path, body, { ...parts, ...rest, signal: stop });
        return created.outcome === "won" ? "created" : "exists";
      } finally {
        cancel();
      }
    },
    replace: async (key, bytes, etag, options) =>
      await store.replace(full(key), bytes, etag, options),
    list: async (below, options = {}) => {
      // What names no key of this part may be a path that leads out of it.
      checkKey(`${below}x`, prefix);
      const { startAfter, ...rest } = options;
      const page = await store.list(prefix + below, {
        ...rest,
        ...(startAfter !== undefined && { startAfter: prefix + startAfter }),
      });
      const objects = page.objects.map((one) => ({ ...one, key: one.key.slice(prefix.length) }));
      return { ...page, objects };
    },
    remove: async (keys, options) => await store.remove(keys.map(full), options),
    clockOffsetMs: () => store.clockOffsetMs(),
  };
}
