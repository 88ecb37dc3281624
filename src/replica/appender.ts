/**
 * The one append that may be in flight on a chain (I2), and the proof that a linearizable read
 * needs: that at some moment after it arrived this node was still the owner.
 *
 * All waiting reads share one HEAD of tip + 1. It is sent only while no append is in flight, and an
 * append that starts meanwhile voids it; that append, sent after those reads arrived, is a proof
 * itself when it is created at its first attempt, and no proof when it was won by reading back.
 */
import type { Clock } from "../base/clock.ts";
import { type Deferred, deferred } from "../base/deferred.ts";
import { Failure } from "../base/failure.ts";
import type { Log } from "../base/log.ts";
import { settle } from "../store/settle.ts";
import type { Body } from "../store/store.ts";
import type { Random } from "../base/random.ts";
import { type Chain, epochKey, type Tip } from "./chain.ts";
import { fenced } from "./failures.ts";

export interface AppendResult {
  readonly outcome: "won" | "lost";
  /** True when some attempt had an unknown outcome: a client may not be told that nothing was done. */
  readonly everUnknown: boolean;
}

interface AppenderParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

type Waiter = Deferred<number>;

export class Appender {
  readonly #parts: AppenderParts;
  readonly #chain: Chain;
  readonly #onRefused: () => void;
  readonly #closing = new AbortController();
  #tip: Tip;
  #inFlight = false;
  #lost = false;
  #isUnresolved = false;
  /** Reads that arrived and that nothing sent so far proves. */
  #waiting: Waiter[] = [];
  /** Reads that the HEAD or the append under way will prove. */
  #covered: Waiter[] = [];
  #headRunning = false;
  #appends = 0;

  /** `onRefused` is called when a HEAD finds an epoch that this node did not write. */
  constructor(parts: AppenderParts, chain: Chain, tip: Tip, onRefused: () => void) {
    this.#parts = parts;
    this.#chain = chain;
    this.#tip = tip;
    this.#onRefused = onRefused;
  }

  get tip(): Tip {
    return this.#tip;
  }

  /** It was closed before the outcome of an append was certain: that epoch may still come to be. */
  get isUnresolved(): boolean {
    return this.#isUnresolved;
  }

  /**
   * Creates epoch `next.epoch`, which must be tip + 1, and returns when its outcome is certain.
   * Rejects only when the appender is closed.
   */
  async append(next: Tip, body: Body): Promise<AppendResult> {
    if (this.#inFlight || next.epoch !== this.#tip.epoch + 1) {
      throw new Error(
        `assertion failed: append of epoch ${next.epoch} of ${this.#chain.name} with tip ` +
          `${this.#tip.epoch}, in flight: ${this.#inFlight} [I2]`,
      );
    }
    this.#inFlight = true;
    this.#appends++;
    this.#covered.push(...this.#waiting.splice(0));
    try {
      const result = await settle(this.#chain.store, epochKey(this.#chain, next.epoch), body, {
        clock: this.#parts.clock,
        random: this.#parts.random,
        log: this.#parts.log,
        signal: this.#closing.signal,
        metadata: { "litestream-timestamp": rfc3339Nanoseconds(next.timestampMs) },
      });
      const covered = this.#covered.splice(0);
      if (result.outcome === "lost") {
        this.#waiting.push(...covered);
        this.close(fenced(this.#chain.name));
        return { outcome: "lost", everUnknown: result.everUnknown };
      }
      this.#tip = next;
      if (result.firstTry) covered.forEach((waiter) => waiter.resolve(next.epoch));
      else this.#waiting.unshift(...covered);
      return { outcome: "won", everUnknown: result.everUnknown };
    } catch (error) {
      this.#isUnresolved = true;
      throw error;
    } finally {
      this.#inFlight = false;
      // After the caller has had its chance to send the next append, which is a better proof.
      if (this.#waiting.length > 0) void this.#parts.clock.turn().then(() => this.#head());
    }
  }

  /**
   * Resolves with the tip at a moment after this call at which nobody else had written the next
   * epoch. Rejects with `elsewhere` when somebody had, `unavailable` when the store does not answer.
   */
  prove(): Promise<number> {
    if (this.#lost) return Promise.reject(fenced(this.#chain.name));
    const waiter = deferred<number>();
    this.#waiting.push(waiter);
    this.#head();
    return waiter.promise;
  }

  /** Ends everything that waits with `failure`; an append under way rejects. */
  close(failure: Failure): void {
    this.#lost = true;
    this.#closing.abort(failure);
    for (const waiter of [...this.#waiting.splice(0), ...this.#covered.splice(0)]) {
      waiter.reject(failure);
    }
  }

  #head(): void {
    if (this.#headRunning || this.#inFlight || this.#lost || this.#waiting.length === 0) return;
    this.#headRunning = true;
    this.#covered.push(...this.#waiting.splice(0));
    const appends = this.#appends;
    const tip = this.#tip.epoch;
    const done = (settleCovered: (waiters: Waiter[]) => void) => {
      this.#headRunning = false;
      // An append that was sent since has taken over what this HEAD covered.
      if (appends === this.#appends && !this.#lost) settleCovered(this.#covered.splice(0));
      this.#head();
    };
    this.#chain.store.head(epochKey(this.#chain, tip + 1)).then(
      (info) =>
        done((waiters) => {
          if (info === null) return waiters.forEach((waiter) => waiter.resolve(tip));
          this.#waiting.push(...waiters);
          this.close(fenced(this.#chain.name));
          this.#onRefused();
        }),
      (error) =>
        done((waiters) => {
          const failure = new Failure(
            "unavailable",
            `Cannot prove that this node still owns ${this.#chain.name}: the store did not answer`,
            { cause: error, retryAfterMs: 1_000 },
          );
          waiters.forEach((waiter) => waiter.reject(failure));
        }),
    );
  }
}

/** As Litestream reads it from an object's metadata. */
function rfc3339Nanoseconds(ms: number): string {
  return new Date(ms).toISOString().replace("Z", "000000Z");
}
