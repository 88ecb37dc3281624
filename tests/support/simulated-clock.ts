/**
 * Time in the simulated world. One timeline of events for everything; each process has a clock on
 * it that can be paused (its events are held until it goes on) and stopped for ever (they are
 * dropped). Between two events all promises that can go on have gone on, so the world has one
 * thread and one order of things.
 */
import { drainMicrotasks } from "bun:jsc";
import type { Clock } from "../../src/base/clock.ts";

interface Event {
  readonly atMs: number;
  readonly order: number;
  run: (() => void) | null;
}

export class Timeline {
  /** A binary heap by time, then by order of scheduling. */
  readonly #heap: Event[] = [];
  #order = 0;
  #nowMs = 0;
  #events = 0;

  /** Milliseconds since the world began. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /** Events that have happened. */
  get events(): number {
    return this.#events;
  }

  /** Calls `run` after `afterMs`, unless the returned function is called first. */
  schedule(afterMs: number, run: () => void): () => void {
    const event: Event = { atMs: this.#nowMs + Math.max(0, afterMs), order: ++this.#order, run };
    this.#heap.push(event);
    this.#up(this.#heap.length - 1);
    return () => void (event.run = null);
  }

  /** The next event and all that follows from it at once. False when nothing is left to happen. */
  step(): boolean {
    for (let event = this.#pop(); event !== null; event = this.#pop()) {
      const { run } = event;
      if (run === null) continue;
      this.#nowMs = event.atMs;
      this.#events++;
      event.run = null;
      run();
      drainMicrotasks();
      return true;
    }
    return false;
  }

  #pop(): Event | null {
    const first = this.#heap[0];
    const last = this.#heap.pop();
    if (first === undefined || last === undefined) return null;
    if (this.#heap.length > 0) {
      this.#heap[0] = last;
      this.#down(0);
    }
    return first;
  }

  #up(from: number): void {
    for (let at = from; at > 0;) {
      const parent = (at - 1) >> 1;
      if (!this.#swapIfBefore(at, parent)) return;
      at = parent;
    }
  }

  #down(from: number): void {
    for (let at = from;;) {
      const left = 2 * at + 1;
      if (left >= this.#heap.length) return;
      const right = left + 1;
      const child = right < this.#heap.length && before(this.#heap[right]!, this.#heap[left]!)
        ? right
        : left;
      if (!this.#swapIfBefore(child, at)) return;
      at = child;
    }
  }

  #swapIfBefore(child: number, parent: number): boolean {
    const lower = this.#heap[child]!;
    const upper = this.#heap[parent]!;
    if (!before(lower, upper)) return false;
    this.#heap[child] = upper;
    this.#heap[parent] = lower;
    return true;
  }
}

function before(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

/** Wall time of the moment at which the world begins: 2026-01-01T00:00:00Z. */
export const WORLD_BEGAN_MS = Date.UTC(2026, 0, 1);
/** How far work within one event may seem to take, so that slices end and others get a turn. */
const WORK_MS_MAX = 12;

export interface SimulatedClockOptions {
  /** Wall clock minus the world's. */
  readonly skewMs?: number;
  /** What one look at the monotonic clock seems to take: work is not free on a busy machine. */
  readonly lookMs?: number;
  /** Called before each event of this clock's process. */
  onEvent?(): void;
}

export class SimulatedClock implements Clock {
  readonly #timeline: Timeline;
  readonly #options: SimulatedClockOptions;
  #state: "running" | "paused" | "stopped" = "running";
  #held: (() => void)[] = [];
  #pausedSinceMs = 0;
  #pausedMs = 0;
  #workMs = 0;
  #workEvent = -1;
  #lastMs = 0;
  /** Callers of `turn`, which go on even when the clock has stopped: files are closed that way. */
  readonly #turns = new Set<() => void>();

  constructor(timeline: Timeline, options: SimulatedClockOptions = {}) {
    this.#timeline = timeline;
    this.#options = options;
  }

  get isStopped(): boolean {
    return this.#state === "stopped";
  }

  get isPaused(): boolean {
    return this.#state === "paused";
  }

  /** For how long it was paused, in all. */
  get pausedMs(): number {
    return this.#pausedMs;
  }

  nowMs(): number {
    return Math.floor(WORLD_BEGAN_MS + this.#timeline.nowMs + (this.#options.skewMs ?? 0));
  }

  monotonicMs(): number {
    const { lookMs = 0 } = this.#options;
    if (this.#workEvent !== this.#timeline.events) {
      this.#workEvent = this.#timeline.events;
      this.#workMs = 0;
    }
    this.#workMs = Math.min(WORK_MS_MAX, this.#workMs + lookMs);
    return this.#lastMs = Math.max(this.#lastMs, this.#timeline.nowMs + this.#workMs);
  }

  /** The world's time, whatever this process thinks. */
  get worldMs(): number {
    return this.#timeline.nowMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const onAbort = () => {
        cancel();
        reject(signal?.reason);
      };
      const cancel = this.after(ms, () => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      });
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }

  turn(): Promise<void> {
    if (this.#state === "stopped") return Promise.resolve();
    return new Promise((resolve) => {
      const done = () => {
        this.#turns.delete(done);
        resolve();
      };
      this.#turns.add(done);
      this.after(0, done);
    });
  }

  after(ms: number, callback: () => void): () => void {
    let isCancelled = false;
    const run = () => {
      if (isCancelled || this.#state === "stopped") return;
      if (this.#state === "paused") return void this.#held.push(run);
      this.#options.onEvent?.();
      callback();
    };
    const cancel = this.#timeline.schedule(ms, run);
    return () => {
      isCancelled = true;
      cancel();
    };
  }

  pause(): void {
    if (this.#state !== "running") return;
    this.#state = "paused";
    this.#pausedSinceMs = this.#timeline.nowMs;
  }

  /** What came due meanwhile happens now, in its order. */
  resume(): void {
    if (this.#state !== "paused") return;
    this.#state = "running";
    this.#pausedMs += this.#timeline.nowMs - this.#pausedSinceMs;
    for (const run of this.#held.splice(0)) this.#timeline.schedule(0, run);
  }

  /** The process is gone: nothing of it happens any more. */
  stop(): void {
    this.#state = "stopped";
    this.#held = [];
    for (const done of [...this.#turns]) done();
  }
}
