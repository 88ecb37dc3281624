/**
 * One reader process as the pool sees it: the batches that it has, which read it is at, and since
 * when nothing came from it.
 */
import { readdirSync, rmSync } from "node:fs";
import { constants, setPriority } from "node:os";
import { RESULT_BYTES_MAX } from "../base/limits.ts";
import type { Child, Children } from "./child.ts";
import type { GatedRead, Image } from "./image.ts";
import type { PendingRead } from "./reader-lane.ts";
import {
  type BatchRead,
  type FromReader,
  type Result,
  resultNumber,
  type ToReader,
} from "./reader-message.ts";
import { SharedWords } from "./shared-words.ts";
import type { Parameters } from "./statement.ts";

/** Batches that a reader has at once: one to execute, one so that it need not wait for the next. */
const BATCHES_MAX = 2;

export interface RunningBatch {
  readonly id: number;
  readonly first: number;
  readonly image: Image;
  readonly epoch: number;
  readonly reads: readonly PendingRead[];
  /** Holds the image's gate. */
  readonly hold: GatedRead;
}

export interface ReaderEvents {
  ready(): void;
  result(read: PendingRead, result: Result, epoch: number): void;
  batchDone(batch: RunningBatch): void;
  /** The process has ended with these batches; `running` is null when it was killed. */
  ended(
    reader: ReaderProcess,
    batches: readonly RunningBatch[],
    running: PendingRead | null,
  ): void;
}

export interface ReaderOptions {
  /** For its shared words and large results. */
  readonly directory: string;
  /** Tells this reader's files from others'. */
  readonly number: number;
  readonly nowMs: () => number;
}

export class ReaderProcess {
  readonly #child: Child;
  readonly #words: SharedWords;
  readonly #events: ReaderEvents;
  readonly #nowMs: () => number;
  #batches: RunningBatch[] = [];
  #nextBatch = 1;
  #nextRead = 1;
  /** Where its large results are, and the number of the last that it told of. */
  readonly #results: string;
  #lastResult = -1;
  #gone = false;
  #yields = false;
  #forgetting = new Map<string, () => void>();
  ready = false;
  /** By us. */
  killed = false;
  /** A read takes long here: no further batch before it is over. */
  stuck = false;
  /** When something last came from it, or it got work while it had none. */
  progressMs: number;

