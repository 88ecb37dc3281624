/** The membership of a node, made from its configuration and its parts. */
import type { Failure } from "../base/failure.ts";
import type { Config } from "../config/config.ts";
import type { BrokerStates } from "./broker-states.ts";
import type { Catalog } from "./catalog.ts";
import { LeaderHeartbeat } from "./cluster-files.ts";
import { Membership } from "./membership.ts";
import type { Taken } from "./node.ts";
import type { NodeParts } from "./node-parts.ts";

export interface MemberParts extends Taken {
  readonly catalog: Catalog;
  readonly states: BrokerStates;
  onRoster(): void;
  onReplaced(failure: Failure): void;
}

/** `address` is where clients reach this node, "http://host:port". */
export function membershipOf(
  config: Config,
  address: string,
  { clock, random, log, version, running }: NodeParts,
  { assembly, identity, peers, catalog, states, onRoster, onReplaced }: MemberParts,
): Membership {
  const { store } = assembly;
  const mode = config.cluster_mode;
  return new Membership({
    clock,
    log,
    store,
    layout: config.storage.primary_backend.type,
    facts: {
      node: identity.id,
      nonce: identity.nonce,
      address,
      peer_address: peers.address,
      zone: config.zone,
      roles: config.roles,
      eligible: config.eligible,
      version,
    },
    heartbeat: new LeaderHeartbeat({ store, clock, random }),
    heartbeatMs: mode.leader_heartbeat_interval_secs * 1000,
    staleMs: mode.leader_stale_threshold_secs * 1000,
    brokerStaleMs: mode.broker_stale_threshold_secs * 1000,
    catalog,
    transport: peers,
    prepareWorkspace: (replica) => assembly.prepareWorkspace(replica),
    storeFailingMs: () => assembly.storeFailingMs(),
    state: () => states.state,
    running,
    desired: (node) => states.desired(node),
    // One that was shut down and is started again waits to be set active.
    onOrder: (state) => void states.order(state),
    onRoster,
    onLead: async () => {
      states.read(await catalog.system.database.brokers());
      const own = states.desired(identity.id);
      if (own !== undefined) void states.order(own);
    },
    onReplaced,
  });
}
