/** What a node does by itself now and then, made from its parts. */
import type { Clock } from "../base/clock.ts";
import type { Failure } from "../base/failure.ts";
import type { Log } from "../base/log.ts";
import type { Config } from "../config/config.ts";
import type { BrokerRecord } from "./broker-record.ts";
import type { Catalog } from "./catalog.ts";
import { Maintenance } from "./maintenance.ts";
import type { Membership } from "./membership.ts";
import type { OwnState } from "./own-state.ts";
import type { Assembly } from "./parts.ts";
import { pruneEveryMs, Retention } from "./retention.ts";

export interface NodeMaintenanceOptions {
  readonly config: Config;
  readonly clock: Clock;
  readonly log: Log;
  readonly assembly: Assembly;
  readonly catalog: Catalog;
  readonly membership: Membership;
  readonly own: OwnState;
  readonly record: BrokerRecord;
  leads(): boolean;
  onReplaced(failure: Failure): void;
}

export function nodeMaintenance(options: NodeMaintenanceOptions): Maintenance {
  const { config, assembly, membership, own } = options;
  const windowMs = config.retention.window_ms;
  const leading = { ...options, clockOffsetMs: () => assembly.store.clockOffsetMs() };
  return new Maintenance({
    ...leading,
    retention: new Retention({ ...leading, windowMs }),
    pruneEveryMs: pruneEveryMs(windowMs),
    isAway: () => own.isAway,
    recordEveryMs: config.cluster_mode.broker_heartbeat_interval_secs * 1000,
    facts: () => {
      const { node, nonce, address, peer_address, zone, roles, eligible, state, version } =
        membership.self();
      return { node, nonce, address, peer_address, zone, roles, eligible, state, version };
    },
  });
}
