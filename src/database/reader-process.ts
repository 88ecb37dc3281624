/**
 * One reader process as the pool sees it: the batches that it has, which read it is at, and since
 * when nothing came from it.
 */
import { rmSync } from "node:fs";
import { RESULT_BYTES_MAX } from "../base/limits.ts";
import type { Child, Children } from "./child.ts";
import type { GatedRead, Image } from "./image.ts";
import type { PendingRead } from "./reader-lane.ts";
import type { BatchRead, FromReader, Result, ToReader } from "./reader-message.ts";
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
  #gone = false;
  #forgetting = new Map<string, () => void>();
  ready = false;
  /** By us. */
  killed = false;
  /** A read takes long here: no further batch before it is over. */
  stuck = false;
  /** When something last came from it, or it got work while it had none. */
  progressMs: number;

  constructor(children: Children, events: ReaderEvents, options: ReaderOptions) {
    const path = `${options.directory}/reader-${options.number}.words`;
    this.#events = events;
    this.#nowMs = options.nowMs;
    this.progressMs = options.nowMs();
    this.#words = new SharedWords(path, true);
    this.#child = children.start("reader", {
      onMessage: (message) => this.#received(message as FromReader),
      onExit: () => {
        rmSync(path, { force: true });
        const running = this.killed ? null : this.running()?.read ?? null;
        this.#gone = true;
        for (const forgotten of this.#forgetting.values()) forgotten();
        const batches = this.#batches;
        this.#batches = [];
        events.ended(this, batches, running);
      },
    });
    this.#send(["open", path, options.directory]);
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
    return this.ready && !this.killed && !this.stuck && this.#batches.length < BATCHES_MAX;
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
      if (this.#batches.length === 0) this.stuck = false;
      return;
    }
    for (let i = 0; i < results.length; i++) {
      const read = batch.reads[at + i];
      const result = results[i];
      if (read && result !== undefined) this.#events.result(read, result, batch.epoch);
    }
    if (last === 0) return;
    this.#batches = this.#batches.filter((other) => other !== batch);
    if (this.#batches.length === 0) this.stuck = false;
    this.#events.batchDone(batch);
  }
}
