/** What the HTTP routes may ask of the cluster as a whole. */
import type { Clock } from "../base/clock.ts";
import { Failure } from "../base/failure.ts";
import { SYSTEM_DATABASE } from "../epoch/name.ts";
import type { BrokerState, Cluster, ClusterStatus, HandOver } from "../http/node.ts";
import type { AdminGate } from "./admin-gate.ts";
import type { BrokerStates } from "./broker-states.ts";
import type { Catalog } from "./catalog.ts";
import { readBrokerFile } from "./cluster-files.ts";
import type { Membership } from "./membership.ts";
import { nodeStatuses } from "./status.ts";
import { notLeading } from "./system-database.ts";

export interface NodeClusterOptions {
  readonly clock: Clock;
  readonly catalog: Catalog;
  readonly membership: Membership;
  readonly states: BrokerStates;
  readonly gate: AdminGate;
  /** The cluster's. */
  id(): string;
  priceMonthUsd(): number;
}

export class NodeCluster implements Cluster {
  readonly #options: NodeClusterOptions;
  readonly #watchers = new Set<() => void>();

  constructor(options: NodeClusterOptions) {
    this.#options = options;
  }

  status(): ClusterStatus {
    const { catalog, membership, gate, id, priceMonthUsd } = this.#options;
    const { replica } = catalog.system;
    const claim = replica.ownership?.claim;
    const { breaker } = gate;
    return {
      cluster: id(),
      leader: claim && claim.successor === null ? { id: claim.node, address: claim.address } : null,
      term: replica.ownership?.term ?? 0,
      epoch: replica.tip,
      nodes: nodeStatuses(membership.roster(), replica.tip),
      breaker: {
        state: breaker.state,
        ...("reason" in breaker && { reason: breaker.reason }),
      },
      price_month_usd: priceMonthUsd(),
    };
  }

  watch(onChange: () => void): () => void {
    this.#watchers.add(onChange);
    return () => void this.#watchers.delete(onChange);
  }

  /** Members, states or the leader have changed. */
  changed(): void {
    for (const watcher of this.#watchers) watcher();
  }

  async setBroker(node: string, state: BrokerState): Promise<{ readonly epoch: number }> {
    const { catalog, membership, states, gate } = this.#options;
    this.#leading();
    const process = await this.#processOf(node);
    const write = async () => {
      const epoch = await catalog.system.database.setBroker({ node, state, process });
      states.read(await catalog.system.database.brokers());
      return epoch;
    };
    // What ends a drain must always be possible.
    const epoch = state === "active" ? await write() : await gate.run(write);
    membership.links.hub?.order(node);
    if (node === membership.self().node) void states.order(state);
    return { epoch };
  }

  async stepDown(preferred?: string): Promise<HandOver> {
    this.#leading();
    return await this.#options.gate.run(() =>
      this.#options.membership.leadership.stepDown(preferred)
    );
  }

  #leading(): void {
    const { catalog, membership } = this.#options;
    if (membership.leadership.claim !== null) return;
    throw notLeading(catalog.peek(SYSTEM_DATABASE)?.ownership?.claim);
  }

  /** The nonce of the process that a node runs as. Throws `missing` for a node that nobody knows. */
  async #processOf(node: string): Promise<string> {
    const { membership, catalog, states } = this.#options;
    const { members } = membership.roster();
    const member = members.find((one) => one.node === node);
    if (member) return member.nonce;
    const { store } = catalog.system.replica.chain;
    const file = await readBrokerFile(store, node);
    if (file) return file.nonce;
    // One that has retired is in no roster and has no file.
    const row = states.row(node);
    if (row) return row.process;
    const known = members.map((member) => member.node).join(", ");
    throw new Failure(
      "missing",
      `There is no node ${JSON.stringify(node.slice(0, 80))}; known: ${known}`,
    );
  }
}
