/**
 * The owner's loop: take what waits, execute it, commit it as one epoch, make that epoch durable,
 * answer. While one epoch's PUT is in flight the next batch already executes; it is committed and
 * sent when that outcome is certain (I2, PROTOCOL section 4).
 *
 * The owner ends in one of two ways: it is stopped, or it is fenced. It is never both owner and in
 * doubt: every doubt is settled by reading back before anything else is sent.
 */
import type { Image } from "../database/image.ts";
import type { WriteRequest } from "../database/statement.ts";
import type { TakenEpoch, Workspace } from "../database/workspace.ts";
import { describe, Failure } from "../base/failure.ts";
import {
  BATCH_BYTES_MAX,
  BATCH_REQUESTS_MAX,
  DEADLINE_LOOK_MS,
  FEED_MS,
  FEED_REQUESTS_MAX,
  UNAPPLIED_BYTES_MAX,
} from "../base/limits.ts";
import type { Histogram } from "../base/metrics.ts";
import { Appender, fenced } from "./appender.ts";
import { Batch } from "./batch.ts";
import type { Chain, Tip } from "./chain.ts";
import { decodeSliced } from "./fetch.ts";
import type { Parts } from "./parts.ts";
import { type WriteAnswer, WriteQueue } from "./write-queue.ts";

export interface OwnerOptions {
  readonly chain: Chain;
  readonly nodeId: bigint;
  readonly workspace: Workspace;
  readonly appender: Appender;
  /** The image changes when the whole content is rewritten. */
  image(): Image;
  /** Makes the workspace anew from the image, once that has reached the tip. */
  reopenWorkspace(): Promise<Workspace>;
  /** After each epoch that became durable. */
  onEpoch(epoch: Tip, bytes: number): void;
  /** The image did not take a durable epoch: it must be rebuilt. */
  onMismatch(cause: unknown): void;
  /** Somebody else has written the next epoch. Called once; everything pending is answered. */
  onFenced(): void;
}

/** Work that is alone in its batch and replaces the whole content, such as a rollback. */
type Job = (workspace: Workspace, appender: Appender) => Promise<void>;

export class Owner {
  readonly #parts: Parts;
  readonly #options: OwnerOptions;
  readonly #queue: WriteQueue;
  readonly #jobs: Job[] = [];
  readonly #commitSeconds: Histogram;
  #workspace: Workspace;
  #open = true;
  #retired: Failure | null = null;
  #wake: (() => void) | null = null;
  #batch: Batch;
  /** Batches whose epoch or proof is under way. */
  readonly #held = new Set<Batch>();
  #feeding = false;
  #unsettled = 0;
  #requestMs = 0.02;
  #landing: Promise<void> = Promise.resolve();
  #applying: Promise<void> = Promise.resolve();
  #applyingBytes = 0;
  #cancelLook: (() => void) | null = null;
  readonly #ended: Promise<void>;

