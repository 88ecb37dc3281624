/**
 * What the rules of leadership need of the network: to call the owner of a claim, and to ask the
 * others whether they hear it. `server/node-links.ts` implements it over links between nodes.
 */
import type { Failure } from "../base/failure.ts";
import type { Contender } from "../election/rank.ts";
import type { LeaderHello, LinkHello, PeerChannel } from "../members/message.ts";
import type { BrokerState, RosterMessage } from "../members/roster.ts";
import type { Claim } from "../replica/claims.ts";
import type { Whereabouts } from "./address-book.ts";
import type { Presence } from "./probe-address.ts";

export interface Links {
  /**
   * Calls whoever made the claim; a link that is made stands until it ends or is dropped.
   * - `linked`     it leads by this claim, which both sides have proved (I13)
   * - `refused`    nobody is there, or somebody who does not lead
   * - `reset`      the call was taken and cut off without a word
   * - `unanswered` nothing answered in time
   */
  call(claim: Claim): Promise<"linked" | DialOutcome>;
  /** Whether some other node hears the owner of the claim now. */
  ask(claim: Claim): Promise<boolean>;
  /** When something last came over the link that stands; null without one. */
  lastInputMs(): number | null;
  /** The claim by which the other end of the link leads; null without one. */
  linkedTo(): number | null;
  /** Ends the link, if there is one. */
  drop(reason: string): void;
  /** Who could lead, as far as this node knows; itself included. */
  contenders(): readonly Contender[];
  /** Who is at an address of clients: another process may run with this node's id. */
  isSelfAt(address: string): Promise<boolean>;
}

/** How a call for a link went, when it was not answered by a leader. */
export type DialOutcome = "refused" | "reset" | "unanswered";

export interface Dialled {
  readonly channel: PeerChannel;
  readonly hello: LeaderHello;
}

/** The network, as links need it. */
export interface LinkTransport {
  /** Opens a link; a `Failure` is the other side's own word, `DialOutcome` that there was none. */
  dial(where: Whereabouts, hello: LinkHello): Promise<Dialled | DialOutcome>;
  /** Asks a node whether it hears the owner of the claim. */
  askOne(where: Whereabouts, claim: number, timeoutMs: number): Promise<boolean>;
  /** Tells a node that this one leads. */
  tellOne(where: Whereabouts, claim: number): Promise<void>;
  /** Who answers at an address of clients; by HTTP when absent. */
  readonly probe?: (address: string) => Promise<Presence>;
}

export interface NodeLinksEvents {
  /** A link to the leader stands: epochs are pushed from now on. */
  onLinked(): void;
  onUnlinked(): void;
  /** The link ended: the leader or the network closed it, or it was silent for too long. */
  onLost(by: "close" | "silence"): void;
  onEpoch(database: string, epoch: number, bytes: Uint8Array | null): void;
  onRoster(roster: RosterMessage): void;
  onOrder(state: BrokerState): void;
  /** The leader is about to step down in favour of this node. */
  onPrepare(): void;
  /** The leader's store fails, and this node's answers; or no more. */
  onLeaderStore(isFailing: boolean): void;
  /** The links of this leader have changed. */
  onLinks(change: "added" | "ended"): void;
  onReplaced(failure: Failure): void;
}
