/** What `Leadership` needs of its node, and what it tells it. */
import type { Clock } from "../base/clock.ts";
import type { Failure } from "../base/failure.ts";
import type { Log } from "../base/log.ts";
import type { ClaimWish } from "../replica/claims.ts";
import type { Store } from "../store/store.ts";
import type { LeaderHeartbeat } from "./cluster-files.ts";
import type { LeadingOptions } from "./leading.ts";
import type { Links } from "./links.ts";
import type { StandingByOptions } from "./standing-by.ts";

export interface LeadershipOptions
  extends Pick<LeadingOptions, "links" | "resignIfOthers">, Pick<StandingByOptions, "onHeard"> {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  readonly node: { readonly id: string; readonly address: string };
  readonly peerAddress: string;
  readonly eligible: boolean;
  readonly heartbeat: LeaderHeartbeat;
  readonly heartbeatMs: number;
  readonly staleMs: number;
  readonly network: Links;
  /** How `system` is to be claimed over that claim. */
  wish(over: number | undefined): ClaimWish;
  /** `system` is about to be claimed by that epoch; `lead` is whether it was won by it. */
  onClaiming(epoch: number, lead: Promise<boolean>): void;
  /** It is about to resign in favour of that node. */
  onStepDown(successor: string): void;
  /** The claim is won: links may be taken from now on. */
  onWon(claim: number): void;
  /**
   * What a new leader does first. `isSuccessor` when another node led before: its chains are to be
   * claimed, or it may go on with them.
   */
  onLead(isSuccessor: boolean): Promise<void>;
  /** This node leads no more. */
  onDeposed(): void;
  /** Gives up all chains but `system` in order, so that a successor finds nothing in flight. */
  release(): Promise<boolean>;
  /** Another process runs with this node's id: this one must end. */
  onReplaced(failure: Failure): void;
}
