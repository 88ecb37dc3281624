/** The status of a cluster as people read it. */
import type { ClusterStatus, NodeStatus } from "../http/node.ts";
import { formatTable } from "./table.ts";

const COLUMNS = [
  "node",
  "role",
  "state",
  "zone",
  "version",
  "head",
  "lag",
  "running",
  "heard",
  "why not leader",
];

/** `width` in columns of the terminal; null for no limit. */
export function statusText(status: ClusterStatus, width: number | null): string {
  const { leader, term, epoch, breaker, price_month_usd, nodes } = status;
  const facts = [
    ["leader", leader ? `${leader.id} at ${leader.address}` : "nobody: an election is under way"],
    ["term", `${term}`],
    ["epoch", `${epoch} of system`],
    ["breaker", breakerText(breaker)],
    ["price", `$${price_month_usd.toFixed(2)} a month, at the rate of the node that answered`],
  ] as const;
  const head = facts.map(([name, text]) => `${name.padEnd(8)} ${text}\n`).join("");
  const rows = nodes.map((node) => [
    node.id,
    node.role,
    node.state,
    node.zone,
    node.version,
    node.head,
    node.lag,
    node.running,
    heardText(node.last_heard_ms),
    node.why_not_leader ?? "",
  ]);
  return `${head}\n${formatTable({ columns: COLUMNS, rows }, width)}`;
}

/** One line, without its end; what changes all the time is left out. */
export function statusLine({ leader, term, breaker, nodes }: ClusterStatus): string {
  const who = leader ? `${leader.id} leads` : "nobody leads";
  const others = nodes.map(({ id, state }) => `${id} ${state}`).join(", ");
  const admin = breaker.state === "closed" ? "" : `; breaker ${breakerText(breaker)}`;
  return `term ${term}: ${who}; ${others}${admin}`;
}

export function nodeText({ id, state, running }: NodeStatus): string {
  return `${id} is ${state}, ${running === 0 ? "nothing runs" : `${running} running`}`;
}

function breakerText({ state, reason }: ClusterStatus["breaker"]): string {
  return reason === undefined ? state : `${state} (${reason})`;
}

function heardText(ms: number): string {
  return ms < 2_000 ? "now" : `${Math.round(ms / 1000)} s ago`;
}
