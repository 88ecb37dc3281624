/** What a cluster must be like when nothing has gone wrong for a while. */
import type { SimulatedCluster } from "./simulated-cluster.ts";
import type { SimulatedMember } from "./simulated-member.ts";

/**
 * Claims of `system` that one mishap may lead to: it begins and it ends, and at each two nodes may
 * meet, or a leader that nobody has a link to may make way and come back.
 */
const CLAIMS_PER_MISHAP = 4;

/** Each node may have founded it, or have been there first after all had started. */
export function claimsMax(nodes: number, mishaps: number): number {
  return 1 + nodes + CLAIMS_PER_MISHAP * mishaps;
}

/** One node leads and is ready, and every other one has a link to it. */
export function isOne(cluster: SimulatedCluster): boolean {
  const [leader, second] = cluster.leaders();
  if (!leader || second || leader.membership.leadership.isElecting) return false;
  const members = cluster.members();
  return members.length === cluster.names.length &&
    leader.membership.links.hub?.links === members.length - 1 &&
    members.every((member) => member === leader || member.leader === leader.node);
}

export function notOne(cluster: SimulatedCluster): string {
  const said = cluster.members().map((member) => `${member.name} ${whatItIs(member)}`);
  return `nobody, or not one, leads when all is calm: ${said.join(", ")}`;
}

/** Followers that asked the store for something, with what: they have links, which say it all. */
export function whoAsks(
  cluster: SimulatedCluster,
  requests: ReadonlyMap<string, readonly string[]>,
): [string, string][] {
  return cluster.members()
    .filter((member) => !member.leads && requests.has(member.name))
    .map(({ name }) => [name, requests.get(name)?.slice(0, 3).join(", ") ?? ""]);
}

function whatItIs({ leads, isServing, leader, membership }: SimulatedMember): string {
  if (leads) return "leads";
  if (!isServing) return "starts";
  return `is ${membership.leadership.standby?.state} and has a link to ${leader}`;
}
