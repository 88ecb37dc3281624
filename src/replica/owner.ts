/**
 * The owner's loop: take what waits, execute it, commit it as one epoch, make that epoch durable,
 * answer. While one epoch's PUT is in flight the next batch already executes; it is committed and
 * sent when that outcome is certain (I2, PROTOCOL section 4).
 *
 * The owner ends in one of two ways: it is stopped, or it is fenced. It is never both owner and in
 * doubt: every doubt is settled by reading back before anything else is sent.
 */
import type { WriteRequest } from "../database/statement.ts";
import type { Workspace } from "../database/workspace.ts";
import { describe, type Failure, isFailure } from "../base/failure.ts";
import { DEADLINE_LOOK_MS, UNAPPLIED_BYTES_MAX } from "../base/limits.ts";
import type { Appender } from "./appender.ts";
import { Batch } from "./batch.ts";
import type { Chain } from "./chain.ts";
import { fenced, readersHoldBack, workspaceFailed } from "./failures.ts";
import { Feed } from "./feed.ts";
import { Landing, type LandingOptions } from "./landing.ts";
import type { Parts } from "./parts.ts";
import { type WriteAnswer, WriteQueue } from "./write-queue.ts";

export interface OwnerOptions extends Omit<LandingOptions, "database"> {
  readonly chain: Chain;
  readonly nodeId: bigint;
  readonly workspace: Workspace;
  /** Makes the workspace anew from the image, once that has reached the tip. */
  reopenWorkspace(): Promise<Workspace>;
  /** Somebody else has written the next epoch. Called once; everything pending is answered. */
  onFenced(): void;
}

/** Work that is alone in its batch and replaces the whole content, such as a rollback. */
type Job = (workspace: Workspace, appender: Appender) => Promise<void>;

export class Owner {
  readonly #parts: Parts;
  readonly #options: OwnerOptions;
  readonly #queue: WriteQueue;
  readonly #feed: Feed;
  readonly #jobs: Job[] = [];
  readonly #landing: Landing;
  #workspace: Workspace;
  #open = true;
  #retired: Failure | null = null;
  #wake: (() => void) | null = null;
  #batch: Batch;
  /** Resolves when no epoch is in flight or unresolved (I2). Never rejects. */
  #inFlight: Promise<void> = Promise.resolve();
  #cancelLook: (() => void) | null = null;
  readonly #ended: Promise<void>;
  #closed: Promise<void> = Promise.resolve();

  constructor(parts: Parts, options: OwnerOptions) {
    this.#parts = parts;
    this.#options = options;
    this.#workspace = options.workspace;
    this.#queue = new WriteQueue(options.chain.name);
    this.#feed = new Feed(parts.clock, this.#queue);
    this.#batch = new Batch(options.chain.name);
    this.#landing = new Landing(parts, { ...options, database: options.chain.name });
    this.#listen(options.workspace);
    this.#ended = this.#run();
  }

