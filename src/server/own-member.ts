/** A node as a member of its own roster. */
import type { BrokerState, Member } from "../members/roster.ts";
import type { Replica } from "../replica/replica.ts";

/** What does not change while the process runs. */
export type OwnFacts = Omit<Member, "state" | "heads" | "running" | "presence" | "last_heard_ms">;

export function ownMember(
  facts: OwnFacts,
  now: {
    readonly state: BrokerState;
    readonly running: number;
    readonly replicas: readonly Replica[];
  },
): Member {
  const { state, running, replicas } = now;
  const heads: Record<string, number> = {};
  for (const replica of replicas) {
    // The others have no image to show.
    const isReadable = ["following", "owning", "claiming", "fenced"].includes(replica.state);
    if (isReadable) heads[replica.name] = replica.image.head.epoch;
  }
  return { ...facts, state, heads, running, presence: "present", last_heard_ms: 0 };
}
