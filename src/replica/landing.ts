/**
 * What happens to a batch after it was executed: its epoch is appended, or, when it changed no page,
 * its answers are proved to be current; only then are its requests answered (I3). Durable epochs go
 * into the image in order, behind the answers.
 */
import { describe, isFailure } from "../base/failure.ts";
import { ANSWERS_A_TURN } from "../base/limits.ts";
import type { Histogram } from "../base/metrics.ts";
import type { Image } from "../database/image.ts";
import type { TakenEpoch } from "../database/workspace.ts";
import type { Appender } from "./appender.ts";
import type { Batch } from "./batch.ts";
import { tipOf } from "./claim.ts";
import { endedInDoubt, fenced, lostInDoubt, unproved } from "./failures.ts";
import { decodeSliced } from "./fetch.ts";
import type { Parts } from "./parts.ts";

export interface LandingOptions {
  readonly database: string;
  readonly appender: Appender;
  /** The image changes when the whole content is rewritten. */
  image(): Image | null;
  /** After each epoch that became durable. */
  onEpoch(epoch: TakenEpoch): void;
  /** The image did not take a durable epoch: it must be rebuilt, if it is still in use. */
  onMismatch(cause: unknown, image: Image): void;
}

export class Landing {
  readonly #parts: Parts;
  readonly #options: LandingOptions;
  readonly #commitSeconds: Histogram;
  /** Batches whose epoch or proof is under way. */
  readonly #held = new Set<Batch>();
  #applying: Promise<void> = Promise.resolve();
  /** The last one that the image was given. */
  #applied: Promise<void> = Promise.resolve();
  #applyingBytes = 0;
  #answered: Promise<void> = Promise.resolve();

  constructor(parts: Parts, options: LandingOptions) {
    this.#parts = parts;
    this.#options = options;
    this.#commitSeconds = parts.metrics.histogram(
      "headgate_commit_seconds",
      "Time from taking a batch to its epoch being durable",
      { database: options.database },
    );
  }

  get size(): number {
    return this.#held.size;
  }

  /** Durable bytes that the image has not taken yet. */
  get unappliedBytes(): number {
    return (this.#options.image()?.waitingBytes ?? 0) + this.#applyingBytes;
  }

  /**
   * Answers the batch when its epoch is durable. "lost" when another node has taken the chain, or
   * nobody will know what became of the epoch: this node appends no more (I2).
   */
  async epoch(batch: Batch, epoch: TakenEpoch, startedMs: number): Promise<"won" | "lost"> {
    const { clock, log, crashPoint } = this.#parts;
    const { database, appender, onEpoch } = this.#options;
    this.#held.add(batch);
    try {
      crashPoint("owner.before_append");
      const result = await appender.append(tipOf(epoch), epoch.bytes);
      if (result.outcome === "lost") {
        batch.refuse(result.everUnknown ? lostInDoubt(database) : fenced(database));
        return "lost";
      }
      crashPoint("owner.after_append");
      this.#commitSeconds.observe((clock.monotonicMs() - startedMs) / 1000);
      onEpoch(epoch);
      this.#answered = this.#answered.then(() => this.#answer(batch, epoch));
    } catch (error) {
      // Closing ends an append without an outcome.
      log.warn("an append was ended without an outcome", {
        database,
        epoch: epoch.number,
        cause: describe(error),
      });
      batch.refuse(endedInDoubt(database, epoch.number, error));
      return "lost";
    } finally {
      this.#held.delete(batch);
    }
    return "won";
  }

  /** Resolves when every request of a durable epoch has its answer. */
  get answered(): Promise<void> {
    return this.#answered;
  }

  /** Resolves when every durable epoch is in the image, or never will be. */
  get applied(): Promise<void> {
    return this.#answered.then(() => this.#applying).then(() => this.#applied);
  }

  /**
   * Thousands of answers take longer than anything else on the event loop, so the next epoch is
   * taken and sent first, and others have their turns between a few hundred of them.
   */
  async #answer(batch: Batch, epoch: TakenEpoch): Promise<void> {
    await this.#parts.clock.turn();
    this.#apply(epoch);
    while (batch.answer(epoch.number, ANSWERS_A_TURN)) await this.#parts.clock.turn();
  }

  /** A batch without a changed page is answered as a linearizable read is (I3). */
  async unchanged(batch: Batch): Promise<void> {
    const { database, appender } = this.#options;
    this.#held.add(batch);
    try {
      batch.answer(await appender.prove());
    } catch (error) {
      batch.refuse(isFailure(error, "elsewhere") ? error : unproved(database, error));
    } finally {
      this.#held.delete(batch);
    }
  }

  expire(nowMs: number): void {
    for (const batch of this.#held) batch.expire(nowMs);
  }

  /** In order, and not waited for by answers. A rewrite may replace the image meanwhile. */
  #apply(epoch: TakenEpoch): void {
    const { database, image, onMismatch } = this.#options;
    const to = image();
    // It is being read anew, with this epoch in it.
    if (!to) return;
    const failed = (error: unknown) => {
      // A node that lost the chain meanwhile has read the epoch from the store.
      if (to.head.epoch < epoch.number) onMismatch(error, to);
    };
    this.#applyingBytes += epoch.bytes.byteLength;
    this.#applying = this.#applying
      .then(() =>
        decodeSliced(epoch.bytes, `epoch ${epoch.number} of ${database}`, this.#parts.clock)
      )
      .then((decoded) => void (this.#applied = to.apply(decoded).catch(failed)))
      .catch(failed)
      .finally(() => this.#applyingBytes -= epoch.bytes.byteLength);
  }
}
