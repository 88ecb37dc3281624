/**
 * The durable side of a replica: its image, and how far the chain is known to go. Everything in here
 * came out of the store, or was won there.
 */
import { describe, Failure, isFailure } from "../base/failure.ts";
import { POLL_MS_MAX } from "../base/limits.ts";
import type { Image } from "../database/image.ts";
import type { TakenEpoch } from "../database/workspace.ts";
import type { EpochKind } from "../epoch/epoch.ts";
import type { Chain } from "./chain.ts";
import { tipOf } from "./claim.ts";
import { type Ownership, readOwnership } from "./claims.ts";
import { decodeSliced } from "./fetch.ts";
import { catchUp, checkNextNotPruned } from "./follow.ts";
import type { ReplicaHooks } from "./hooks.ts";
import { joinChain, type JoinProgress } from "./join.ts";
import type { Parts } from "./parts.ts";
import type { Pushed } from "./pushed.ts";
import type { Snapshots } from "./snapshots.ts";

interface Moment {
  readonly monotonicMs: number;
  readonly wallMs: number;
}

/** More than from poll to poll. Retention must be longer, or a follower may miss what is pruned. */
const AWAY_MS = 2 * POLL_MS_MAX;

/** Between two lines in the log about one join. */
const SAY_PROGRESS_MS = 2_000;

export interface DurableOptions {
  readonly snapshots: Snapshots;
  readonly pageSize: number;
  readonly hooks: ReplicaHooks;
}

export class Durable {
  readonly #parts: Parts;
  readonly #chain: Chain;
  readonly #snapshots: Snapshots;
  readonly #hooks: ReplicaHooks;
  /** When the store was last asked for the next epoch, and answered. */
  #looked: Moment = { monotonicMs: -Infinity, wallMs: -Infinity };
  /** How often an owner began to push, and in which of these times the last look was sent. */
  #feeds = 0;
  #lookedInFeed = 0;
  /** Waits for own epochs that are on their way into the image. */
  #landed: (() => Promise<void>) | null = null;
  image: Image | null = null;
  /** Newest epoch that this node knows to be durable. */
  tip = 0;
  lastKind: EpochKind = "data";
  ownership: Ownership | null = null;
  pageSize: number;

  constructor(parts: Parts, chain: Chain, options: DurableOptions) {
    const { snapshots, pageSize, hooks } = options;
    this.#hooks = hooks;
    this.#parts = parts;
    this.#chain = chain;
    this.#snapshots = snapshots;
    this.pageSize = pageSize;
  }

