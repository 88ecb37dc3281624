/** What this node says of itself and its cluster. */
import type { NodeStatus, Readiness } from "../http/node.ts";
import type { Member, RosterMessage } from "../members/roster.ts";
import { STORE_FAILING_MS } from "./breaker.ts";

/** A node as the status shows it; `tip` is the newest epoch of `system` that is known. */
export function nodeStatus(member: Member, leader: string, tip: number): NodeStatus {
  const { system: head = 0, ...others } = member.heads;
  return {
    id: member.node,
    address: member.address,
    role: member.node === leader ? "leader" : "broker",
    roles: member.roles,
    state: member.presence === "suspect" ? "suspect" : member.state,
    zone: member.zone,
    version: member.version,
    head,
    lag: Math.max(0, tip - head),
    heads: { system: head, ...others },
    running: member.running,
    last_heard_ms: member.last_heard_ms,
    why_not_leader: member.node === leader ? null : whyNotLeader(member),
  };
}

function whyNotLeader({ eligible, state, presence }: Member): string {
  if (!eligible) return "it may not lead (eligible: false)";
  if (state !== "active") return `it is ${state}`;
  return presence === "suspect" ? "it was not heard for 5 s" : "another node leads";
}

export function nodeStatuses(roster: RosterMessage, tip: number): NodeStatus[] {
  return roster.members.map((member) => nodeStatus(member, roster.leader, tip));
}

/** Whether a node serves, and why not. */
export function readiness(
  facts: {
    readonly phase: "starting" | "active" | "stopping";
    readonly state: string;
    readonly leads: boolean;
    readonly head: number;
    readonly store: string;
    readonly storeFailingMs: number;
  },
): Readiness {
  const { phase, state, leads, head, store, storeFailingMs } = facts;
  const reasons = phase === "active" ? [] : [`the node is ${phase}`];
  if (phase === "active" && state !== "active") reasons.push(`the node is ${state}`);
  if (storeFailingMs > STORE_FAILING_MS) {
    reasons.push(`the store has failed for ${Math.round(storeFailingMs / 1000)} s`);
  }
  return {
    ready: reasons.length === 0,
    role: leads ? "leader" : "broker",
    head,
    store,
    state: phase === "active" ? state : phase,
    reasons,
  };
}
