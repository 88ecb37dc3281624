/** Whom a leader that steps down names, and how it learns that somebody leads. */
import type { Clock } from "../base/clock.ts";
import { Failure } from "../base/failure.ts";
import { STEP_DOWN_MS } from "../base/limits.ts";
import { type Contender, succession } from "../election/rank.ts";
import type { Claim, Ownership } from "../replica/claims.ts";

/**
 * Those that could succeed a leader, first to last. Those that are behind or silent come after the
 * others, unless one is preferred: the leader names one, so not all need to judge alike.
 */
export function successors(
  leader: string,
  contenders: readonly Contender[],
  preferred?: string,
): string[] {
  const order = succession(contenders, { successor: preferred ?? null, last: leader });
  const late = contenders.filter((one) => one.isBehind || one.isSilent).map(({ node }) => node);
  const isLater = (node: string) => late.includes(node) && node !== preferred;
  return order
    .filter((node) => node !== leader)
    .sort((a, b) => Number(isLater(a)) - Number(isLater(b)));
}

/** Throws `conflict` when nobody, or not the preferred node, could succeed. */
export function chooseSuccessor(
  leader: string,
  contenders: readonly Contender[],
  preferred?: string,
): string {
  const [first] = successors(leader, contenders, preferred);
  const isSilent = contenders.some((one) => one.node === preferred && one.isSilent);
  if (preferred !== undefined && (first !== preferred || isSilent)) {
    throw new Failure(
      "conflict",
      `Cannot step down in favour of ${preferred}: ${whyNot(leader, contenders, preferred)}`,
    );
  }
  if (first !== undefined) return first;
  throw new Failure("conflict", "Cannot step down: no other node could lead");
}

/** What a node answers that is to step down and is no leader. */
export function doesNotLead(owner: Claim | undefined): Failure {
  return new Failure("elsewhere", `This node does not lead; ${owner?.node ?? "another"} does`, {
    ...(owner && { leader: owner.address }),
  });
}

function whyNot(leader: string, contenders: readonly Contender[], preferred: string): string {
  if (preferred === leader) return "it leads already";
  const named = contenders.find(({ node }) => node === preferred);
  if (!named) return "it has no link to this node";
  if (named.isSilent) return "it does not answer";
  return named.eligible ? `it is ${named.state}` : "it may not lead";
}

export type OwnershipWaiters = Set<(ownership: Ownership) => void>;

/**
 * Resolves with the node that leads after `leader`; rejects with `unavailable` when that is `leader`
 * again, `uncertain` when nobody does.
 */
export function nextLeader(
  clock: Clock,
  leader: string,
  waiting: OwnershipWaiters,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const heard = ({ claim }: Ownership) => {
      if (claim.node !== leader) end(() => resolve(claim.node));
      else if (claim.successor === null) end(() => reject(again));
    };
    const again = new Failure(
      "unavailable",
      "No other node took over, so this one leads again; nothing has changed",
      { retryAfterMs: 1_000 },
    );
    const late = new Failure("uncertain", "This node has resigned, but nobody leads yet");
    const cancel = clock.after(STEP_DOWN_MS, () => end(() => reject(late)));
    const end = (settle: () => void) => {
      cancel();
      waiting.delete(heard);
      settle();
    };
    waiting.add(heard);
  });
}
