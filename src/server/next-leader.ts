/**
 * Whom to ask while there is no link to a leader (docs/decisions/0012): a node that has told that it
 * leads, or that will in a moment by the word of the leader whose link this node had. It is asked over
 * a channel that has proved that both are of one cluster (I13), and executes as the owner or not at
 * all.
 */
import { Failure } from "../base/failure.ts";
import type { Claim } from "../replica/claims.ts";

/** After that it may have failed to step down, and is asked again. */
const STEPPING_DOWN_MS = 250;

export interface NextLeaderOptions {
  /** The newest claim of `system` that this node knows. */
  claim(): Claim | undefined;
  isKnown(node: string): boolean;
}

/**
 * By which claim of `system` a node leads as far as whoever asks it knows, or that it will lead by the
 * next one after that. It goes with a request, so that one that comes late, to a node that was deposed
 * and leads again, is not executed.
 */
export type Belief = { readonly claim: number } | { readonly after: number };

export interface Asked {
  readonly node: string;
  readonly belief: Belief;
}

/** Whom to ask what only a leader answers. */
export function whomToAsk(
  next: NextLeader,
  leadership: { readonly isSeeking: boolean; readonly isLeaderInDoubt: boolean },
  links: { readonly leader: string | null; linkedTo(): number | null },
): Asked | null {
  const asked = leadership.isSeeking ? next.asked : null;
  if (asked !== null) return asked;
  const claim = links.linkedTo();
  if (leadership.isLeaderInDoubt || links.leader === null || claim === null) return null;
  return { node: links.leader, belief: { claim } };
}

/** Throws `elsewhere` for a request that was meant for this node in another lead. */
export function checkMeant(
  asked: Readonly<Record<string, unknown>>,
  { claim, over, isResigning }: {
    readonly claim: number | null;
    readonly over: number | null;
    readonly isResigning: boolean;
  },
): void {
  if (isResigning) throw steppingDown();
  if (claim === null ? typeof asked["claim"] !== "number" : isMeant(asked, claim, over)) return;
  throw new Failure("elsewhere", "This was asked of a leader by another claim; nothing was done");
}

/** Another node leads in a moment, which whoever asks hears by itself: until then it need not ask. */
export function steppingDown(): Failure {
  return new Failure("elsewhere", "The leader steps down; nothing was done", {
    retryAfterMs: STEPPING_DOWN_MS,
  });
}

/** Whether a node that leads by `claim`, made over `over`, is the leader that was meant. */
export function isMeant(
  asked: Readonly<Record<string, unknown>>,
  claim: number,
  over: number | null,
): boolean {
  if (typeof asked["claim"] === "number") return asked["claim"] === claim;
  return typeof asked["after"] !== "number" || asked["after"] === over;
}

export class NextLeader {
  readonly #options: NextLeaderOptions;
  #told: { readonly node: string; readonly claim: number } = { node: "", claim: -1 };
  /** The claim whose resignation came over the link. */
  #resigned = -1;

  constructor(options: NextLeaderOptions) {
    this.#options = options;
  }

  /** A node says that it leads by that claim. */
  told(node: string, claim: number): void {
    this.#told = { node, claim };
  }

  /** The owner of that claim has resigned over the link. */
  resigned(claim: number): void {
    this.#resigned = claim;
  }

  /** Whom it has named, until anybody claims. */
  get heir(): string | null {
    const claim = this.#options.claim();
    return claim?.epoch === this.#resigned ? claim?.successor || null : null;
  }

  /** The one to ask; null for nobody. */
  get asked(): Asked | null {
    const { claim, isKnown } = this.#options;
    const told = this.#told;
    if (told.claim >= (claim()?.epoch ?? 0)) {
      return { node: told.node, belief: { claim: told.claim } };
    }
    const { heir } = this;
    if (heir === null || !isKnown(heir)) return null;
    return { node: heir, belief: { after: this.#resigned } };
  }
}
