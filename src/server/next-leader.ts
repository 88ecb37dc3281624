/**
 * Whom to ask while there is no link to a leader (docs/decisions/0012): a node that has told that it
 * leads, or that will in a moment by the word of the leader whose link this node had. It is asked over
 * a channel that has proved that both are of one cluster (I13), and executes as the owner or not at
 * all.
 */
import type { Claim } from "../replica/claims.ts";

export interface NextLeaderOptions {
  /** The newest claim of `system` that this node knows. */
  claim(): Claim | undefined;
  isKnown(node: string): boolean;
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
  get node(): string | null {
    const { claim, isKnown } = this.#options;
    if (this.#told.claim >= (claim()?.epoch ?? 0)) return this.#told.node;
    const { heir } = this;
    return heir !== null && isKnown(heir) ? heir : null;
  }
}
