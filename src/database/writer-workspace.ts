/**
 * The workspace as its owner sees it: tells a writer child what to execute and take, ends it when a
 * request runs into its deadline or a limit, and then lets another run the rest of the batch again,
 * over the same files, cut back to the last taken commit.
 */
import { rmSync } from "node:fs";
import { assert } from "../base/assert.ts";
import { type Deferred, deferred } from "../base/deferred.ts";
import { Failure } from "../base/failure.ts";
import { EPOCH_BYTES_MAX, WRITER_DEATHS_MAX } from "../base/limits.ts";
import type { PendingBatch, PendingRequest } from "./pending-batch.ts";
import { toFailure } from "./sql-error.ts";
import type {
  AnswerFailure,
  BatchRequest,
  RewriteOptions,
  Rewritten,
  Taken,
  TakeOptions,
  Workspace,
} from "./workspace.ts";
import { Batches } from "./writer-batches.ts";
import { endedFailure, excessFailure, overflowFailure } from "./writer-failure.ts";
import type { FromWriter, WriterHead } from "./writer-message.ts";
import { readText } from "./writer-output.ts";
import {
  executeMessage,
  finishTake,
  rewriteMessage,
  rewrittenOf,
  takeMessage,
} from "./writer-take.ts";
import type { OpenWorkspaceOptions } from "./writer-options.ts";
import { workspacePaths, WriterProcess } from "./writer-process.ts";
import { type Excess, WriterWatch } from "./writer-watch.ts";

export class WriterWorkspace implements Workspace {
  readonly #options: OpenWorkspaceOptions;
  readonly #process: WriterProcess;
  readonly #watch: WriterWatch;
  readonly #batches = new Batches();
  #rewriting: Deferred<Rewritten> | null = null;
  #opening: Deferred<void> | null = null;
  #closing: Promise<void> | null = null;
  /** Why nothing goes on; null while all is well. */
  #failure: Failure | null = null;
  #onEnded: (id: number, failure: AnswerFailure) => void = () => {};
  #serial = 1;
  #epochBytesMax = EPOCH_BYTES_MAX;
  #willFlush = false;
  #isRestarting = false;
  /** In a row, without a take between them or a request to blame. */
  #deaths = 0;

