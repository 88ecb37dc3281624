/**
 * Taking a chain: an epoch at tip + 1 whose content is one row (PROTOCOL sections 1 and 8). Claiming
 * is always safe, since the store lets one node create that object. Winning is not yet owning: on
 * a pruned part of a chain a stray claim would be created too, so the winner looks whether anything
 * lies after it before it answers, applies or announces anything (I5), unless nothing can (decision
 * 0018).
 */
import type { Image } from "../database/image.ts";
import type { TakenEpoch, Workspace } from "../database/workspace.ts";
import { CLAIM_TIMEOUT_MS } from "../base/limits.ts";
import { Failure } from "../base/failure.ts";
import { Appender } from "./appender.ts";
import { type Chain, hasEpochAfter, type Tip } from "./chain.ts";
import { INSERT_CLAIM } from "./claims.ts";
import type { Parts } from "./parts.ts";

export interface ClaimOptions {
  readonly chain: Chain;
  /** Null for a chain that does not exist yet. */
  readonly image: Image | null;
  readonly pageSize: number;
  /** Epoch of our claim in `system`, or null when this is that claim. */
  readonly systemClaim: number | null;
  /** Whether the claim of `system` is won, where that is on its way too. */
  readonly lead?: Promise<boolean> | undefined;
  /** Nothing but a claim can come next, and those are never deleted (I4): winning it is owning. */
  readonly isClaimNext: boolean;
  /** Asked before a chain other than `system` is claimed: whoever was deposed finds out here. */
  proveLead?(): Promise<unknown> | undefined;
  /** Takes the claim into the image, once nothing lies after it. False when nobody wants it now. */
  accept(claim: TakenEpoch): Promise<boolean>;
  onRefused(): void;
}

export type ClaimResult =
  | { readonly outcome: "lost" }
  | {
    readonly outcome: "won";
    readonly workspace: Workspace;
    readonly appender: Appender;
    readonly nodeId: bigint;
    readonly epoch: TakenEpoch;
  };

const NOTHING: Tip = { epoch: 0, fileChecksum: 0n, databaseChecksum: 0n, timestampMs: 0 };

/** Claims the chain at its tip + 1. Rejects when the workspace or the store fails for good. */
export async function claimChain(parts: Parts, options: ClaimOptions): Promise<ClaimResult> {
  const { chain, image } = options;
  const tip: Tip = image?.head ?? NOTHING;
  const number = tip.epoch + 1;
  const nodeId = parts.random.u64();
  const workspace = await openProved(parts, options);
  const appender = new Appender(parts, chain, tip, options.onRefused);
  try {
    const epoch = await takeClaim(parts, options, { workspace, number, nodeId });
    parts.crashPoint("claim.before_append");
    const result = await appender.append(tipOf(epoch), epoch.bytes);
    parts.crashPoint("claim.after_append");
    const isOurs = result.outcome === "won" &&
      (options.isClaimNext || !(await hasEpochAfter(chain, number)));
    if (isOurs && await (options.lead ?? true) && await options.accept(epoch)) {
      return { outcome: "won", workspace, appender, nodeId, epoch };
    }
    await workspace.close();
    return { outcome: "lost" };
  } catch (error) {
    await workspace.close();
    throw error;
  }
}

/** The workspace, opened while the store is asked whether this node still leads. */
async function openProved(parts: Parts, options: ClaimOptions): Promise<Workspace> {
  const { chain, image, pageSize, systemClaim, lead, proveLead } = options;
  const opening = parts.openWorkspace(chain.name, image, pageSize);
  // It is heard of below, or does not matter any more.
  opening.catch(() => {});
  try {
    if (systemClaim !== null && !lead) await proveLead?.();
  } catch (error) {
    await opening.then((workspace) => workspace.close(), () => {});
    throw error;
  }
  return await opening;
}

async function takeClaim(
  parts: Parts,
  { chain, systemClaim }: ClaimOptions,
  { workspace, number, nodeId }: { workspace: Workspace; number: number; nodeId: bigint },
): Promise<TakenEpoch> {
  const { node, clock } = parts;
  const at = new Date(clock.nowMs()).toISOString();
  workspace.execute([{
    id: 1,
    request: {
      statements: [{
        sql: INSERT_CLAIM,
        params: [number, node.id, node.address, systemClaim ?? number, at],
      }],
      subject: node.id,
      deadlineMs: clock.monotonicMs() + CLAIM_TIMEOUT_MS,
      trusted: true,
    },
  }]);
  const taken = await workspace.take({ kind: "claim", timestampMs: clock.nowMs(), nodeId });
  const answer = taken.answers[0];
  if (answer?.kind === "done" && taken.epoch) return taken.epoch;
  const why = answer?.kind === "failed" ? answer.failure.message : "nothing was written";
  throw new Failure("unavailable", `Cannot prepare the claim of ${chain.name}: ${why}`);
}

export function tipOf(epoch: TakenEpoch): Tip {
  return {
    epoch: epoch.number,
    fileChecksum: epoch.fileChecksum,
    databaseChecksum: epoch.databaseChecksum,
    timestampMs: epoch.timestampMs,
  };
}