  /** Resolves when durable. Rejects with the request's own failure, or `elsewhere` when fenced. */
  submit(request: WriteRequest): Promise<WriteAnswer> {
    if (!this.#open) return Promise.reject(fenced(this.#options.chain.name));
    if (this.#retired) return Promise.reject(this.#retired);
    const { unappliedBytes } = this.#landing;
    if (unappliedBytes > UNAPPLIED_BYTES_MAX) {
      return Promise.reject(readersHoldBack(this.#options.chain.name, unappliedBytes));
    }
    let answer: Promise<WriteAnswer>;
    try {
      answer = this.#queue.add(request).answer.promise;
    } catch (error) {
      return Promise.reject(error);
    }
    this.#look();
    if (this.#feed.isOpen) this.#feed.more();
    else this.#rouse();
    return answer;
  }

  /**
   * Runs `job` alone, after what is under way; nothing executes meanwhile. One that fails with
   * `elsewhere` or `uncertain` lost the chain, or does not know: then this node owns it no more.
   */
  alone<T>(job: (workspace: Workspace, appender: Appender) => Promise<T>): Promise<T> {
    if (!this.#open) return Promise.reject(fenced(this.#options.chain.name));
    return new Promise<T>((resolve, rejectJob) => {
      this.#jobs.push(async (workspace, appender) => {
        if (this.#retired) return rejectJob(this.#retired);
        if (!this.#open) return rejectJob(fenced(this.#options.chain.name));
        await job(workspace, appender).then(resolve, (error) => {
          if (isFailure(error, "elsewhere", "uncertain")) void this.refused();
          rejectJob(error);
        });
      });
      this.#rouse();
    });
  }

  /** Refuses what waits and all writes to come, as after a drop; the chain stays owned. */
  retire(failure: Failure): void {
    this.#retired = failure;
    this.#queue.refuse(failure);
  }

  /** Resolves with an epoch that was the newest at some moment after this call. */
  prove(): Promise<number> {
    return this.#options.appender.prove();
  }

  /** Resolves when what became durable is in the image, or never will be. */
  get applied(): Promise<void> {
    return this.#landing.applied;
  }

  /**
   * Ends the loop: what executes is finished and answered, what waits is refused. The workspace ends
   * after that: a successor need not wait for a process of this node.
   */
  async stop(failure: Failure): Promise<void> {
    this.#open = false;
    this.#queue.refuse(failure);
    this.#rouse();
    const { clock } = this.#parts;
    const cancel = clock.after(STOP_APPEND_MS, () => this.#options.appender.close(failure));
    await this.#inFlight;
    cancel();
    await this.#landing.answered;
    this.#close(failure);
    await this.#ended;
    this.#closed = this.#workspace.close().catch((error) =>
      this.#parts.log.warn("could not close a workspace", {
        database: this.#options.chain.name,
        cause: describe(error),
      })
    );
  }

  /** Resolves when the workspace of an owner that was stopped has ended. */
  get closed(): Promise<void> {
    return this.#closed;
  }

  /**
   * Somebody else owns the chain. Every pending write is answered: `elsewhere`, since nothing of it
   * was sent; a batch in flight is answered by its own outcome, or `uncertain` for want of one (I8).
   */
  async refused(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    this.#close(fenced(this.#options.chain.name));
    this.#rouse();
    this.#options.onFenced();
    await this.#workspace.close();
  }

  #close(failure: Failure): void {
    this.#cancelLook?.();
    this.#cancelLook = null;
    this.#batch.refuse(failure);
    this.#queue.refuse(failure);
    this.#options.appender.close(failure);
  }

  async #run(): Promise<void> {
    while (this.#open) {
      try {
        if (this.#jobs.length > 0) await this.#runJob();
        else if (this.#queue.length > 0) await this.#round();
        else await new Promise<void>((resolve) => this.#wake = resolve);
      } catch (error) {
        if (this.#open) await this.#recover(error);
      }
    }
    // Each says that this node is no longer the owner.
    for (const job of this.#jobs.splice(0)) await job(this.#workspace, this.#options.appender);
  }

  #rouse(): void {
    this.#wake?.();
    this.#wake = null;
  }

  async #round(): Promise<void> {
    const { clock, options } = this.#parts;
    const batch = this.#batch;
    this.#feed.open(this.#workspace, batch);
    if (options.commitIntervalMs > 0) await clock.sleep(options.commitIntervalMs);
    await this.#inFlight;
    this.#feed.close();
    if (!this.#open) return;
    const startedMs = clock.monotonicMs();
    this.#parts.crashPoint("owner.before_take");
    const taken = await this.#workspace.take({
      kind: "data",
      timestampMs: clock.nowMs(),
      nodeId: this.#options.nodeId,
      epochBytesMax: options.epochBytesMax,
    });
    if (!this.#open) return;
    this.#batch = new Batch(this.#options.chain.name);
    this.#queue.putBack(batch.executed(taken.answers, taken.putOff));
    if (taken.epoch === null) return void this.#landing.unchanged(batch);
    this.#inFlight = this.#landing.epoch(batch, taken.epoch, startedMs).then((outcome) => {
      if (outcome === "lost") void this.refused();
    });
  }

  async #runJob(): Promise<void> {
    await this.#inFlight;
    // Then the epochs before it are on their way into the image that it replaces.
    await this.#landing.answered;
    const job = this.#jobs.shift();
    if (!job || !this.#open) return job?.(this.#workspace, this.#options.appender);
    await job(this.#workspace, this.#options.appender);
    if (this.#open && this.#retired === null) await this.#renew();
  }

  /** The workspace cannot go on. Nothing of its batch was sent, so nothing of it was done. */
  async #recover(error: unknown): Promise<void> {
    const name = this.#options.chain.name;
    this.#parts.log.error("the workspace failed and is made anew", {
      database: name,
      cause: describe(error),
    });
    this.#feed.reset();
    this.#batch.refuse(workspaceFailed(name, error));
    this.#batch = new Batch(name);
    try {
      await this.#inFlight;
      if (this.#open) await this.#renew();
    } catch (failure) {
      this.#parts.log.error("the workspace could not be made anew", {
        database: name,
        cause: describe(failure),
      });
      await this.#parts.clock.sleep(1_000);
    }
  }

  async #renew(): Promise<void> {
    this.#feed.reset();
    await this.#workspace.close();
    this.#workspace = await this.#options.reopenWorkspace();
    // Refused meanwhile: nobody else would close it.
    if (!this.#open) return await this.#workspace.close();
    this.#listen(this.#workspace);
  }

  #listen(workspace: Workspace): void {
    workspace.onEnded((id, failure) => this.#batch.ended(id, failure));
  }

  /** One timer for all deadlines, and none while nothing is pending; also of an owner that stops. */
  #look(): void {
    if (this.#cancelLook) return;
    this.#cancelLook = this.#parts.clock.after(DEADLINE_LOOK_MS, () => {
      this.#cancelLook = null;
      const nowMs = this.#parts.clock.monotonicMs();
      this.#queue.expire(nowMs);
      this.#batch.expire(nowMs - DEADLINE_GRACE_MS);
      this.#landing.expire(nowMs);
      if (this.#queue.length + this.#batch.size + this.#landing.size > 0) this.#look();
    });
  }
}

/** How long a node that stops waits for the outcome of its last append. */
const STOP_APPEND_MS = 10_000;
/** The child that executes a request is ended at its deadline, which gives a certain answer. */
const DEADLINE_GRACE_MS = 150;
