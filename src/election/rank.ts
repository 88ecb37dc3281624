/** Who claims first when several could: the same order on every node that has the same roster. */

export interface Contender {
  readonly node: string;
  readonly zone: string;
  readonly eligible: boolean;
  readonly state: string;
  /** As the leader knows: it has yet to read databases, and would keep writes waiting. */
  readonly isBehind?: boolean;
  /** It has not answered the leader for a while: it may be asleep or cut off. */
  readonly isSilent?: boolean;
}

export interface RankOptions {
  /** Named by whoever resigned; "" for anybody. */
  readonly successor?: string | null;
  /** Whoever resigned, or is believed gone: it comes last. */
  readonly last?: string | null;
}

/** The nodes that would claim, first to last: the successor, then by zone and id. */
export function succession(
  roster: readonly Contender[],
  { successor = null, last = null }: RankOptions = {},
): string[] {
  const place = ({ node }: Contender) => (node === successor ? 0 : node === last ? 2 : 1);
  return roster
    .filter(({ eligible, state }) => eligible && state === "active")
    .sort((a, b) => place(a) - place(b) || compare(a.zone, b.zone) || compare(a.node, b.node))
    .map(({ node }) => node);
}

/** This node's place; after everybody when it is not in the roster. */
export function rankOf(
  node: string,
  roster: readonly Contender[],
  options: RankOptions = {},
): number {
  const order = succession(roster, options);
  const place = order.indexOf(node);
  return place === -1 ? order.length : place;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
