/** How long this node waits before it claims again: it was deposed soon after its last claim, or made way. */
import type { Clock } from "../base/clock.ts";
import { dampingMs } from "../election/damping.ts";
import { MAKE_WAY_MS } from "../election/lead.ts";

export class Quiet {
  readonly #clock: Clock;
  #claimedAtMs = -Infinity;
  #dampingMs = 0;
  #untilMs = -Infinity;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** No claim before (monotonic ms). */
  get untilMs(): number {
    return this.#untilMs;
  }

  /** Whether this process has ever won a claim of `system`. */
  get hasClaimed(): boolean {
    return this.#claimedAtMs > -Infinity;
  }

  claimed(): void {
    this.#claimedAtMs = this.#clock.monotonicMs();
  }

  /** Returns for how long it is quiet now (ms). */
  deposed(): number {
    const nowMs = this.#clock.monotonicMs();
    this.#dampingMs = dampingMs(this.#dampingMs, nowMs - this.#claimedAtMs);
    this.#untilMs = nowMs + this.#dampingMs;
    return this.#dampingMs;
  }

  /** Those it makes way for are in no roster of its own: only time lets them go first. */
  makeWay(): void {
    this.#untilMs = this.#clock.monotonicMs() + MAKE_WAY_MS;
  }
}
