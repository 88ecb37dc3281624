/**
 * What the rules of leadership need of the network: to call the owner of a claim, and to ask the
 * others whether they hear it. `server/node-links.ts` implements it over links between nodes.
 */
import type { Contender } from "../election/rank.ts";
import type { Claim } from "../replica/claims.ts";

export interface Links {
  /**
   * Calls whoever made the claim; a link that is made stands until it ends or is dropped.
   * - `linked`     it leads by this claim, which both sides have proved (I13)
   * - `refused`    nobody is there, or somebody who does not lead
   * - `unanswered` nothing answered in time
   */
  call(claim: Claim): Promise<"linked" | "refused" | "unanswered">;
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