  /** Reads the whole chain into a new image. False when there is none. */
  async join(): Promise<boolean> {
    const looking = this.#moment();
    const joined = await joinChain(this.#parts, this.#chain, {
      build: (pageSize) => this.#parts.createImage(this.#chain.name, pageSize),
      onProgress: this.#reported(),
    });
    if (!joined) return false;
    const image = await joined.builder.finish(joined.head);
    this.#looked = looking;
    // What was pushed meanwhile is not in it.
    this.#lookedInFeed = 0;
    this.pageSize = joined.pageSize;
    this.lastKind = joined.kind;
    this.tip = joined.head.epoch;
    await this.replace(image);
    await this.#readOwnership(image);
    this.#snapshots.joined(joined);
    return true;
  }

  /** Says how far a join has come: to the node with each piece, in the log every few seconds. */
  #reported(): (progress: JoinProgress) => void {
    const { clock, log } = this.#parts;
    const { name } = this.#chain;
    let saidMs = clock.monotonicMs();
    return (progress) => {
      this.#hooks.onJoining?.(name, progress);
      const nowMs = clock.monotonicMs();
      if (nowMs - saidMs < SAY_PROGRESS_MS) return;
      saidMs = nowMs;
      const { bytes, bytesTotal } = progress;
      const percent = Math.floor(100 * bytes / bytesTotal);
      log.info("reading a database from the store", { database: name, bytes, bytesTotal, percent });
    };
  }

  /** The same for a chain that was there before. What is found damaged twice is damaged (I9). */
  async rejoin(): Promise<void> {
    const isThere = await this.join().catch((error) => {
      if (!isFailure(error, "corrupt")) throw error;
      const cause = describe(error);
      this.#parts.log.warn("read damaged; reading again", { database: this.#chain.name, cause });
      return this.join();
    });
    if (!isThere) throw new Failure("corrupt", `The chain of ${this.#chain.name} is gone`);
  }

  /**
   * Whether a look for the next epoch that was sent at that time or later has said absent, and all
   * that was heard of since is in the image.
   */
  isCurrentSince(ms: number): boolean {
    return this.#looked.monotonicMs >= ms && this.image?.head.epoch === this.tip;
  }

  /** The owner pushes its epochs to this replica from now on: a look that follows finds the rest. */
  fed(): void {
    this.#feeds++;
  }

  /**
   * Whether the next epoch, if there is or was one, is certainly a claim (decision 0018): so it is
   * after a resignation, and where the owner was the one that has resigned, which told everything.
   */
  isClaimNext(resigned: number | undefined): boolean {
    if (this.image?.head.epoch !== this.tip) return false;
    if (this.lastKind === "resignation") return true;
    const wasItsOwner = resigned !== undefined && this.ownership?.claim.systemClaim === resigned;
    return wasItsOwner && this.#feeds > 0 && this.#lookedInFeed === this.#feeds;
  }

  /** Applies what the store holds after the head. True when there was something. */
  async catchUp(image: Image): Promise<boolean> {
    await this.#land();
    const since = this.#looked;
    const looking = this.#moment();
    const feeds = this.#feeds;
    let applied = 0;
    try {
      await catchUp(
        this.#parts,
        { chain: this.#chain, image, known: () => this.tip },
        (kind, bytes) => {
          applied++;
          this.#applied(image, kind, bytes);
        },
      );
    } finally {
      // Also what was applied before the store failed counts.
      if (applied > 0) await this.#readOwnership(image);
    }
    // While this node slept, or the store did not answer, what comes next may have been pruned.
    const now = this.#moment();
    const wasAway = now.monotonicMs - since.monotonicMs > AWAY_MS ||
      now.wallMs - since.wallMs > AWAY_MS;
    // So it is where both clocks stood still meanwhile: a new link begins with a look that cannot err.
    const isNewFeed = this.#lookedInFeed !== feeds;
    if (wasAway || isNewFeed) await checkNextNotPruned(this.#chain, image);
    this.#looked = looking;
    this.#lookedInFeed = feeds;
    return applied > 0;
  }

  /**
   * Applies what the owner pushed. False when the store has to be read instead: there is a gap, or
   * only a number was told.
   */
  async applyPushed(image: Image, pushed: Pushed): Promise<boolean> {
    await this.#land();
    const kinds = new Set<EpochKind>();
    try {
      return await pushed.apply(image, (kind, bytes) => {
        kinds.add(kind);
        this.#applied(image, kind, bytes);
      });
    } finally {
      if (kinds.has("claim") || kinds.has("resignation")) await this.#readOwnership(image, true);
    }
  }

  /** Somebody who knows says that the chain goes at least so far. */
  heard(epoch: number): void {
    this.tip = Math.max(this.tip, epoch);
  }

  #applied(image: Image, kind: EpochKind, bytes: number): void {
    this.tip = Math.max(this.tip, image.head.epoch);
    this.lastKind = kind;
    this.#snapshots.count(bytes, null, kind);
  }

  async #readOwnership(image: Image, isPushed = false): Promise<void> {
    const before = this.ownership;
    this.ownership = await readOwnership(image);
    const now = this.ownership;
    const isNew = now?.claim.epoch !== before?.claim.epoch ||
      now?.claim.successor !== before?.claim.successor;
    if (now && isNew) this.#hooks.onOwnership?.(this.#chain.name, now, isPushed);
  }

  /** This node owns the chain no more, but not all that it made durable is in the image yet. */
  ended(landed: () => Promise<void>): void {
    this.#landed = landed;
  }

  /** An epoch that an image is given a second time breaks it. */
  async #land(): Promise<void> {
    const landed = this.#landed;
    if (!landed) return;
    await landed();
    if (this.#landed === landed) this.#landed = null;
  }

  /** Both clocks: the one steps, the other stands still while a machine is suspended. */
  #moment(): Moment {
    const { clock } = this.#parts;
    return { monotonicMs: clock.monotonicMs(), wallMs: clock.nowMs() };
  }

  /** Our claim was won and nothing lies after it: it goes into the image, or makes the first one. */
  async claimed(epoch: TakenEpoch): Promise<void> {
    const what = `the claim of ${this.#chain.name}`;
    const { header, pages } = await decodeSliced(epoch.bytes, what, this.#parts.clock);
    if (this.image) {
      await this.image.apply({ header, pages, fileChecksum: epoch.fileChecksum });
    } else {
      const builder = await this.#parts.createImage(this.#chain.name, this.pageSize);
      await builder.write(pages, header.commit);
      this.image = await builder.finish({ ...tipOf(epoch), commit: header.commit });
    }
    this.ownership = await readOwnership(this.image);
    this.appended(epoch.number, epoch.bytes.byteLength, "claim");
  }

  /** Our resignation is durable. */
  async resigned(epoch: TakenEpoch): Promise<void> {
    if (!this.image) return;
    const what = `the resignation of ${this.#chain.name}`;
    await this.image.apply(await decodeSliced(epoch.bytes, what, this.#parts.clock));
    this.appended(epoch.number, epoch.bytes.byteLength, "resignation");
    this.ownership = await readOwnership(this.image);
  }

  /** One more epoch of ours is durable. */
  appended(epoch: number, bytes: number, kind: EpochKind): void {
    this.tip = epoch;
    this.lastKind = kind;
    if (this.image) this.#snapshots.count(bytes, this.image, kind);
  }

  /** An epoch of ours replaced the whole content, and is in a new image. */
  async rewritten(image: Image, bytes: number, kind: EpochKind): Promise<void> {
    const replaced = this.replace(image);
    this.appended(image.head.epoch, bytes, kind);
    await replaced;
  }

  /** A new image instead of the old one, whose readers and connections are ended. */
  async replace(image: Image | null): Promise<void> {
    const old = this.image;
    this.image = image;
    if (!old) return;
    await this.#parts.forgetImage(old);
    await old.close();
  }
}
