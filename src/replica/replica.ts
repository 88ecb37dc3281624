/**
 * One database on one node: an image that holds what is durable, and, while this node owns the
 * chain, an owner that extends it. The lifecycle table says what may follow what; this class
 * carries it out, one change of role at a time.
 */
import { withDeadline } from "../base/deadline.ts";
import { describe, type Failure, isFailure } from "../base/failure.ts";
import { Turns } from "../base/turns.ts";
import type { Image } from "../database/image.ts";
import type { WriteRequest } from "../database/statement.ts";
import type { Chain } from "./chain.ts";
import { claimsWhenWritten, type ClaimWish, mayClaim, type Ownership } from "./claims.ts";
import { Durable } from "./durable.ts";
import { dropped, fenced, rebuilt } from "./failures.ts";
import { Follower } from "./follower.ts";
import type { ReplicaHooks } from "./hooks.ts";
import { Lifecycle, type ReplicaState } from "./lifecycle.ts";
import type { Owner } from "./owner.ts";
import type { Parts } from "./parts.ts";
import { Rebuild } from "./rebuild.ts";
import type { NewContent } from "./rewrite.ts";
import { Snapshots } from "./snapshots.ts";
import { Tenure } from "./tenure.ts";
import type { WriteAnswer } from "./write-queue.ts";

export class Replica {
  readonly chain: Chain;
  readonly #parts: Parts;
  readonly #hooks: ReplicaHooks;
  readonly #life: Lifecycle;
  readonly #snapshots: Snapshots;
  readonly #durable: Durable;
  readonly #rebuild: Rebuild;
  readonly #follower: Follower;
  readonly #tenure: Tenure;
  readonly #turns = new Turns();
  #nextLook: Promise<boolean> | null = null;
  /** The claim that writes wait for. */
  #wanted: Promise<boolean> | null = null;