  constructor(options: OpenWorkspaceOptions) {
    this.#options = options;
    const { directory, clock } = options;
    const { path, progressPath } = workspacePaths(directory);
    this.#process = new WriterProcess({ ...options, path, progressPath }, {
      onMessage: (message) => this.#hear(message),
      onDeath: () => this.#died(),
      isIdle: () => this.#batches.isEmpty && this.#rewriting === null,
    });
    this.#watch = new WriterWatch({ clock, progressPath, logPath: `${path}-wal` }, {
      isWorking: () => !this.#batches.isSettled && !this.#process.isStopping,
      find: (serial) => this.#batches.find(serial)?.pending ?? null,
      residentBytes: () => this.#process.residentBytes(),
      logStart: () => this.#process.logStart,
      onExcess: (excess, serial) => this.#exceeded(excess, serial),
    });
  }

  open(head: WriterHead | null): Promise<void> {
    const opening = this.#opening = deferred<void>();
    // What begins it may throw, and then nobody waits for this.
    opening.promise.catch(() => {});
    this.#process.begin(head);
    return opening.promise;
  }

  execute(requests: readonly BatchRequest[]): void {
    this.#batches.open.add(requests, this.#options.clock.monotonicMs());
    if (this.#willFlush) return;
    this.#willFlush = true;
    // Calls of one turn share a message.
    queueMicrotask(() => {
      this.#willFlush = false;
      this.#flush();
    });
  }

  async settled(): Promise<void> {
    if (this.#failure !== null) throw this.#failure;
    await this.#batches.settled();
  }

  onEnded(listener: (id: number, failure: AnswerFailure) => void): void {
    this.#onEnded = listener;
  }

  async take(options: TakeOptions): Promise<Taken> {
    if (this.#failure !== null) throw this.#failure;
    const done = deferred<Taken>();
    this.#batches.seal({ options, done });
    this.#epochBytesMax = options.epochBytesMax ?? EPOCH_BYTES_MAX;
    this.#flush();
    return await done.promise;
  }

  async rewrite(options: RewriteOptions): Promise<Rewritten> {
    if (this.#failure !== null) throw this.#failure;
    assert(this.#batches.isEmpty, "a rewrite is alone in its batch");
    await this.#process.stopped;
    const rewriting = this.#rewriting = deferred<Rewritten>();
    this.#process.ensure();
    this.#process.send(rewriteMessage(options));
    return await rewriting.promise;
  }

  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    this.#fail(new Failure("unavailable", `The workspace of ${this.#options.name} is closed`));
    await this.#process.stop();
    this.#watch.close();
    rmSync(this.#options.directory, { recursive: true, force: true });
  }

  /** Sends what the child has not got yet. */
  #flush(): void {
    if (this.#failure !== null || this.#isRestarting || this.#batches.isEmpty) return;
    if (this.#process.isStopping) {
      // It had idled. A new one starts once its files are free.
      void this.#process.stopped.then(() => this.#flush());
      return;
    }
    this.#process.ensure();
    const { taking, open } = this.#batches;
    if (taking !== null) {
      this.#sendBatch(taking.batch);
      if (!taking.isSent) this.#process.send(takeMessage(taking.options, this.#epochBytesMax));
      taking.isSent = true;
    }
    this.#sendBatch(open);
  }

  #sendBatch(batch: PendingBatch): void {
    const sending = batch.send(this.#serial);
    if (sending === null) return;
    this.#serial = sending.serial + sending.requests.length;
    // The progress file holds 32 bits; 0 says that nothing runs.
    if (this.#serial > 0x7fff_ffff) this.#serial = 1;
    const { clock, clockOffsetMs } = this.#options;
    this.#process.send({
      ...executeMessage(sending, batch.alone, this.#epochBytesMax),
      nowMs: clock.nowMs() + (clockOffsetMs?.() ?? 0),
    });
    this.#watch.begin(sending.deadlineMs);
  }

  #hear(message: FromWriter): void {
    // The child answers what was sent before it failed.
    if (this.#failure !== null) return;
    const batch = this.#batches.current;
    switch (message.kind) {
      case "ready":
        this.#opening?.resolve();
        this.#opening = null;
        return;
      case "answers":
        batch.answer(message.answers, readText);
        return this.#batches.announceSettled();
      case "again":
        return batch.again();
      case "taken":
        return this.#taken(message);
      case "overflow":
        return this.#overflowed(batch, message);
      case "rewritten":
        return this.#rewritten(message);
      case "failed":
        return this.#refused(message);
    }
  }

  #taken(message: Extract<FromWriter, { kind: "taken" }>): void {
    const { epoch, logEnd, mustCut } = message;
    const { taking } = this.#batches;
    assert(taking !== null && taking.batch.isSettled, "what is taken was asked for, and has run");
    this.#batches.taking = null;
    this.#deaths = 0;
    this.#process.taken(epoch, logEnd);
    if (mustCut) this.#restart();
    finishTake(taking, epoch).catch((error: unknown) => {
      this.#giveUp("what was taken cannot be read", error);
      taking.done.reject(error);
    });
  }

  #overflowed(batch: PendingBatch, message: Extract<FromWriter, { kind: "overflow" }>): void {
    const { serial, pages } = message;
    batch.alone = true;
    const pending = serial === null ? null : batch.find(serial);
    if (pending !== null) {
      const bytes = pages * this.#options.pageSize;
      this.#end(batch, pending, overflowFailure(this.#options.name, bytes, this.#epochBytesMax));
    }
    this.#restart();
  }

  #exceeded(excess: Excess, serial: number): void {
    const { clock, log, name } = this.#options;
    const found = this.#batches.find(serial);
    if (found === null) return;
    const { batch, pending } = found;
    log.warn("a writer is ended: a request has exceeded a limit", { database: name, excess });
    if (excess === "log" && batch.size > 1 && !batch.alone) {
      // All requests together wrote that much; alone, the guilty shows.
      batch.alone = true;
    } else {
      const afterMs = clock.monotonicMs() - pending.receivedMs;
      this.#end(batch, pending, excessFailure(excess, name, afterMs));
    }
    this.#restart();
  }

  #end(batch: PendingBatch, pending: PendingRequest, failure: AnswerFailure): void {
    batch.end(pending, failure);
    this.#onEnded(pending.id, failure);
  }

  #died(): void {
    if (this.#failure !== null) return;
    const { log, name } = this.#options;
    log.error("a writer has ended by itself", { database: name });
    const found = this.#batches.find(this.#watch.running());
    if (found === null) this.#deaths++;
    else if (++found.pending.deaths >= 2) {
      this.#end(found.batch, found.pending, endedFailure(name));
    }
    const isHopeless = this.#deaths >= WRITER_DEATHS_MAX || this.#rewriting !== null;
    if (isHopeless || this.#opening !== null) {
      return this.#giveUp("its process ended");
    }
    this.#resume();
  }

  #restart(): void {
    this.#isRestarting = true;
    this.#process.stop().then(() => {
      if (this.#failure === null) this.#resume();
    }, (error: unknown) => this.#giveUp("its writer cannot be ended", error));
  }

  /** The child is gone and its log cut: all that was not taken runs again. */
  #resume(): void {
    this.#isRestarting = false;
    this.#watch.reset();
    this.#batches.unsend();
    this.#flush();
    this.#batches.announceSettled();
  }

  #rewritten(message: Extract<FromWriter, { kind: "rewritten" }>): void {
    this.#rewriting?.resolve(rewrittenOf(message));
    this.#rewriting = null;
    this.#giveUp("it was rewritten; make it anew");
  }

  #refused({ failure, fatal }: Extract<FromWriter, { kind: "failed" }>): void {
    if (fatal) return this.#fail(toFailure(failure));
    this.#rewriting?.reject(toFailure(failure));
    this.#rewriting = null;
  }

  #giveUp(reason: string, cause?: unknown): void {
    const { name } = this.#options;
    this.#fail(
      new Failure("unavailable", `Cannot go on with the workspace of ${name}: ${reason}`, {
        cause,
      }),
    );
  }

  /** Nothing goes on after this. */
  #fail(failure: Failure): void {
    this.#failure ??= failure;
    this.#opening?.reject(failure);
    this.#opening = null;
    this.#batches.fail(failure);
    this.#rewriting?.reject(failure);
    this.#rewriting = null;
  }
}
