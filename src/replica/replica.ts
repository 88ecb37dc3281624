/**
 * One database on one node: an image that holds what is durable, and, while this node owns the
 * chain, an owner that extends it. The lifecycle table says what may follow what; this class
 * carries it out, one change of role at a time.
 */
import { describe, Failure, isFailure } from "../base/failure.ts";
import type { Image } from "../database/image.ts";
import type { WriteRequest } from "../database/statement.ts";
import type { EpochKind } from "../epoch/epoch.ts";
import type { Chain, Tip } from "./chain.ts";
import { claimChain, tipOf } from "./claim.ts";
import { type Ownership, readOwnership } from "./claims.ts";
import { decodeSliced } from "./fetch.ts";
import { catchUp } from "./follow.ts";
import { joinChain } from "./join.ts";
import { next, type ReplicaEvent, type ReplicaState } from "./lifecycle.ts";
import { Owner } from "./owner.ts";
import type { Parts } from "./parts.ts";
import { Poll } from "./poll.ts";
import { appendContent, type RewriteRequest } from "./rewrite.ts";
import { Snapshots } from "./snapshots.ts";
import type { WriteAnswer } from "./write-queue.ts";

export interface ReplicaHooks {
  /** Epoch of our claim in `system`, or null while this node does not lead: then nothing is claimed. */
  systemClaim(): number | null;
  /** This node lost the chain. */
  onFenced(replica: Replica): void;
  /** A snapshot was written and verified. */
  onSnapshot(replica: Replica, epoch: number): void;
}

export class Replica {
  readonly chain: Chain;
  readonly #parts: Parts;
  readonly #hooks: ReplicaHooks;
  readonly #poll: Poll;
  readonly #snapshots: Snapshots;
  #state: ReplicaState = "opening";
  #image: Image | null = null;
  #owner: Owner | null = null;
  #tip = 0;
  #nodeId = 0n;
  #pageSize: number;
  #lastKind: EpochKind = "data";
  #ownership: Ownership | null = null;
  /** Changes of role happen one after another. */
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(parts: Parts, name: string, pageSize: number, hooks: ReplicaHooks) {
    this.#parts = parts;
    this.#hooks = hooks;
    this.#pageSize = pageSize;
    this.chain = { store: parts.store, layout: parts.layout, name };
    this.#poll = new Poll(parts, name, () => this.#follow());
    this.#snapshots = new Snapshots(parts, this.chain, (epoch) => hooks.onSnapshot(this, epoch));
  }

