/** Gives a gate time, and carries out its orders: the one way to an image for reads and epochs. */
import type { Clock } from "../base/clock.ts";
import { deferred } from "../base/deferred.ts";
import { Gate, type GateLimits, type GateOrders } from "./gate.ts";
import type { GatedRead, ReadGate } from "./image.ts";

export class ClockedGate implements ReadGate {
  readonly #gate: Gate<GatedRead>;
  readonly #clock: Clock;
  #writer: (() => void) | null = null;
  #cancelTimer: (() => void) | null = null;
  #timerMs: number | null = null;

  constructor(clock: Clock, limits: GateLimits) {
    this.#clock = clock;
    this.#gate = new Gate(limits);
  }

  enter(read: GatedRead): void {
    if (this.#gate.state === "closed") return read.cancel();
    if (this.#gate.enter(read)) read.begin();
  }

  leave(read: GatedRead): void {
    this.#carryOut(this.#gate.leave(read, this.#clock.monotonicMs()));
  }

  /** Resolves when no read is at the image; none comes before `written`. One caller at a time. */
  write(sinceMs: number): Promise<void> {
    const { promise, resolve } = deferred<void>();
    this.#writer = () => resolve();
    this.#carryOut(this.#gate.epochWaits(sinceMs, this.#clock.monotonicMs()));
    return promise;
  }

  written(): void {
    this.#carryOut(this.#gate.written());
  }

  /** The image is done with: every read is cancelled, now and from now on. */
  close(): void {
    this.#carryOut(this.#gate.close());
  }

  #carryOut(orders: GateOrders<GatedRead>): void {
    this.#setTimer();
    for (const read of orders.cancel) read.cancel();
    for (const read of orders.begin) read.begin();
    if (!orders.write) return;
    const writer = this.#writer;
    this.#writer = null;
    writer?.();
  }

  #setTimer(): void {
    const dueMs = this.#gate.dueMs();
    if (dueMs === this.#timerMs) return;
    this.#cancelTimer?.();
    this.#timerMs = dueMs;
    this.#cancelTimer = dueMs === null
      ? null
      : this.#clock.after(Math.max(0, dueMs - this.#clock.monotonicMs()), () => {
        this.#timerMs = null;
        this.#cancelTimer = null;
        this.#carryOut(this.#gate.tick(this.#clock.monotonicMs()));
      });
  }
}