  constructor(children: Children, events: ReaderEvents, options: ReaderOptions) {
    const name = `${options.directory}/reader-${options.number}`;
    const words = `${name}.words`;
    this.#results = name;
    this.#events = events;
    this.#nowMs = options.nowMs;
    this.progressMs = options.nowMs();
    this.#words = new SharedWords(words, true);
    this.#child = children.start("reader", {
      onMessage: (message) => this.#received(message as FromReader),
      onExit: () => {
        rmSync(words, { force: true });
        this.#removeLostResults(options.directory);
        const running = this.killed ? null : this.running()?.read ?? null;
        this.#gone = true;
        for (const forgotten of this.#forgetting.values()) forgotten();
        const batches = this.#batches;
        this.#batches = [];
        events.ended(this, batches, running);
      },
    });
    this.#send(["open", words, name]);
  }

  get pid(): number {
    return this.#child.pid;
  }

  get exited(): Promise<void> {
    return this.#child.exited;
  }

  get batches(): readonly RunningBatch[] {
    return this.#batches;
  }

  get takesBatch(): boolean {
    return this.ready && !this.killed && !this.stuck && !this.#yields &&
      this.#batches.length < BATCHES_MAX;
  }

  residentBytes(): number {
    return this.#child.residentBytes();
  }

  read(image: Image, reads: readonly PendingRead[], hold: GatedRead): void {
    if (this.#batches.length === 0) this.progressMs = this.#nowMs();
    const batch = {
      id: this.#nextBatch++,
      first: this.#nextRead,
      image,
      epoch: image.head.epoch,
      reads,
      hold,
    };
    this.#nextRead += reads.length;
    this.#batches.push(batch);
    for (const read of reads) read.reader = this;
    const texts = new Map<string, number>();
    const sent: BatchRead[] = reads.map(({ request }) => {
      let sql = texts.get(request.sql);
      if (sql === undefined) texts.set(request.sql, sql = texts.size);
      const params: Parameters | null = request.params ?? null;
      return [sql, params, request.byLine ? 1 : 0, request.resultBytesMax ?? RESULT_BYTES_MAX];
    });
    const { id, first, epoch } = batch;
    this.#send(["read", {
      id,
      first,
      path: image.path,
      epoch,
      sql: [...texts.keys()],
      reads: sent,
    }]);
  }

  /** The batch and read that it executes now. */
  running(): { readonly batch: RunningBatch; readonly read: PendingRead } | null {
    const number = this.#words.runningRead;
    for (const batch of this.#batches) {
      const read = number < batch.first ? undefined : batch.reads[number - batch.first];
      if (read) return { batch, read };
    }
    return null;
  }

  /**
   * Takes away every read but the running one, and every batch that has not begun. The reads are to
   * be executed elsewhere; the gates of the batches are the caller's to leave.
   */
  takeAway(): { readonly reads: PendingRead[]; readonly batches: RunningBatch[] } {
    const newest = this.#batches.at(-1)?.id ?? 0;
    this.#words.abandonedBatch = newest;
    const started = this.#words.startedBatch;
    const running = this.running()?.read;
    const reads = this.#batches.flatMap((batch) => batch.reads)
      .filter((read) => !read.answered && read !== running);
    const batches = this.#batches.filter((batch) => batch.id > started);
    this.#batches = this.#batches.filter((batch) => batch.id <= started);
    return { reads, batches };
  }

  /** Resolves when it has closed the image, or has ended. */
  forget(path: string): Promise<void> {
    if (this.#gone) return Promise.resolve();
    return new Promise((resolve) => {
      this.#forgetting.set(path, resolve);
      this.#send(["forget", path]);
    });
  }

  /**
   * From now on it runs when nobody else wants the processor. No process may take that back, so it
   * ends after what it has.
   */
  yieldProcessor(): void {
    if (this.#yields) return;
    this.#yields = true;
    try {
      setPriority(this.pid, constants.priority.PRIORITY_LOW);
    } catch {
      // It has just ended, or a sandbox forbids it; then it competes like the others.
    }
  }

  kill(): void {
    this.killed = true;
    this.#child.kill();
  }

  #send(message: ToReader): void {
    this.#child.send(message);
  }

  #received(message: FromReader): void {
    this.progressMs = this.#nowMs();
    if (message[0] === "ready") {
      this.ready = true;
      return this.#events.ready();
    }
    if (message[0] === "forgotten") {
      this.#forgetting.get(message[1])?.();
      this.#forgetting.delete(message[1]);
      return;
    }
    const [, id, at, results, last] = message;
    const batch = this.#batches.find((other) => other.id === id);
    if (!batch) {
      // It was taken away before it began, and now says that nothing of it was done.
      return this.#restIfDone();
    }
    for (let i = 0; i < results.length; i++) {
      const read = batch.reads[at + i];
      const result = results[i];
      if (!read || result === undefined) continue;
      if (typeof result === "object" && "path" in result) {
        this.#lastResult = resultNumber(this.#results, result.path) ?? this.#lastResult;
      }
      this.#events.result(read, result, batch.epoch);
    }
    if (last === 0) return;
    this.#batches = this.#batches.filter((other) => other !== batch);
    this.#restIfDone();
    this.#events.batchDone(batch);
  }

  /** Killed, it leaves the file that it was writing, and those that it had not told of. */
  #removeLostResults(directory: string): void {
    for (const name of readdirSync(directory)) {
      const path = `${directory}/${name}`;
      const number = resultNumber(this.#results, path);
      if (number !== null && number > this.#lastResult) rmSync(path, { force: true });
    }
  }

  #restIfDone(): void {
    if (this.#batches.length > 0) return;
    this.stuck = false;
    if (this.#yields) this.kill();
  }
}
