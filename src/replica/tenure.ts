/**
 * A replica's time as owner of its chain, from the claim to the end: what only an owner may do.
 */
import { describe, Failure, isFailure } from "../base/failure.ts";
import { MACHINERY_TIMEOUT_MS, REOPEN_WORKSPACE_MS } from "../base/limits.ts";
import type { Image } from "../database/image.ts";
import type { TakenEpoch, Workspace } from "../database/workspace.ts";
import type { Appender } from "./appender.ts";
import type { Chain } from "./chain.ts";
import { claimChain, tipOf } from "./claim.ts";
import { type ClaimWish, NAME_SUCCESSOR } from "./claims.ts";
import type { Durable } from "./durable.ts";
import { dropped, fenced, lostInDoubt } from "./failures.ts";
import type { ReplicaHooks } from "./hooks.ts";
import type { Lifecycle } from "./lifecycle.ts";
import { Owner } from "./owner.ts";
import type { Parts } from "./parts.ts";
import { appendContent, type NewContent } from "./rewrite.ts";

export interface TenureOptions {
  readonly chain: Chain;
  readonly durable: Durable;
  readonly life: Lifecycle;
  readonly hooks: ReplicaHooks;
  /** Rejects when there is no image to serve. */
  image(): Image;
  /** Applies what the store holds after the head. */
  catchUp(): Promise<unknown>;
  onFenced(): void;
  onMismatch(cause: unknown): void;
}

export class Tenure {
  readonly #parts: Parts;
  readonly #options: TenureOptions;
  #owner: Owner | null = null;
  /** That of the newest owner, which may have ended. */
  #appender: Appender | null = null;
  #nodeId = 0n;

  constructor(parts: Parts, options: TenureOptions) {
    this.#parts = parts;
    this.#options = options;
  }

  /** Null while this node does not own the chain. */
  get owner(): Owner | null {
    return this.#owner;
  }

  /** The random number that this node's newest claim carries in its header. */
  get nodeId(): bigint {
    return this.#nodeId;
  }

  /** Every append of the newest owner was won or lost. */
  get isResolved(): boolean {
    return !this.#appender?.isUnresolved;
  }

  /** The owner that was, which its caller ends; there is none from now on. */
  end(): Owner | null {
    const owner = this.#owner;
    this.#owner = null;
    if (owner) this.#options.durable.ended(() => owner.applied);
    return owner;
  }

  /** Ends the owner and its workspace. */
  async close(failure: Failure): Promise<void> {
    const owner = this.end();
    await owner?.stop(failure);
    await owner?.closed;
  }

