/**
 * Looks at a working writer every 100 ms, and when a deadline comes: which request runs (the child
 * writes its serial into a mapped file, so that this is known even while SQLite does not return),
 * since when, and how large memory and log have become. Rests while nothing executes.
 */
import { closeSync, openSync, readSync, statSync, writeFileSync } from "node:fs";
import type { Clock } from "../base/clock.ts";
import {
  CHILD_BYTES_MAX,
  WORKSPACE_LOG_BYTES_MAX,
  WRITER_GRACE_MS,
  WRITER_LOOK_MS,
} from "../base/limits.ts";
import type { PendingRequest } from "./pending-batch.ts";

/** A request that runs shorter than this is never the one that is ended. */
const BLAME_MS = 25;

export type Excess = "deadline" | "memory" | "log";

export interface WatchTarget {
  /** True while requests are to be executed. */
  isWorking(): boolean;
  find(serial: number): PendingRequest | null;
  residentBytes(): number;
  /** Where the log ended before the batch. */
  logStart(): number;
  /** Called once; the watch rests until `begin`. */
  onExcess(excess: Excess, serial: number): void;
}

export interface WatchOptions {
  readonly clock: Clock;
  readonly progressPath: string;
  readonly logPath: string;
}

export class WriterWatch {
  readonly #options: WatchOptions;
  readonly #target: WatchTarget;
  readonly #progress: number;
  readonly #bytes = new Uint32Array(1);
  #serial = 0;
  #sinceMs = 0;
  #looks = 0;
  #lookAtMs = Infinity;
  #cancel: (() => void) | null = null;

  constructor(options: WatchOptions, target: WatchTarget) {
    this.#options = options;
    this.#target = target;
    writeFileSync(options.progressPath, new Uint8Array(8));
    this.#progress = openSync(options.progressPath, "r");
  }

  /** Requests begin to execute; the soonest of their deadlines is at `deadlineMs` (monotonic). */
  begin(deadlineMs: number): void {
    const nowMs = this.#options.clock.monotonicMs();
    this.#lookAt(Math.max(nowMs + BLAME_MS, Math.min(nowMs + WRITER_LOOK_MS, deadlineMs)), nowMs);
  }

  /** The serial of the request that the child runs, or ran when it ended; 0 for none. */
  running(): number {
    return readSync(this.#progress, this.#bytes, 0, 4, 0) === 4 ? this.#bytes[0] ?? 0 : 0;
  }

  /** A new child begins: what the last one ran is forgotten. */
  reset(): void {
    this.#stop();
    this.#serial = 0;
    writeFileSync(this.#options.progressPath, new Uint8Array(8));
  }

  close(): void {
    this.#stop();
    closeSync(this.#progress);
  }

  #lookAt(atMs: number, nowMs: number): void {
    if (this.#cancel !== null && this.#lookAtMs <= atMs) return;
    this.#stop();
    this.#lookAtMs = atMs;
    this.#cancel = this.#options.clock.after(Math.max(1, atMs - nowMs), () => {
      this.#cancel = null;
      if (this.#target.isWorking()) this.#look();
    });
  }

  #stop(): void {
    this.#cancel?.();
    this.#cancel = null;
  }

  #look(): void {
    const nowMs = this.#options.clock.monotonicMs();
    const serial = this.running();
    if (serial !== this.#serial) {
      this.#serial = serial;
      this.#sinceMs = nowMs;
      this.#looks = 0;
    }
    this.#looks++;
    const pending = serial === 0 ? null : this.#target.find(serial);
    let nextMs = nowMs + WRITER_LOOK_MS;
    if (pending !== null) {
      const endMs = Math.max(
        pending.request.deadlineMs,
        this.#sinceMs + (pending.isAgain ? WRITER_GRACE_MS : BLAME_MS),
      );
      const excess = nowMs >= endMs ? "deadline" : this.#excess();
      if (excess !== null) return this.#target.onExcess(excess, serial);
      nextMs = Math.min(nextMs, endMs);
    }
    this.#lookAt(nextMs, nowMs);
  }

  #excess(): Excess | null {
    // What another request left behind is not this one's: it must have run from look to look.
    if (this.#looks >= 2 && this.#target.residentBytes() > CHILD_BYTES_MAX) return "memory";
    const log = statSync(this.#options.logPath, { throwIfNoEntry: false })?.size ?? 0;
    return log - this.#target.logStart() > WORKSPACE_LOG_BYTES_MAX ? "log" : null;
  }
}
