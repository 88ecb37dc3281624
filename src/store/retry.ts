/**
 * Repeats what may be repeated: reads, lists, removes, and replaces after a look at what is there.
 * Never a create, whose unknown outcomes are `settle`'s.
 */
import type { Clock } from "../base/clock.ts";
import { describe, type Failure, isFailure } from "../base/failure.ts";
import { STORE_ATTEMPTS_MAX } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import { backoffMs } from "./backoff.ts";
import type { RequestOptions, Store } from "./store.ts";

export interface RetryParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/**
 * The store with at most `STORE_ATTEMPTS_MAX` attempts a request. The last failure is thrown as
 * it was, except that a replace is `uncertain` if any of its attempts was.
 */
export function retrying(store: Store, parts: RetryParts): Store {
  const attempts = new Attempts(parts);
  return {
    name: store.name,
    get: (key, options) => attempts.run("get", key, options, () => store.get(key, options)),
    getRange: (key, range, options) =>
      attempts.run("getRange", key, options, () => store.getRange(key, range, options)),
    head: (key, options) => attempts.run("head", key, options, () => store.head(key, options)),
    create: (key, body, options) => store.create(key, body, options),
    replace: (key, bytes, etag, options) => {
      let unknown: Failure | null = null;
      return attempts.run("replace", key, options, async () => {
        if (unknown !== null) {
          const found = await store.get(key, options);
          // Equal bytes are ours: whoever replaces writes a fresh nonce each time.
          if (found !== null && Buffer.compare(found.bytes, bytes) === 0) return found.etag;
          if ((found?.etag ?? null) !== etag) return null;
        }
        try {
          return await store.replace(key, bytes, etag, options);
        } catch (error) {
          if (isFailure(error, "uncertain", "corrupt")) unknown = error;
          throw error;
        }
      }).catch((error) => {
        throw unknown ?? error;
      });
    },
    list: (prefix, options) =>
      attempts.run("list", prefix, options, () => store.list(prefix, options)),
    remove: (keys, options) =>
      attempts.run("remove", keys[0] ?? "", options, () => store.remove(keys, options)),
    clockOffsetMs: () => store.clockOffsetMs(),
    close: () => store.close(),
  };
}

class Attempts {
  readonly #parts: RetryParts;

  constructor(parts: RetryParts) {
    this.#parts = parts;
  }

  async run<T>(
    operation: string,
    key: string,
    options: RequestOptions | undefined,
    send: () => Promise<T>,
  ): Promise<T> {
    const { clock, random, log } = this.#parts;
    for (let attempt = 1;; attempt++) {
      try {
        return await send();
      } catch (error) {
        if (!isFailure(error, "unavailable", "uncertain", "busy")) throw error;
        if (attempt === STORE_ATTEMPTS_MAX || options?.signal?.aborted) throw error;
        const waitMs = backoffMs(attempt, random, error);
        log.debug("A request to the store failed; trying again", {
          operation,
          key,
          attempt,
          waitMs,
          error: describe(error),
        });
        // An abort while waiting ends it with the failure that it waited for.
        await clock.sleep(waitMs, options?.signal).catch(() => {
          throw error;
        });
      }
    }
  }
}
