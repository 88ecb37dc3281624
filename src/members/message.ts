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
  /** Down: the leader is about to step down in favour of this node. */
  prepare: 23,
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

/** A channel as the links use it; `members/channel.ts` is one. */
export interface PeerChannel {
  readonly peer: { readonly node: string; readonly process: string };
  /** When a byte last came, on this process's monotonic clock. */
  readonly lastInputMs: number;
  /** Nothing is read before this. */
  start(handlers: {
    onFrame(frame: LinkFrame): void;
    /** Called once, the last that happens. */
    onClose(end: LinkEnd): void;
  }): void;
  /** False when the channel has ended. */
  send(type: number, head: unknown, tail?: Uint8Array): boolean;
  close(why: string): void;
}

export interface LinkFrame {
  readonly type: number;
  readonly head: unknown;
  readonly tail: Uint8Array;
}

export interface LinkEnd {
  readonly kind: string;
  readonly message: string;
}
