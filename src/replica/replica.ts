/**
 * One database on one node: an image that holds what is durable, and, while this node owns the
 * chain, an owner that extends it. The lifecycle table says what may follow what; this class
 * carries it out, one change of role at a time.
 */
import { withDeadline } from "../base/deadline.ts";
import { describe, type Failure, isFailure } from "../base/failure.ts";
import { REOPEN_WORKSPACE_MS } from "../base/limits.ts";
import { Turns } from "../base/turns.ts";
import type { Image } from "../database/image.ts";
import type { WriteRequest } from "../database/statement.ts";
import type { TakenEpoch, Workspace } from "../database/workspace.ts";
import type { Chain } from "./chain.ts";
import type { Appender } from "./appender.ts";
import { claimChain } from "./claim.ts";
import { claimsWhenWritten, mayClaim, type Ownership } from "./claims.ts";
import { Durable } from "./durable.ts";
import { dropped, fenced, rebuilt } from "./failures.ts";
import type { ReplicaHooks } from "./hooks.ts";
import { Lifecycle, type ReplicaState } from "./lifecycle.ts";
import { Owner } from "./owner.ts";
import type { Parts } from "./parts.ts";
import { Poll } from "./poll.ts";
import { Rebuild } from "./rebuild.ts";
import { appendContent, type NewContent } from "./rewrite.ts";
import { Snapshots } from "./snapshots.ts";
import type { WriteAnswer } from "./write-queue.ts";

export class Replica {
  readonly chain: Chain;
  readonly #parts: Parts;
  readonly #hooks: ReplicaHooks;
  readonly #poll: Poll;
  readonly #snapshots: Snapshots;
  readonly #durable: Durable;
  readonly #rebuild: Rebuild;
  readonly #life: Lifecycle;
  #owner: Owner | null = null;
  #nodeId = 0n;
  readonly #turns = new Turns();

