/**
 * The reader processes that there are: started when first needed, with one to spare for the moment
 * when another is stuck, ended when nothing has been read for long.
 */
import type { Clock } from "../base/clock.ts";
import { describe } from "../base/failure.ts";
import { CHILD_IDLE_MS, READERS_MAX } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import type { Children } from "./child.ts";
import { type ReaderEvents, ReaderProcess } from "./reader-process.ts";

export interface CrewOptions {
  readonly children: Children;
  readonly clock: Clock;
  readonly log: Log;
  /** For large results and what is shared with readers: in memory, made if need be, its own. */
  readonly directory: string;
  readonly readersMax?: number;
  /** How long readers live after the last read. */
  readonly childIdleMs?: number;
}

/** Readers without a long read that a pool in use keeps, and that long reads leave to others. */
const SPARE_READERS = 2;
/** A reader whose work is older than this gets no more while another is free. */
const FRESH_MS = 1;
/** After a reader that could not even start, none is started for this long. */
const RESTART_MS = 250;

export class Crew {
  readonly #options: CrewOptions;
  readonly #events: ReaderEvents;
  readonly #readers = new Set<ReaderProcess>();
  readonly #readersMax: number;
  #started = 0;
  /** Said once, and not with each attempt. */
  #isStartFailing = false;
  #notBeforeMs = 0;
  #usedMs = 0;
  #cancelIdle: (() => void) | null = null;

  constructor(options: CrewOptions, events: ReaderEvents) {
    this.#options = options;
    this.#events = events;
    this.#readersMax = Math.max(SPARE_READERS, options.readersMax ?? READERS_MAX);
  }

  /** Those that live, and those killed that have not ended yet. */
  get readers(): ReadonlySet<ReaderProcess> {
    return this.#readers;
  }

  get isWorking(): boolean {
    for (const reader of this.#readers) if (reader.batches.length > 0) return true;
    return false;
  }

  /** One that does nothing, or has only just begun to: one reader does all while reads are short. */
  free(): ReaderProcess | null {
    const nowMs = this.#options.clock.monotonicMs();
    let second: ReaderProcess | null = null;
    for (const reader of this.#readers) {
      if (!reader.takesBatch) continue;
      if (reader.batches.length === 0 || nowMs - reader.progressMs < FRESH_MS) return reader;
      second ??= reader;
    }
    return second;
  }

  /** One that does nothing, for a read that will keep it. */
  freeForLong(): ReaderProcess | null {
    if (this.#stuck() >= this.#longMax) return null;
    for (const reader of this.#readers) {
      if (reader.takesBatch && reader.batches.length === 0) return reader;
    }
    return null;
  }

  /** Whether long reads keep more readers than they may. */
  get hasTooManyLong(): boolean {
    return this.#stuck() > this.#longMax;
  }

  /** The reader that was stuck last. */
  youngestLong(): ReaderProcess | null {
    let youngest: ReaderProcess | null = null;
    for (const reader of this.#readers) {
      if (!reader.stuck || reader.killed) continue;
      if (!youngest || reader.progressMs > youngest.progressMs) youngest = reader;
    }
    return youngest;
  }

  /** Starts what is missing; one more than that when reads are `late`. */
  start(late: boolean): void {
    const nowMs = this.#options.clock.monotonicMs();
    this.#usedMs = nowMs;
    let usable = 0;
    let starting = 0;
    for (const reader of this.#readers) {
      if (reader.killed) continue;
      if (!reader.stuck) usable++;
      if (!reader.ready) starting++;
    }
    let missing = Math.max(SPARE_READERS - usable, late && starting === 0 ? 1 : 0);
    missing = Math.min(missing, this.#readersMax - this.#readers.size);
    if (missing <= 0 || nowMs < this.#notBeforeMs) return;
    try {
      for (; missing > 0; missing--) this.#start();
      this.#isStartFailing = false;
    } catch (error) {
      // No room for its file, or no process to be had: tried again, and reads have their deadlines.
      this.#notBeforeMs = nowMs + RESTART_MS;
      const cause = describe(error);
      if (!this.#isStartFailing) {
        this.#options.log.error("cannot start a reader process", { cause });
      }
      this.#isStartFailing = true;
    }
  }

  get #longMax(): number {
    return Math.max(1, this.#readersMax - SPARE_READERS);
  }

  #stuck(): number {
    let stuck = 0;
    for (const reader of this.#readers) if (reader.stuck && !reader.killed) stuck++;
    return stuck;
  }

  remove(reader: ReaderProcess): void {
    this.#readers.delete(reader);
    if (reader.ready) return;
    this.#notBeforeMs = this.#options.clock.monotonicMs() + RESTART_MS;
    if (!reader.killed) {
      this.#options.log.error("a reader process has ended before it began", { pid: reader.pid });
    }
  }

  /** Looks after nobody any more: a program that goes on is not kept from ending by that. */
  close(): void {
    this.#cancelIdle?.();
  }

  #start(): void {
    const { children, directory, clock } = this.#options;
    this.#readers.add(
      new ReaderProcess(children, this.#events, {
        directory,
        number: this.#started++,
        nowMs: () => clock.monotonicMs(),
      }),
    );
    this.#endIdleLater();
  }

  #endIdleLater(): void {
    if (this.#cancelIdle) return;
    const { clock, childIdleMs: idleMs = CHILD_IDLE_MS } = this.#options;
    this.#cancelIdle = clock.after(idleMs, () => {
      this.#cancelIdle = null;
      const sinceMs = clock.monotonicMs() - idleMs;
      let kept = this.#usedMs > sinceMs ? SPARE_READERS : 0;
      for (const reader of this.#readers) {
        const isIdle = reader.batches.length === 0 && reader.progressMs <= sinceMs;
        if (isIdle && kept <= 0) reader.kill();
        kept--;
      }
      if (this.#readers.size > 0) this.#endIdleLater();
    });
  }
}
