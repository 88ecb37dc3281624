/** The membership of a node, made from its configuration and its parts. */
import type { Failure } from "../base/failure.ts";
import type { Config } from "../config/config.ts";
import type { Catalog } from "./catalog.ts";
import { LeaderHeartbeat } from "./cluster-files.ts";
import type { RosterMessage } from "../members/roster.ts";
import { Membership } from "./membership.ts";
import type { Taken } from "./node.ts";
import type { NodeParts } from "./node-parts.ts";
import type { OwnState } from "./own-state.ts";

export interface MemberParts extends Taken {
  readonly catalog: Catalog;
  readonly own: OwnState;
  onRoster(roster: RosterMessage): void;
  onLead(): void;
  onReplaced(failure: Failure): void;
}

/** `address` is where clients reach this node, "http://host:port". */
export function membershipOf(
  config: Config,
  address: string,
  { clock, random, log, version, running }: NodeParts,
  { assembly, identity, peers, catalog, own, onRoster, onReplaced, ...lead }: MemberParts,
): Membership {
  const { store } = assembly;
  const { states } = own;
  const mode = config.cluster_mode;
  // What a link was told before the rows were read may be wrong.
  const onLead = async () => {
    const state = await own.read();
    membership.links.hub?.orderAll();
    if (state !== undefined) void states.order(state);
    lead.onLead();
  };
  const membership: Membership = new Membership({
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
    warmWriters: (count) => assembly.warmWriters(count),
    storeFailingMs: () => assembly.storeFailingMs(),
    state: () => states.state,
    running,
    desired: (node, process) => states.desired(node, process),
    onOrder: (state) => void states.order(state),
    onRoster,
    onLead,
    onReplaced,
  });
  return membership;
}