  constructor(parts: Parts, options: OwnerOptions) {
    this.#parts = parts;
    this.#options = options;
    this.#workspace = options.workspace;
    this.#queue = new WriteQueue(options.chain.name);
    this.#batch = new Batch(options.chain.name);
    this.#commitSeconds = parts.metrics.histogram(
      "headgate_commit_seconds",
      "Time from taking a batch to its epoch being durable",
      { database: options.chain.name },
    );
    this.#listen(options.workspace);
    this.#ended = this.#run();
  }

  /** Resolves when durable. Rejects with the request's own failure, or `elsewhere` when fenced. */
  submit(request: WriteRequest): Promise<WriteAnswer> {
    if (!this.#open) return Promise.reject(fenced(this.#options.chain.name));
    if (this.#retired) return Promise.reject(this.#retired);
    const unappliedBytes = this.#options.image().waitingBytes + this.#applyingBytes;
    if (unappliedBytes > UNAPPLIED_BYTES_MAX) {
      return Promise.reject(
        new Failure(
          "busy",
          `Cannot write to ${this.#options.chain.name}: its readers hold back ` +
            `${unappliedBytes} bytes of durable epochs`,
          { retryAfterMs: 250 },
        ),
      );
    }
    let answer: Promise<WriteAnswer>;
    try {
      answer = this.#queue.add(request).answer.promise;
    } catch (error) {
      return Promise.reject(error);
    }
    this.#look();
    if (this.#feeding) this.#feed();
    else this.#rouse();
    return answer;
  }

  /** Runs `job` alone, after what is under way; nothing executes meanwhile. */
  alone<T>(job: (workspace: Workspace, appender: Appender) => Promise<T>): Promise<T> {
    if (!this.#open) return Promise.reject(fenced(this.#options.chain.name));
    return new Promise<T>((resolve, rejectJob) => {
      this.#jobs.push(async (workspace, appender) => {
        if (!this.#open) return rejectJob(fenced(this.#options.chain.name));
        await job(workspace, appender).then(resolve, rejectJob);
      });
      this.#rouse();
    });
  }

  /** Refuses what waits and everything to come, as after a drop; the chain stays owned. */
  retire(failure: Failure): void {
    this.#retired = failure;
    this.#queue.refuse(failure);
  }

  /** Resolves with an epoch that was the newest at some moment after this call. */
  prove(): Promise<number> {
    return this.#options.appender.prove();
  }

  /** Ends the loop: what executes is finished and answered, what waits is refused. */
  async stop(failure: Failure): Promise<void> {
    this.#open = false;
    this.#queue.refuse(failure);
    this.#rouse();
    await this.#ended;
    await this.#landing;
    this.#close(failure);
    await this.#workspace.close();
  }

  /**
   * Somebody else owns the chain. Every pending write is answered: `elsewhere` if nothing of it can
   * have become durable, `uncertain` if an attempt had an unknown outcome (I8).
   */
  async refused(landing: Batch | null = null, everUnknown = false): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    const name = this.#options.chain.name;
    if (landing && everUnknown) {
      landing.refuse(
        new Failure(
          "uncertain",
          `Cannot tell whether the write to ${name} was kept: another node has taken the chain ` +
            "after an attempt whose answer was lost",
        ),
      );
    }
    this.#close(fenced(name));
    this.#rouse();
    this.#options.onFenced();
    await this.#workspace.close();
  }

  #close(failure: Failure): void {
    this.#cancelLook?.();
    this.#cancelLook = null;
    for (const batch of this.#held) batch.refuse(failure);
    this.#held.clear();
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
        if (!this.#open) return;
        await this.#recover(error);
      }
    }
    for (const job of this.#jobs.splice(0)) await job(this.#workspace, this.#options.appender);
  }

  #rouse(): void {
    this.#wake?.();
    this.#wake = null;
  }

  async #round(): Promise<void> {
    const { clock, options } = this.#parts;
    const batch = this.#batch;
    this.#feeding = true;
    this.#feed();
    if (options.commitIntervalMs > 0) await clock.sleep(options.commitIntervalMs);
    await this.#landing;
    this.#feeding = false;
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
    this.#held.add(batch);
    if (taken.epoch === null) void this.#unchanged(batch);
    else this.#landing = this.#land(batch, taken.epoch, startedMs);
  }

  /** Moves requests from the queue into the open batch, a few ms of work ahead of the workspace. */
  #feed(): void {
    if (!this.#feeding || this.#unsettled > 0) return;
    const room = BATCH_REQUESTS_MAX - this.#batch.size;
    const bytesRoom = BATCH_BYTES_MAX - this.#batch.bytes;
    if (room <= 0 || (bytesRoom <= 0 && this.#batch.size > 0)) return;
    const window = Math.max(1, Math.min(FEED_REQUESTS_MAX, Math.floor(FEED_MS / this.#requestMs)));
    const requests = this.#queue.take(Math.min(room, window), bytesRoom);
    if (requests.length === 0) return;
    this.#batch.add(requests);
    this.#unsettled = requests.length;
    const startedMs = this.#parts.clock.monotonicMs();
    const workspace = this.#workspace;
    workspace.execute(requests.map(({ id, request }) => ({ id, request })));
    workspace.settled().then(() => {
      const ms = (this.#parts.clock.monotonicMs() - startedMs) / requests.length;
      this.#requestMs = this.#requestMs * 0.7 + ms * 0.3;
      this.#unsettled = 0;
      this.#feed();
    }, () => this.#unsettled = 0);
  }

  /** A batch without a changed page is answered as a linearizable read is (I3). */
  async #unchanged(batch: Batch): Promise<void> {
    try {
      batch.answer(await this.#options.appender.prove());
    } catch (error) {
      batch.refuse(
        error instanceof Failure && error.kind === "elsewhere" ? error : new Failure(
          "uncertain",
          `Cannot tell whether the answer from ${this.#options.chain.name} still holds: ` +
            "the store did not answer",
          { cause: error },
        ),
      );
    } finally {
      this.#held.delete(batch);
    }
  }

  async #land(batch: Batch, epoch: TakenEpoch, startedMs: number): Promise<void> {
    const { clock, log, crashPoint } = this.#parts;
    const tip: Tip = {
      epoch: epoch.number,
      fileChecksum: epoch.fileChecksum,
      databaseChecksum: epoch.databaseChecksum,
      timestampMs: epoch.timestampMs,
    };
    try {
      crashPoint("owner.before_append");
      const result = await this.#options.appender.append(tip, epoch.bytes);
      if (result.outcome === "lost") return await this.refused(batch, result.everUnknown);
      crashPoint("owner.after_append");
      this.#commitSeconds.observe((clock.monotonicMs() - startedMs) / 1000);
      batch.answer(tip.epoch);
      this.#apply(epoch);
      this.#options.onEpoch(tip, epoch.bytes.byteLength);
    } catch (error) {
      // Only closing ends an append without an outcome.
      log.warn("an append was ended without an outcome", {
        database: this.#options.chain.name,
        epoch: epoch.number,
        cause: describe(error),
      });
      batch.refuse(
        new Failure(
          "uncertain",
          `Cannot tell whether epoch ${epoch.number} of ${this.#options.chain.name} was kept: ` +
            "the node is stopping",
          { cause: error },
        ),
      );
    } finally {
      this.#held.delete(batch);
    }
  }

  /** Puts a durable epoch into the image, in order; answers do not wait for it. */
  #apply(epoch: TakenEpoch): void {
    const image = this.#options.image();
    const what = `epoch ${epoch.number} of ${this.#options.chain.name}`;
    this.#applyingBytes += epoch.bytes.byteLength;
    this.#applying = this.#applying
      .then(() => decodeSliced(epoch.bytes, what, this.#parts.clock))
      .then((decoded) => void image.apply(decoded).catch(this.#options.onMismatch))
      .catch((error) => this.#options.onMismatch(error))
      .finally(() => this.#applyingBytes -= epoch.bytes.byteLength);
  }

  async #runJob(): Promise<void> {
    await this.#landing;
    const job = this.#jobs.shift();
    if (!job || !this.#open) return job?.(this.#workspace, this.#options.appender);
    await job(this.#workspace, this.#options.appender);
    if (this.#open) await this.#renew();
  }

  /** The workspace cannot go on. Nothing of its batch was sent, so nothing of it was done. */
  async #recover(error: unknown): Promise<void> {
    const name = this.#options.chain.name;
    this.#parts.log.error("the workspace failed and is made anew", {
      database: name,
      cause: describe(error),
    });
    this.#feeding = false;
    this.#batch.refuse(
      new Failure(
        "unavailable",
        `Cannot execute the write to ${name}: its workspace failed; nothing was done`,
        { cause: error, retryAfterMs: 1_000 },
      ),
    );
    this.#batch = new Batch(name);
    try {
      await this.#landing;
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
    this.#unsettled = 0;
    await this.#workspace.close();
    this.#workspace = await this.#options.reopenWorkspace();
    this.#listen(this.#workspace);
  }

  #listen(workspace: Workspace): void {
    workspace.onEnded((id, failure) => this.#batch.ended(id, failure));
  }

  /** One timer for all deadlines, and none while nothing is pending. */
  #look(): void {
    if (this.#cancelLook || !this.#open) return;
    this.#cancelLook = this.#parts.clock.after(DEADLINE_LOOK_MS, () => {
      this.#cancelLook = null;
      const nowMs = this.#parts.clock.monotonicMs();
      this.#queue.expire(nowMs);
      this.#batch.expire(nowMs - DEADLINE_GRACE_MS);
      for (const batch of this.#held) batch.expire(nowMs);
      if (this.#queue.length + this.#batch.size + this.#held.size > 0) this.#look();
    });
  }
}

/** The child that executes a request is ended at its deadline, which gives a certain answer. */
const DEADLINE_GRACE_MS = 150;
