/** Where admin changes pass the circuit breaker (`breaker.ts`), and what it is told. */
import type { Clock } from "../base/clock.ts";
import { Failure, isFailure } from "../base/failure.ts";
import { BACKUP_OVERDUE_MS } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import type { Metrics } from "../base/metrics.ts";
import type { Replica } from "../replica/replica.ts";
import {
  type Breaker,
  breakerAdmits,
  type BreakerFacts,
  breakerSees,
  breakerTried,
} from "./breaker.ts";

export interface AdminGateOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  facts(): BreakerFacts;
}

/** Some database has changes, and its newest snapshot is much older than it may be. */
export function isBackupOverdue(replicas: readonly Replica[]): boolean {
  return replicas.some(({ state, backup }) =>
    state === "owning" && backup.ageMs > BACKUP_OVERDUE_MS
  );
}

const STATES = ["closed", "open", "half_open"] as const;

export class AdminGate {
  readonly #options: AdminGateOptions;
  #breaker: Breaker = { state: "closed" };

  constructor(options: AdminGateOptions) {
    this.#options = options;
    for (const state of STATES) {
      options.metrics.gaugeOf(
        "headgate_breaker_state",
        "Circuit breaker of admin changes: 1 for the state that it is in",
        { state },
        () => this.breaker.state === state ? 1 : 0,
      );
    }
  }

  /** As of now. */
  get breaker(): Breaker {
    const { clock, facts, log } = this.#options;
    const before = this.#breaker;
    this.#breaker = breakerSees(before, facts(), clock.monotonicMs());
    if (this.#breaker.state !== before.state) {
      const reason = "reason" in this.#breaker ? this.#breaker.reason : undefined;
      log.info("circuit breaker", { from: before.state, to: this.#breaker.state, reason });
    }
    return this.#breaker;
  }

  /** Carries out one admin change, or rejects with `unavailable` and the reason. */
  async run<T>(change: () => Promise<T>): Promise<T> {
    const admitted = breakerAdmits(this.breaker);
    if (admitted instanceof Failure) throw admitted;
    this.#breaker = admitted;
    let failed = true;
    try {
      const result = await change();
      failed = false;
      return result;
    } catch (error) {
      // What the client did wrong says nothing about the cluster.
      failed = !isFailure(error) || isFailure(error, "unavailable", "uncertain");
      throw error;
    } finally {
      this.#breaker = breakerTried(this.#breaker, failed, this.#options.clock.monotonicMs());
    }
  }
}