  private constructor(parts: Parts, name: string, pageSize: number, hooks: ReplicaHooks) {
    this.#parts = parts;
    this.#hooks = hooks;
    this.#life = new Lifecycle((from, event, to) =>
      parts.log.debug("replica", { database: name, from, event, to })
    );
    this.chain = { store: parts.store, layout: parts.layout, name };
    this.#poll = new Poll(parts, name, () => this.follow());
    this.#snapshots = new Snapshots(parts, this.chain, (epoch) => hooks.onSnapshot(this, epoch));
    this.#durable = new Durable(parts, this.chain, this.#snapshots, pageSize);
    this.#rebuild = new Rebuild(parts.log, name, this.#life, this.#durable);
  }

  /** Reads the chain from the store; null when there is none. */
  static async open(parts: Parts, name: string, hooks: ReplicaHooks): Promise<Replica | null> {
    const replica = new Replica(parts, name, 0, hooks);
    if (!(await replica.#durable.join())) return null;
    replica.#life.enter("opened");
    replica.#poll.start();
    return replica;
  }

  /** Starts a chain: its first epoch is a claim. Null when another node was faster. */
  static async create(
    parts: Parts,
    name: string,
    pageSize: number,
    hooks: ReplicaHooks,
  ): Promise<Replica | null> {
    const replica = new Replica(parts, name, pageSize, hooks);
    replica.#life.enter("opened");
    return (await replica.claim(hooks.systemClaim())) ? replica : null;
  }

  get name(): string {
    return this.chain.name;
  }
  get state(): ReplicaState {
    return this.#life.state;
  }
  get pageSize(): number {
    return this.#durable.pageSize;
  }
  /** Newest epoch that this node knows to be durable. */
  get tip(): number {
    return this.#durable.tip;
  }
  get ownership(): Ownership | null {
    return this.#durable.ownership;
  }
  /** True when the newest epoch dropped the database. */
  get dropped(): boolean {
    return this.#durable.lastKind === "tombstone";
  }
  get snapshot(): number {
    return this.#snapshots.newest;
  }

  /** Throws `unavailable` while there is none, `corrupt` when the chain cannot be read. */
  get image(): Image {
    const isUsable = !this.#life.is("rebuilding", "corrupt", "closed");
    if (this.#durable.image && isUsable) return this.#durable.image;
    throw this.#rebuild.unreadable();
  }

  /** True when this node owns the chain afterwards. Only a create claims over a tombstone. */
  claim(systemClaim: number | null, isCreate = false): Promise<boolean> {
    return this.#turns.take(async () => {
      if (this.#owner) return true;
      if (this.state === "closed") throw fenced(this.name);
      // Writes must not put off the look at a damaged chain.
      if (this.state === "corrupt") throw this.#rebuild.unreadable();
      this.#poll.stop();
      try {
        if (this.#rebuild.isDue) await this.#rebuild.run();
        if (this.#durable.image) await this.#catchUp();
        if (!mayClaim(this.name, systemClaim, this.ownership)) {
          this.#hooks.onFenced(this);
          return false;
        }
        if (this.dropped && !isCreate) throw dropped(this.name);
        this.#life.enter("claim");
        await this.#claim(systemClaim);
        // Lost meanwhile: this chain goes with `system`.
        if (systemClaim !== null && systemClaim !== this.#hooks.systemClaim()) await this.giveUp();
        return this.#owner !== null;
      } finally {
        if (!this.#owner && this.#durable.image) this.#poll.start();
      }
    });
  }

  /** Resolves when durable. A claim that this causes counts towards the request's deadline. */
  execute(request: WriteRequest): Promise<WriteAnswer> {
    if (this.#owner) return this.#owner.submit(request);
    const what = `write to ${this.name}`;
    return withDeadline(this.#parts.clock, request.deadlineMs, this.#requireOwner(), what)
      .then((owner) => owner.submit(request));
  }

  /** Resolves with an epoch that was the newest at some moment after this call. */
  async prove(): Promise<number> {
    return await (this.#owner ?? await this.#requireOwner()).prove();
  }

  /** Replaces the whole content by one epoch, and serves it when this resolves. */
  async rewrite(request: NewContent): Promise<number> {
    const owner = this.#owner ?? await this.#requireOwner();
    return await owner.alone(async (workspace, appender) => {
      if (this.dropped) throw dropped(this.name);
      const { chain, pageSize } = this;
      const whole = { ...request, chain, pageSize, nodeId: this.#nodeId };
      const { image, size } = await appendContent(this.#parts, workspace, appender, whole);
      if (request.kind === "tombstone") owner.retire(dropped(this.name));
      await this.#durable.rewritten(image, size, request.kind);
      return image.head.epoch;
    });
  }

  /** Stops owning without being refused, as when `system` was lost: whoever leads claims it. */
  async giveUp(): Promise<void> {
    await this.#owner?.refused();
  }

  /** Writes and verifies a snapshot of the head now; returns its epoch. */
  snapshotNow(): Promise<number> {
    return this.#snapshots.now(this.image, this.#durable.lastKind);
  }

  /** Compares some more pages of the image with their hashes; a wrong one means a new image (I6). */
  async scrub(): Promise<void> {
    const image = this.state === "closed" ? null : this.#durable.image;
    await image?.scrubSlice().catch((error) => {
      if (isFailure(error, "corrupt") && image === this.#durable.image) this.#onMismatch(error);
    });
  }

  async close(failure: Failure): Promise<void> {
    if (this.state === "closed") return;
    this.#poll.stop();
    this.#snapshots.close();
    this.#life.enter("close");
    await this.#owner?.stop(failure);
    this.#owner = null;
    await this.#durable.replace(null);
  }

  async #requireOwner(): Promise<Owner> {
    if (this.dropped) throw dropped(this.name);
    const systemClaim = this.#hooks.systemClaim();
    const mayTry = claimsWhenWritten(this.name, systemClaim) && this.state !== "closed";
    if (mayTry) await this.claim(systemClaim);
    if (this.#owner) return this.#owner;
    throw fenced(this.name, this.ownership?.claim.address);
  }

  async #claim(systemClaim: number | null): Promise<void> {
    try {
      const claim = await claimChain(this.#parts, {
        chain: this.chain,
        image: this.#durable.image,
        pageSize: this.pageSize,
        systemClaim,
        accept: (epoch) => this.#accept(epoch),
        onRefused: () => void this.#owner?.refused(),
      });
      if (claim.outcome === "won") {
        this.#nodeId = claim.nodeId;
        this.#owner = this.#ownerOf(claim.workspace, claim.appender, claim.nodeId);
        return this.#life.enter("won");
      }
      if (this.state !== "claiming") throw this.#rebuild.unreadable();
      this.#life.enter("lost");
      if (this.#durable.image) await this.#catchUp();
    } catch (error) {
      if (this.state === "claiming") this.#life.enter("lost");
      // The scrub before a workspace found a page that is not what was applied.
      if (isFailure(error, "corrupt") && this.state === "following") this.#onMismatch(error);
      throw error;
    }
  }

  /** Our claim goes into the image. False if this replica was closed or damaged meanwhile. */
  async #accept(epoch: TakenEpoch): Promise<boolean> {
    if (this.state === "claiming") await this.#durable.claimed(epoch);
    if (this.state === "closed") await this.#durable.replace(null);
    return this.state === "claiming";
  }

  #ownerOf(workspace: Workspace, appender: Appender, nodeId: bigint): Owner {
    return new Owner(this.#parts, {
      chain: this.chain,
      nodeId,
      workspace,
      appender,
      image: () => this.#durable.image,
      reopenWorkspace: async () => {
        await this.image.reached(this.tip, this.#parts.clock.monotonicMs() + REOPEN_WORKSPACE_MS);
        return await this.#parts.openWorkspace(this.name, this.image, this.pageSize);
      },
      onEpoch: (epoch, bytes) => this.#durable.appended(epoch, bytes, "data"),
      onMismatch: (cause, image) => image === this.#durable.image && this.#onMismatch(cause),
      onFenced: () => this.#onFenced(),
    });
  }

  #onFenced(): void {
    if (!this.#owner) return;
    this.#owner = null;
    this.#life.enter("refused");
    this.#life.enter("released");
    this.#poll.start();
    this.#hooks.onFenced(this);
  }

  /** The image does not fit what is durable: never served again, a new one is read (I6, I9). */
  #onMismatch(cause: unknown): void {
    if (this.#life.is("closed", "rebuilding", "corrupt")) return;
    this.#parts.log.error("the image does not fit the chain and is rebuilt", {
      database: this.name,
      cause: describe(cause),
    });
    const owner = this.#owner;
    this.#owner = null;
    if (owner) this.#life.enter("mismatch");
    if (owner) this.#life.enter("released");
    this.#life.enter("mismatch");
    this.#poll.start();
    void owner?.stop(rebuilt(this.name, cause));
    if (owner) this.#hooks.onFenced(this);
  }

  /** Reads on from the tip: true if there was more. A leader owns all chains and follows none. */
  async follow(): Promise<boolean> {
    return await this.#turns.take(async () => {
      if (this.#rebuild.isDue) await this.#rebuild.run();
      const isLeader = this.#hooks.systemClaim() !== null &&
        this.ownership?.claim.node === this.#parts.node.id;
      return this.state === "following" && !isLeader && await this.#catchUp();
    });
  }

  async #catchUp(): Promise<boolean> {
    const { image } = this;
    try {
      return await this.#durable.catchUp(image);
    } catch (error) {
      if (!isFailure(error, "corrupt")) throw error;
      this.#onMismatch(error);
      await this.#rebuild.run();
      return true;
    }
  }
}
