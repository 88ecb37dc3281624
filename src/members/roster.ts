/**
 * Who is in the cluster, as the leader sees it from its links (PROTOCOL section 9). The leader holds
 * it and pushes each change to all; a node without a leader keeps the last one it was sent.
 */
import type { Contender } from "../election/rank.ts";

export type BrokerState = "active" | "draining" | "retiring" | "shutdown";

export const BROKER_STATES: readonly BrokerState[] = ["active", "draining", "retiring", "shutdown"];

/** What a node says of itself when it makes a link. JSON as it crosses the network. */
export interface Introduction {
  readonly address: string;
  readonly peer_address: string;
  readonly zone: string;
  readonly roles: readonly string[];
  readonly eligible: boolean;
  readonly version: string;
  readonly state: BrokerState;
}

/** What a node says of itself all the time. */
export interface Report {
  readonly state: BrokerState;
  /** Newest epoch in its image, by database; in a report those that changed since the last. */
  readonly heads: Readonly<Record<string, number>>;
  /** Requests that it is answering. */
  readonly running: number;
}

export interface Member extends Introduction, Report {
  readonly node: string;
  readonly nonce: string;
  /** `suspect` after 5 s without a word. */
  readonly presence: "present" | "suspect";
  /** Since it was last heard, when this roster was sent. */
  readonly last_heard_ms: number;
}

export interface RosterMessage {
  readonly leader: string;
  readonly term: number;
  readonly members: readonly Member[];
}

export const SUSPECT_MS = 5_000;
export const GONE_MS = 15_000;

interface Entry {
  readonly introduction: Introduction;
  readonly nonce: string;
  report: Report;
  heardMs: number;
  isSuspect: boolean;
}

export class Roster {
  readonly #entries = new Map<string, Entry>();

  /** A node has a link now, or another one. */
  add(
    node: string,
    facts: { readonly nonce: string; readonly introduction: Introduction },
    nowMs: number,
  ): void {
    const { nonce, introduction } = facts;
    const report: Report = { state: introduction.state, heads: {}, running: 0 };
    this.#entries.set(node, { introduction, nonce, report, heardMs: nowMs, isSuspect: false });
  }

  /** True when it changes what the others are told at once: its state, or that it is back. */
  heard(node: string, report: Report | null, nowMs: number): boolean {
    const entry = this.#entries.get(node);
    if (!entry) return false;
    const isNews = entry.isSuspect || (report !== null && report.state !== entry.report.state);
    entry.heardMs = nowMs;
    entry.isSuspect = false;
    // A report has the heads that changed.
    if (report) entry.report = { ...report, heads: { ...entry.report.heads, ...report.heads } };
    return isNews;
  }

  /** Its link ended. */
  remove(node: string): boolean {
    return this.#entries.delete(node);
  }

  /** The nonce of the process that has the link of this node. */
  nonceOf(node: string): string | undefined {
    return this.#entries.get(node)?.nonce;
  }

  /** Finds who was not heard for too long: whether somebody became suspect, and whom to cut off. */
  look(nowMs: number): { readonly isNews: boolean; readonly gone: readonly string[] } {
    let isNews = false;
    const gone: string[] = [];
    for (const [node, entry] of this.#entries) {
      const silentMs = nowMs - entry.heardMs;
      if (silentMs >= GONE_MS) gone.push(node);
      if (silentMs >= SUSPECT_MS && !entry.isSuspect) entry.isSuspect = isNews = true;
    }
    return { isNews, gone };
  }

  get size(): number {
    return this.#entries.size;
  }

  members(nowMs: number): Member[] {
    return [...this.#entries].map(([node, entry]) => ({
      node,
      nonce: entry.nonce,
      ...entry.introduction,
      ...entry.report,
      presence: entry.isSuspect ? "suspect" as const : "present" as const,
      last_heard_ms: Math.max(0, Math.round(nowMs - entry.heardMs)),
    })).sort((a, b) => (a.node < b.node ? -1 : 1));
  }
}

/** For the order of succession. */
export function contender({ node, zone, eligible, state, presence }: Member): Contender {
  return { node, zone, eligible, state: presence === "present" ? state : "suspect" };
}
