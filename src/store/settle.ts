/**
 * Drives a create to its one true outcome (I7). "Exists" and an unknown outcome are both settled
 * by reading back: equal is won, different is lost, absent sends the same bytes again. It goes on
 * until the outcome is known or the caller gives up.
 */
import type { Clock } from "../base/clock.ts";
import { describe, Failure, isFailure } from "../base/failure.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import { backoffMs } from "./backoff.ts";
import { readBack } from "./read-back.ts";
import type { Body, Store } from "./store.ts";

export interface SettleOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Gives up: throws `uncertain` if an attempt may have been applied, else `unavailable`. */
  readonly signal?: AbortSignal;
  /** Deadline of each attempt. */
  readonly timeoutMs?: number;
  readonly metadata?: Readonly<Record<string, string>>;
  /** Called for each attempt whose outcome is unknown, before it is read back. */
  readonly onUnknown?: (failure: Failure) => void;
}

export interface Settled {
  readonly outcome: "won" | "lost";
  /** True if the first attempt was answered "created". */
  readonly firstTry: boolean;
  /** True if some attempt had an unknown outcome, however it was settled afterwards (I8). */
  readonly everUnknown: boolean;
}

/**
 * Creates `key` with bytes that nobody else writes: an epoch carries the 64-bit random id of its
 * claim and a CRC. Goes on through every failure, also `denied` and `invalid`, since a bucket's
 * policy can be repaired; those are logged as errors.
 */
export async function settle(
  store: Store,
  key: string,
  body: Body,
  options: SettleOptions,
): Promise<Settled> {
  const creation = new Creation(store, key, body, options);
  let last: Sent | Seen = await creation.send();
  if (last === "created") return creation.settled("won", true);
  for (let failures = 1;; failures++) {
    const step: Step = NEXT[last];
    if (step.waits) await creation.wait(failures);
    last = step.sends ? await creation.send() : await creation.look();
    if (last === "created" || last === "equal") return creation.settled("won", false);
    if (last === "different") return creation.settled("lost", false);
  }
}

type Sent = "created" | "exists" | "refused" | "unknown";
type Seen = "equal" | "different" | "absent" | "unread";

interface Step {
  readonly waits: boolean;
  readonly sends: boolean;
}

/** What follows an attempt that did not decide: the first look comes at once, all else waits. */
const NEXT = {
  exists: { waits: false, sends: false },
  unknown: { waits: false, sends: false },
  refused: { waits: true, sends: true },
  absent: { waits: true, sends: true },
  unread: { waits: true, sends: false },
} satisfies Record<Exclude<Sent | Seen, "created" | "equal" | "different">, Step>;

/** The steps of one creation and what they have shown so far. */
class Creation {
  readonly #store: Store;
  readonly #key: string;
  readonly #body: Body;
  readonly #options: SettleOptions;
  #everUnknown = false;
  #retryAfter: Failure | null = null;

  constructor(store: Store, key: string, body: Body, options: SettleOptions) {
    this.#store = store;
    this.#key = key;
    this.#body = body;
    this.#options = options;
  }

  async send(): Promise<Sent> {
    this.#giveUpIfAsked();
    const { metadata } = this.#options;
    try {
      const options = { ...this.#request(), ...(metadata && { metadata }) };
      return await this.#store.create(this.#key, this.#body, options);
    } catch (error) {
      if (!isFailure(error)) throw error;
      this.#report("create", error);
      if (isDefinite(error)) return "refused";
      this.#everUnknown = true;
      this.#options.onUnknown?.(error);
      return "unknown";
    }
  }

  async look(): Promise<Seen> {
    this.#giveUpIfAsked();
    try {
      return await readBack(this.#store, this.#key, this.#body, this.#request());
    } catch (error) {
      if (!isFailure(error)) throw error;
      this.#report("read back", error);
      return "unread";
    }
  }

  async wait(failures: number): Promise<void> {
    this.#giveUpIfAsked();
    const ms = backoffMs(failures, this.#options.random, this.#retryAfter);
    this.#retryAfter = null;
    try {
      await this.#options.clock.sleep(ms, this.#options.signal);
    } catch (error) {
      this.#giveUpIfAsked();
      throw error;
    }
  }

  settled(outcome: "won" | "lost", firstTry: boolean): Settled {
    return { outcome, firstTry, everUnknown: this.#everUnknown };
  }

  #giveUpIfAsked(): void {
    const signal = this.#options.signal;
    if (!signal?.aborted) return;
    const what = this.#everUnknown ? "it may have been created" : "nothing was created";
    const message = `Gave up creating ${this.#key} in ${this.#store.name}; ${what}`;
    throw new Failure(this.#everUnknown ? "uncertain" : "unavailable", message, {
      cause: signal.reason,
    });
  }

  #request() {
    const { signal, timeoutMs } = this.#options;
    return { ...(signal && { signal }), ...(timeoutMs !== undefined && { timeoutMs }) };
  }

  #report(action: string, failure: Failure): void {
    this.#retryAfter = failure;
    if (this.#options.signal?.aborted) return;
    const fields = { key: this.#key, store: this.#store.name, kind: failure.kind };
    const passes = isFailure(failure, "unavailable", "uncertain", "busy");
    const message = `Cannot ${action} an object; trying on`;
    const log = this.#options.log;
    if (passes) log.warn(message, { ...fields, error: describe(failure) });
    else {log.error(`${message} until the store is repaired`, {
        ...fields,
        error: describe(failure),
      });}
  }
}

/** True if the attempt certainly did nothing. */
function isDefinite(failure: Failure): boolean {
  return failure.kind !== "uncertain" && failure.kind !== "corrupt";
}
