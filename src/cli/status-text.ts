/** The status of a cluster as people read it. */
import type { ClusterStatus, NodeStatus } from "../http/node.ts";
import { formatTable } from "./table.ts";

interface Column {
  readonly name: string;
  readonly value: (node: NodeStatus) => string | number;
  /** Left out where all do not fit; `--json` has it. */
  readonly isSpare?: boolean;
}

const COLUMNS: readonly Column[] = [
  { name: "node", value: ({ id }) => id },
  { name: "role", value: ({ role }) => role },
  { name: "state", value: ({ state }) => state },
  { name: "zone", value: ({ zone }) => zone },
  { name: "version", value: ({ version }) => version, isSpare: true },
  { name: "head", value: ({ head }) => head, isSpare: true },
  { name: "lag", value: ({ lag }) => lag },
  { name: "running", value: ({ running }) => running },
  { name: "heard", value: ({ last_heard_ms }) => heardText(last_heard_ms) },
  { name: "why not leader", value: ({ why_not_leader }) => why_not_leader ?? "" },
];

/** Columns of a terminal in which all of a node's fit. */
const WIDE = 108;

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
  const shown = COLUMNS.filter(({ isSpare }) => !isSpare || width === null || width >= WIDE);
  const rows = nodes.map((node) => shown.map(({ value }) => value(node)));
  const columns = shown.map(({ name }) => name);
  return `${head}\n${formatTable({ columns, rows }, width)}`;
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
