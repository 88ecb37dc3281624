/**
 * Who may be at an image: many reads, or one writer of epochs. A pure machine; `read-gate.ts` gives
 * it time and carries out what it says. (PROTOCOL section 5 says why waiting for SQLite's lock
 * alone starves the epochs.)
 *
 * - `open`      no epoch waits; reads begin at once
 * - `closing`   epochs wait for the reads in their way; new reads queue, for `gateMs` at most
 * - `ajar`      that time is over and reads still hold out; new ones begin, until the last of the
 *               reads that were in the way then ends: then `closing` again, for those there now
 * - `shut`      the oldest epoch has waited `conflictMs`: every read in the way is cancelled, new
 *               ones queue until the epochs are in
 * - `writing`   no read is there; the epochs go in, new reads queue
 * - `closed`    the image is done with: nothing enters
 */
import { assert } from "../base/assert.ts";

export interface GateLimits {
  /** How long reads queue behind an epoch, for each set of reads in its way. */
  readonly gateMs: number;
  /** How long an epoch waits before reads are cancelled. */
  readonly conflictMs: number;
}

export type GateState = "open" | "closing" | "ajar" | "shut" | "writing" | "closed";

/** What the caller does next, in this order. */
export interface GateOrders<Read> {
  /** Reads to be cancelled; each stays at the image until it is said to have left. */
  readonly cancel: readonly Read[];
  /** Reads from the queue that have begun. */
  readonly begin: readonly Read[];
  /** True when the epochs may go in now. */
  readonly write: boolean;
}

const NOTHING: GateOrders<never> = { cancel: [], begin: [], write: false };

export class Gate<Read> {
  readonly #limits: GateLimits;
  #state: GateState = "open";
  readonly #inside = new Set<Read>();
  readonly #queue = new Set<Read>();
  /** Those inside that an epoch has waited for since the gate was last closed. */
  #inTheWay = new Set<Read>();
  #closingUntilMs = 0;
  #conflictAtMs = 0;

  constructor(limits: GateLimits) {
    this.#limits = limits;
  }

  get state(): GateState {
    return this.#state;
  }

  get reads(): number {
    return this.#inside.size;
  }

  get queued(): number {
    return this.#queue.size;
  }

  /** A read wants to begin. True: it has. False: it queues, and an order begins it later. */
  enter(read: Read): boolean {
    assert(!this.#inside.has(read) && !this.#queue.has(read), "a read enters a gate once");
    const admitted = this.#state === "open" || this.#state === "ajar";
    (admitted ? this.#inside : this.#queue).add(read);
    return admitted;
  }

  /** A read has ended, or will not begin. */
  leave(read: Read, nowMs: number): GateOrders<Read> {
    if (this.#queue.delete(read) || !this.#inside.delete(read)) return NOTHING;
    this.#inTheWay.delete(read);
    if (this.#state === "open" || this.#state === "closed") return NOTHING;
    if (this.#inside.size === 0) return this.#write();
    if (this.#state !== "ajar" || this.#inTheWay.size > 0) return NOTHING;
    this.#close(nowMs);
    return this.tick(nowMs);
  }

  /** An epoch wants to go in; it has waited since `sinceMs`. */
  epochWaits(sinceMs: number, nowMs: number): GateOrders<Read> {
    // Later epochs wait behind the first and go in with it.
    if (this.#state !== "open") return NOTHING;
    this.#conflictAtMs = sinceMs + this.#limits.conflictMs;
    if (this.#inside.size === 0) return this.#write();
    this.#close(nowMs);
    return this.tick(nowMs);
  }

  /** The epochs that were told to go in are in. */
  written(): GateOrders<Read> {
    if (this.#state === "closed") return NOTHING;
    assert(this.#state === "writing", `epochs went in through a gate that is ${this.#state}`);
    this.#state = "open";
    return this.#admitQueue();
  }

  /** Nothing may enter any more; a writer that waited for reads is let through. */
  close(): GateOrders<Read> {
    const write = this.#state === "closing" || this.#state === "ajar" || this.#state === "shut";
    this.#state = "closed";
    const cancel = [...this.#inside, ...this.#queue];
    this.#queue.clear();
    return { cancel, begin: [], write };
  }

  /** Time has passed. */
  tick(nowMs: number): GateOrders<Read> {
    if (this.#state !== "closing" && this.#state !== "ajar") return NOTHING;
    if (nowMs >= this.#conflictAtMs) {
      this.#state = "shut";
      return { cancel: [...this.#inside], begin: [], write: false };
    }
    if (this.#state === "ajar" || nowMs < this.#closingUntilMs) return NOTHING;
    this.#state = "ajar";
    return this.#admitQueue();
  }

  /** When `tick` is due, or null. */
  dueMs(): number | null {
    if (this.#state === "closing") return Math.min(this.#closingUntilMs, this.#conflictAtMs);
    return this.#state === "ajar" ? this.#conflictAtMs : null;
  }

  #close(nowMs: number): void {
    this.#state = "closing";
    this.#inTheWay = new Set(this.#inside);
    this.#closingUntilMs = nowMs + this.#limits.gateMs;
  }

  #write(): GateOrders<Read> {
    this.#state = "writing";
    return { cancel: [], begin: [], write: true };
  }

  #admitQueue(): GateOrders<Read> {
    const begin = [...this.#queue];
    this.#queue.clear();
    for (const read of begin) this.#inside.add(read);
    return { cancel: [], begin, write: false };
  }
}