  /** Reads the chain from the store; null when there is none. */
  static async open(parts: Parts, name: string, hooks: ReplicaHooks): Promise<Replica | null> {
    const replica = new Replica(parts, name, 0, hooks);
    if (!(await replica.#join())) return null;
    replica.#enter("opened");
    replica.#poll.start();
    return replica;
  }

  /**
   * Starts a chain that does not exist yet: its first epoch is a claim. Null when another node was
   * faster; then it is there to be opened.
   */
  static async create(
    parts: Parts,
    name: string,
    pageSize: number,
    hooks: ReplicaHooks,
  ): Promise<Replica | null> {
    const replica = new Replica(parts, name, pageSize, hooks);
    replica.#enter("opened");
    return (await replica.claim(hooks.systemClaim())) ? replica : null;
  }

  get name(): string {
    return this.chain.name;
  }
  get state(): ReplicaState {
    return this.#state;
  }
  get pageSize(): number {
    return this.#pageSize;
  }
  /** Newest epoch that this node knows to be durable. */
  get tip(): number {
    return this.#tip;
  }
  get ownership(): Ownership | null {
    return this.#ownership;
  }
  /** True when the newest epoch dropped the database. */
  get dropped(): boolean {
    return this.#lastKind === "tombstone";
  }
  get snapshot(): number {
    return this.#snapshots.newest;
  }

  /** Throws `unavailable` while there is none. */
  get image(): Image {
    if (this.#image && this.#state !== "corrupt" && this.#state !== "closed") return this.#image;
    throw new Failure(
      this.#state === "corrupt" ? "corrupt" : "unavailable",
      `Cannot read ${this.name}: its replica is ${this.#state}`,
      { retryAfterMs: 1_000 },
    );
  }

  /** Takes the chain. True when this node owns it afterwards. Rejects when it cannot be tried. */
  claim(systemClaim: number | null): Promise<boolean> {
    return this.#alone(async () => {
      if (this.#owner) return true;
      this.#poll.stop();
      try {
        if (this.#state === "rebuilding") await this.#rebuild();
        if (this.#image) await this.#catchUp();
        this.#enter("claim");
        try {
          return await this.#claim(systemClaim);
        } catch (error) {
          this.#enter("lost");
          throw error;
        }
      } finally {
        if (!this.#owner && this.#image) this.#poll.start();
      }
    });
  }

  /** Resolves when durable. */
  async execute(request: WriteRequest): Promise<WriteAnswer> {
    const owner = await this.#requireOwner();
    return await owner.submit(request);
  }

  /** Resolves with an epoch that was the newest at some moment after this call. */
  async prove(): Promise<number> {
    const owner = await this.#requireOwner();
    return await owner.prove();
  }

  /** Replaces the whole content by one epoch, and serves it when this resolves. */
  async rewrite(
    request: Pick<RewriteRequest, "source" | "keepRequests" | "kind">,
  ): Promise<number> {
    const owner = await this.#requireOwner();
    return await owner.alone(async (workspace, appender) => {
      try {
        if (this.dropped) throw this.#gone();
        const { image, size } = await appendContent(this.#parts, workspace, appender, {
          ...request,
          chain: this.chain,
          nodeId: this.#nodeId,
          pageSize: this.#pageSize,
        });
        this.#tip = image.head.epoch;
        this.#lastKind = request.kind;
        if (this.dropped) owner.retire(this.#gone());
        await this.#swap(image);
        this.#snapshots.count(size, image, request.kind);
        return image.head.epoch;
      } catch (error) {
        if (isFailure(error, "elsewhere", "uncertain")) void owner.refused();
        throw error;
      }
    });
  }

  /** Stops owning without being refused, as when `system` was lost: whoever leads claims it. */
  async giveUp(): Promise<void> {
    await this.#owner?.refused();
  }

  /** Writes and verifies a snapshot of the head now; returns its epoch. */
  snapshotNow(): Promise<number> {
    return this.#snapshots.now(this.image, this.#lastKind);
  }

  async close(failure: Failure): Promise<void> {
    if (this.#state === "closed") return;
    this.#poll.stop();
    this.#snapshots.close();
    const owner = this.#owner;
    this.#owner = null;
    this.#enter("close");
    await owner?.stop(failure);
    if (this.#image) {
      await this.#parts.forgetImage(this.#image);
      await this.#image.close();
    }
  }

  #enter(event: ReplicaEvent): void {
    const from = this.#state;
    this.#state = next(from, event);
    if (from === this.#state) return;
    this.#parts.log.debug("replica", { database: this.name, from, event, to: this.#state });
  }

  #gone(): Failure {
    return new Failure("missing", `The database ${this.name} was dropped`);
  }

  #alone<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => {});
    return result;
  }

  async #requireOwner(): Promise<Owner> {
    if (this.#owner) return this.#owner;
    const systemClaim = this.#hooks.systemClaim();
    if (systemClaim !== null && this.#state !== "closed") await this.claim(systemClaim);
    if (this.#owner) return this.#owner;
    const address = this.#ownership?.claim.address;
    throw new Failure(
      "elsewhere",
      `This node does not own ${this.name}; ${address ?? "another node"} does`,
      address === undefined ? {} : { leader: address },
    );
  }

  async #claim(systemClaim: number | null): Promise<boolean> {
    const options = {
      chain: this.chain,
      image: this.#image,
      pageSize: this.#pageSize,
      systemClaim,
      onRefused: () => void this.#owner?.refused(),
    };
    const claim = await claimChain(this.#parts, options);
    if (claim.outcome === "lost") {
      this.#enter("lost");
      if (this.#image) await this.#catchUp();
      return false;
    }
    const decoded = await decodeSliced(
      claim.epoch.bytes,
      `the claim of ${this.name}`,
      this.#parts.clock,
    );
    if (this.#image) await this.#image.apply(decoded);
    else {
      const builder = await this.#parts.createImage(this.name, this.#pageSize);
      await builder.write(decoded.pages, decoded.header.commit);
      this.#image = await builder.finish({ ...tipOf(claim.epoch), commit: decoded.header.commit });
    }
    this.#lastKind = "claim";
    this.#tip = claim.epoch.number;
    this.#nodeId = claim.nodeId;
    this.#ownership = await readOwnership(this.#image);
    this.#owner = new Owner(this.#parts, {
      chain: this.chain,
      nodeId: claim.nodeId,
      workspace: claim.workspace,
      appender: claim.appender,
      image: () => this.image,
      reopenWorkspace: () => this.#reopenWorkspace(),
      onEpoch: (epoch, bytes) => this.#onEpoch(epoch, bytes),
      onMismatch: (cause) => this.#onMismatch(cause),
      onFenced: () => this.#onFenced(),
    });
    this.#enter("won");
    this.#snapshots.count(claim.epoch.bytes.byteLength, this.#image, "claim");
    return true;
  }

  async #reopenWorkspace() {
    const image = this.image;
    await image.reached(this.#tip, this.#parts.clock.monotonicMs() + REOPEN_MS);
    return await this.#parts.openWorkspace(this.name, image, this.#pageSize);
  }

  #onEpoch(epoch: Tip, bytes: number): void {
    this.#tip = epoch.epoch;
    this.#lastKind = "data";
    if (this.#image) this.#snapshots.count(bytes, this.#image, "data");
  }

  #onFenced(): void {
    this.#owner = null;
    this.#enter("refused");
    this.#enter("released");
    this.#poll.start();
    this.#hooks.onFenced(this);
  }

  /** The image does not fit what is durable: never served again, a new one is read (I6, I9). */
  #onMismatch(cause: unknown): void {
    if (this.#state === "closed" || this.#state === "rebuilding") return;
    this.#parts.log.error("the image does not fit the chain and is rebuilt", {
      database: this.name,
      cause: describe(cause),
    });
    const owner = this.#owner;
    if (owner) {
      this.#owner = null;
      this.#enter("mismatch");
      this.#enter("released");
      void owner.stop(
        new Failure("unavailable", `${this.name} is rebuilt from the store`, { cause }),
      );
    }
    this.#enter("mismatch");
    this.#poll.start();
  }

  async #follow(): Promise<boolean> {
    return await this.#alone(async () => {
      if (this.#state === "rebuilding") await this.#rebuild();
      if (this.#state !== "following") return false;
      return await this.#catchUp();
    });
  }

  async #catchUp(): Promise<boolean> {
    const image = this.image;
    try {
      const followed = await catchUp(this.#parts, this.chain, image);
      this.#tip = image.head.epoch;
      if (followed.lastKind) {
        this.#lastKind = followed.lastKind;
        this.#ownership = await readOwnership(image);
        this.#snapshots.count(followed.bytes, null, followed.lastKind);
      }
      return followed.epochs > 0;
    } catch (error) {
      if (!isFailure(error, "corrupt")) throw error;
      this.#onMismatch(error);
      await this.#rebuild();
      return true;
    }
  }

  async #join(): Promise<boolean> {
    const joined = await joinChain(this.#parts, this.chain, {
      build: (pageSize) => this.#parts.createImage(this.name, pageSize),
    });
    if (!joined) return false;
    const image = await joined.builder.finish(joined.head);
    this.#pageSize = joined.pageSize;
    this.#lastKind = joined.kind;
    this.#tip = joined.head.epoch;
    await this.#swap(image);
    this.#ownership = await readOwnership(image);
    this.#snapshots.joined(joined);
    return true;
  }

  async #rebuild(): Promise<void> {
    try {
      if (!(await this.#join())) throw new Failure("corrupt", `The chain of ${this.name} is gone`);
      this.#enter("rebuilt");
    } catch (error) {
      if (isFailure(error, "corrupt")) this.#enter("damaged");
      throw error;
    }
  }

  async #swap(image: Image): Promise<void> {
    const old = this.#image;
    this.#image = image;
    if (!old) return;
    await this.#parts.forgetImage(old);
    await old.close();
  }
}

/** How long the image may take to reach the tip when a workspace is made from it. */
const REOPEN_MS = 60_000;
