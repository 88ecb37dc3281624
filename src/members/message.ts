/**
 * What crosses a link between a node and the leader (PROTOCOL section 9): the frames of `/peer/link`,
 * each a type, a JSON head and, for an epoch, the bytes of its object.
 */
import type { BrokerState, Introduction, Report, RosterMessage } from "./roster.ts";

/** Types of frames. Numbers below 16 belong to the channel itself. */
export const LINK_FRAMES = {
  /** Down: a durable epoch; without a tail only its number is told. */
  epoch: 16,
  /** Down: who is in the cluster. */
  roster: 17,
  /** Down, each second. */
  ping: 18,
  /** Down: the state that an operator wants this node in. */
  order: 19,
  /** Up: the answer to a ping, and each second what has changed. */
  report: 20,
  /** Up: asks for an answer at once, to see whether the leader lives. */
  echo: 21,
  /** Down: the answer to it. */
  echoed: 22,
} as const;

export interface EpochHead {
  readonly database: string;
  readonly epoch: number;
}

export interface PingHead {
  readonly number: number;
  /** For how long the leader's store has failed; 0 when it does not. */
  readonly store_failing_ms: number;
}

export interface OrderHead {
  readonly state: BrokerState;
}

export interface ReportHead extends Report {
  /** The newest ping that this answers; 0 before the first. */
  readonly ping: number;
}

/** What the dialler of a link says first. */
export type LinkHello = Introduction;

/** What the leader answers: the claim that it must be found with in the dialler's own store (I13). */
export interface LeaderHello {
  readonly claim: number;
  /** The random number in the claim's header, as 16 hex digits. */
  readonly claim_id: string;
  readonly term: number;
  readonly roster: RosterMessage;
}

/** A channel as those who use it see it. `members/channel.ts` implements it. */
export interface PeerChannel {
  readonly peer: { readonly node: string; readonly nonce: string };
  /** When a byte last came, on this process's monotonic clock. */
  readonly lastInputMs: number;
  /** False when the channel is closed. */
  send(type: number, head: object, tail?: Uint8Array): boolean;
  onFrame(handler: (type: number, head: unknown, tail: Uint8Array) => void): void;
  /** Called once, also when it is closed already. */
  onClose(handler: (end: ChannelEnd) => void): void;
  close(reason: string): void;
}

export interface ChannelEnd {
  /**
   * - `closed`  the other side ended it, or its process is gone
   * - `own`     this side ended it
   * - `broken`  it was cut off: too much unsent, or bytes that make no sense
   */
  readonly kind: "closed" | "own" | "broken";
  readonly message: string;
}