  /** Claims the chain; the lifecycle is `claiming`. There is an owner afterwards if it was won. */
  async begin(systemClaim: number | null, { lead, resigned }: ClaimWish): Promise<void> {
    const { chain, durable, life, hooks, catchUp, onMismatch } = this.#options;
    try {
      const claim = await claimChain(this.#parts, {
        chain,
        image: durable.image,
        pageSize: durable.pageSize,
        systemClaim,
        lead,
        isClaimNext: durable.isClaimNext(resigned),
        proveLead: () => hooks.proveLead?.(),
        accept: (epoch) => this.#accept(epoch),
        onRefused: () => void this.#owner?.refused(),
      });
      if (claim.outcome === "won") {
        this.#nodeId = claim.nodeId;
        this.#appender = claim.appender;
        this.#owner = this.#ownerOf(claim.workspace, claim.appender, claim.nodeId);
        life.enter("won");
        return hooks.onDurable?.(chain.name, claim.epoch.number, claim.epoch.bytes);
      }
      // Closed or damaged meanwhile, and the image says so.
      if (!life.is("claiming")) return void this.#options.image();
      life.enter("lost");
      if (durable.image) await catchUp();
    } catch (error) {
      if (life.is("claiming")) life.enter("lost");
      // The scrub before a workspace found a page that is not what was applied.
      if (isFailure(error, "corrupt") && life.is("following")) onMismatch(error);
      throw error;
    }
  }

  /** Replaces the whole content by one epoch, and serves it when this resolves. */
  async rewrite(owner: Owner, request: NewContent): Promise<number> {
    const { chain, durable, hooks } = this.#options;
    return await owner.alone(async (workspace, appender) => {
      if (durable.lastKind === "tombstone") throw dropped(chain.name);
      const { pageSize } = durable;
      const whole = { ...request, chain, pageSize, nodeId: this.#nodeId };
      const { image, size } = await appendContent(this.#parts, workspace, appender, whole);
      if (request.kind === "tombstone") owner.retire(dropped(chain.name));
      hooks.onDurable?.(chain.name, image.head.epoch, null);
      await durable.rewritten(image, size, request.kind);
      return image.head.epoch;
    });
  }

  /**
   * Hands the chain over: the newest claim's row says who should be next ("" for anybody). It is told
   * once `released` resolves: what other chains have in flight has come to everybody by then. Where
   * that is false the others find it in the store, and conclude nothing from it for other chains.
   * Resolves when that is done; the caller then ends the tenure. Of `system` only (PROTOCOL section 8).
   */
  async resign(owner: Owner, successor: string, released?: Promise<boolean>): Promise<number> {
    const { chain, durable, hooks } = this.#options;
    const { clock, log, node } = this.#parts;
    const claim = durable.ownership?.claim.epoch ?? 0;
    const params = [successor, claim];
    const deadlineMs = clock.monotonicMs() + MACHINERY_TIMEOUT_MS;
    return await owner.alone(async (workspace, appender) => {
      const statements = [{ sql: NAME_SUCCESSOR, params }];
      const request = { statements, subject: node.id, deadlineMs, trusted: true };
      workspace.execute([{ id: 1, request }]);
      const timestampMs = clock.nowMs();
      const taken = await workspace.take({
        kind: "resignation",
        timestampMs,
        nodeId: this.#nodeId,
      });
      const { epoch } = taken;
      if (!epoch) throw new Failure("unavailable", `Cannot resign ${chain.name}: no row changed`);
      const result = await appender.append(tipOf(epoch), epoch.bytes);
      if (result.outcome === "lost") {
        throw result.everUnknown ? lostInDoubt(chain.name) : fenced(chain.name);
      }
      // Others rely on it that nothing but a claim follows.
      owner.retire(fenced(chain.name));
      const isAllTold = await (released ?? true);
      // Somebody may have claimed meanwhile, which this node has applied, or owns by a newer claim.
      if (this.#owner !== owner) throw fenced(chain.name);
      hooks.onDurable?.(chain.name, epoch.number, isAllTold ? epoch.bytes : null);
      // It owns no more whether its image shows that or not.
      await durable.resigned(epoch).catch((error) => {
        const cause = describe(error);
        log.warn("an own resignation is not in the image yet", { database: chain.name, cause });
        throw fenced(chain.name);
      });
      return epoch.number;
    });
  }

  /** Our claim goes into the image. False if this replica was closed or damaged meanwhile. */
  async #accept(epoch: TakenEpoch): Promise<boolean> {
    const { durable, life } = this.#options;
    if (life.is("claiming")) await durable.claimed(epoch);
    if (life.is("closed")) await durable.replace(null);
    return life.is("claiming");
  }

  #ownerOf(workspace: Workspace, appender: Appender, nodeId: bigint): Owner {
    const { chain, durable, hooks, image, onFenced, onMismatch } = this.#options;
    return new Owner(this.#parts, {
      chain,
      nodeId,
      workspace,
      appender,
      image: () => durable.image,
      reopenWorkspace: async () => {
        const deadlineMs = this.#parts.clock.monotonicMs() + REOPEN_WORKSPACE_MS;
        await image().reached(durable.tip, deadlineMs);
        return await this.#parts.openWorkspace(chain.name, image(), durable.pageSize);
      },
      onEpoch: ({ number, bytes }) => {
        hooks.onDurable?.(chain.name, number, bytes);
        durable.appended(number, bytes.byteLength, "data");
      },
      onMismatch: (cause, of) => of === durable.image && onMismatch(cause),
      onFenced,
    });
  }
}