  private constructor(parts: Parts, name: string, pageSize: number, hooks: ReplicaHooks) {
    this.#parts = parts;
    this.#hooks = hooks;
    this.#life = new Lifecycle((from, event, to) =>
      parts.log.debug("replica", { database: name, from, event, to })
    );
    const chain = this.chain = { store: parts.store, layout: parts.layout, name };
    this.#snapshots = new Snapshots(parts, chain, (epoch) => hooks.onSnapshot(this, epoch));
    const durable = new Durable(parts, chain, { snapshots: this.#snapshots, pageSize, hooks });
    this.#durable = durable;
    this.#rebuild = new Rebuild(parts.log, name, this.#life, durable);
    const onMismatch = (cause: unknown) => this.#onMismatch(cause);
    this.#follower = new Follower(parts, {
      chain,
      durable,
      rebuild: this.#rebuild,
      look: () => this.follow(),
      onMismatch,
    });
    this.#tenure = new Tenure(parts, {
      chain,
      durable,
      life: this.#life,
      hooks,
      image: () => this.image,
      catchUp: () => this.#follower.catchUp(this.image),
      onFenced: () => this.#onFenced(),
      onMismatch,
    });
  }

  /** Reads the chain from the store; null when there is none. */
  static async open(parts: Parts, name: string, hooks: ReplicaHooks): Promise<Replica | null> {
    const replica = new Replica(parts, name, 0, hooks);
    if (!(await replica.#durable.join())) return null;
    replica.#life.enter("opened");
    replica.#follower.start();
    return replica;
  }

  /** Starts a chain: its first epoch is a claim. Null when another node was faster. */
  static async create(parts: Parts, name: string, pageSize: number, hooks: ReplicaHooks) {
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
  /** The newest epoch dropped the database. */
  get dropped(): boolean {
    return this.#durable.lastKind === "tombstone";
  }
  /** The newest snapshot, 0 for none, and its age if epochs came after it. */
  get backup(): { readonly epoch: number; readonly ageMs: number } {
    return { epoch: this.#snapshots.newest, ageMs: this.#snapshots.ageMs };
  }
  /** The random number in the header of this node's newest claim. */
  get claimId(): bigint {
    return this.#tenure.nodeId;
  }

  /** Throws `unavailable` while there is none, `corrupt` when the chain cannot be read. */
  get image(): Image {
    const isUsable = !this.#life.is("rebuilding", "corrupt", "closed");
    if (this.#durable.image && isUsable) return this.#durable.image;
    throw this.#rebuild.unreadable();
  }

  /** True when this node owns the chain afterwards. */
  claim(systemClaim: number | null, options: ClaimWish = {}): Promise<boolean> {
    return this.#turns.take(async () => {
      if (this.#tenure.owner) return true;
      if (this.state === "closed") throw fenced(this.name);
      // Writes must not put off the look at a damaged chain.
      if (this.state === "corrupt") throw this.#rebuild.unreadable();
      this.#follower.stop();
      try {
        if (this.#rebuild.isDue) await this.#rebuild.run();
        const { over, currentSinceMs = Infinity } = options;
        const isCurrent = this.#durable.isCurrentSince(currentSinceMs);
        if (this.#durable.image && !isCurrent) await this.#follower.catchUp(this.image);
        if (over !== undefined && this.ownership?.claim.epoch !== over) return false;
        if (!mayClaim(this.name, systemClaim, this.ownership)) {
          this.#hooks.onFenced(this);
          return false;
        }
        if (this.dropped && !options.isCreate) throw dropped(this.name);
        this.#life.enter("claim");
        await this.#tenure.begin(systemClaim, options);
        // Lost meanwhile: this chain goes with `system`.
        if (systemClaim !== null && systemClaim !== this.#hooks.systemClaim()) await this.giveUp();
        return this.#tenure.owner !== null;
      } finally {
        if (!this.#tenure.owner && this.#durable.image) this.#follower.start();
      }
    });
  }

  /** Resolves when durable. A claim that this causes counts towards the request's deadline. */
  execute(request: WriteRequest): Promise<WriteAnswer> {
    if (this.#tenure.owner) return this.#tenure.owner.submit(request);
    const what = `write to ${this.name}`;
    return withDeadline(this.#parts.clock, request.deadlineMs, this.#requireOwner(), what)
      .then((claimed) => claimed.submit(request));
  }

  /** Resolves with an epoch that was the newest at some moment after this call. */
  async prove(): Promise<number> {
    return await (await this.#requireOwner()).prove();
  }

  /** Replaces the whole content by one epoch, and serves it when this resolves. */
  async rewrite(request: NewContent): Promise<number> {
    return await this.#tenure.rewrite(await this.#requireOwner(), request);
  }

  /** Names who should own the chain next, and owns it no more; see `Tenure.resign`. */
  async resign(successor: string, failure: Failure, released?: Promise<boolean>): Promise<void> {
    const { owner } = this.#tenure;
    if (!owner) throw fenced(this.name, this.ownership?.claim.address);
    await this.#tenure.resign(owner, successor, released);
    await this.release(failure);
  }

  /** Stops owning in order; what waits is refused. False: an append of its own may still come to be. */
  release(failure: Failure): Promise<boolean> {
    return this.#turns.take(async () => {
      await this.#tenure.end()?.stop(failure);
      if (this.#life.is("owning")) this.#released();
      return this.#tenure.isResolved;
    });
  }

  /** Stops owning without being refused, as when `system` was lost: whoever leads claims it. */
  async giveUp(): Promise<void> {
    await this.#tenure.owner?.refused();
  }

  /** Writes and verifies a snapshot of the head now; returns its epoch. */
  snapshotNow(): Promise<number> {
    return this.#snapshots.now(this.image, this.#durable.lastKind);
  }

  /** Writes a snapshot if one is due; an owner's own. */
  snapshotIfDue(): void {
    if (this.#tenure.owner) this.#snapshots.look(this.#durable.image, this.#durable.lastKind);
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
    this.#follower.stop();
    this.#snapshots.close();
    this.#life.enter("close");
    await this.#tenure.close(failure);
    await this.#durable.replace(null);
  }

  /** Whether the owner pushes its epochs to this node; else they are looked for in the store. */
  set isPushed(isPushed: boolean) {
    this.#follower.isPushed = isPushed;
  }

  /** A durable epoch, told by the owner; without bytes it is read from the store. Never rejects. */
  push(epoch: number, bytes: Uint8Array | null): void {
    if (epoch <= this.#durable.tip || this.#tenure.owner || this.state === "closed") return;
    this.#follower.push(epoch, bytes);
    const { log } = this.#parts;
    const facts = { database: this.name, epoch };
    const apply = async () => {
      if (this.#isFollowing) await this.#follower.applyPushed(this.image);
    };
    this.#turns.take(apply).catch((error) =>
      log.warn("could not apply what was pushed", { ...facts, cause: describe(error) })
    );
  }

  /** Somebody wants an epoch that this node has not heard of: the store may have it. */
  lookNow(): void {
    this.#follower.lookNow();
  }

  /** Reads on from the tip: true if there was more. A look that has not begun is shared by all. */
  follow(): Promise<boolean> {
    return this.#nextLook ??= this.#turns.take(async () => {
      this.#nextLook = null;
      if (this.#rebuild.isDue) await this.#rebuild.run();
      return this.#isFollowing && await this.#follower.catchUp(this.image);
    });
  }

  get #isFollowing(): boolean {
    const isLeader = this.#hooks.systemClaim() !== null &&
      this.ownership?.claim.node === this.#parts.node.id;
    return this.state === "following" && !isLeader;
  }

  async #requireOwner(): Promise<Owner> {
    if (this.#tenure.owner) return this.#tenure.owner;
    if (this.dropped) throw dropped(this.name);
    const systemClaim = this.#hooks.systemClaim();
    const mayTry = claimsWhenWritten(this.name, systemClaim) && this.state !== "closed";
    // One for all that wait: each that came while the store is slow would add one of its own.
    if (mayTry) await (this.#wanted ??= this.claim(systemClaim).finally(() => this.#wanted = null));
    if (this.#tenure.owner) return this.#tenure.owner;
    throw fenced(this.name, this.ownership?.claim.address);
  }

  #onFenced(): void {
    if (!this.#tenure.end()) return;
    this.#released();
    this.#hooks.onFenced(this);
  }

  #released(): void {
    this.#life.enter("refused");
    this.#life.enter("released");
    this.#follower.start();
  }

  /** The image does not fit what is durable: never served again, a new one is read (I6, I9). */
  #onMismatch(cause: unknown): void {
    if (this.#life.is("closed", "rebuilding", "corrupt")) return;
    const { log } = this.#parts;
    const facts = { database: this.name, cause: describe(cause) };
    log.error("the image does not fit the chain and is rebuilt", facts);
    const isOwning = this.#life.is("owning");
    if (isOwning) {
      this.#life.enter("mismatch");
      this.#life.enter("released");
    }
    this.#life.enter("mismatch");
    this.#follower.start();
    void this.#tenure.end()?.stop(rebuilt(this.name, cause));
    if (isOwning) this.#hooks.onFenced(this);
  }
}
