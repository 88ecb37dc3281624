/**
 * One process of a node in a simulated cluster: the product's membership, leadership, links, calls and
 * forwarding over a network in memory, on the same machine as every simulated process. It is put
 * together as `server/node.ts` does it, without the port of clients and without tokens.
 */
import { Failure } from "../../src/base/failure.ts";
import { Metrics } from "../../src/base/metrics.ts";
import { SYSTEM_DATABASE } from "../../src/epoch/name.ts";
import type { ReplicaHooks } from "../../src/replica/hooks.ts";
import type { Parts } from "../../src/replica/parts.ts";
import { Replica } from "../../src/replica/replica.ts";
import { AdminGate } from "../../src/server/admin-gate.ts";
import { BrokerStates } from "../../src/server/broker-states.ts";
import { Catalog } from "../../src/server/catalog.ts";
import { BrokerRecord } from "../../src/server/broker-record.ts";
import { findCluster, LeaderHeartbeat } from "../../src/server/cluster-files.ts";
import { NodeDatabases } from "../../src/server/databases.ts";
import { foundCluster } from "../../src/server/founding.ts";
import { hex } from "../../src/server/identity.ts";
import { Maintenance } from "../../src/server/maintenance.ts";
import { Membership } from "../../src/server/membership.ts";
import { PeerTransport } from "../../src/server/peer-transport.ts";
import type { Presence } from "../../src/server/probe-address.ts";
import { Retention } from "../../src/server/retention.ts";
import { SystemDatabase } from "../../src/server/system-database.ts";
import { metered, type MeteredStore } from "../../src/store/meter.ts";
import type { SimulatedClock } from "./simulated-clock.ts";
import { type MachineOptions, type RunningProcess, SimulatedMachine } from "./simulated-machine.ts";
import { addressOf, type Host, peerAddressOf, type SimulatedNetwork } from "./simulated-network.ts";

export interface MemberOptions extends MachineOptions {
  readonly network: SimulatedNetwork;
  readonly zone?: string;
  readonly eligible?: boolean;
  readonly heartbeatMs: number;
  readonly staleMs: number;
  onEvent(member: SimulatedMember): void;
  crashesAt(member: SimulatedMember, step: string): boolean;
  /** The process ends by itself. */
  onExit(member: SimulatedMember, why: string): void;
}

/** The transport of the product, whose question by HTTP goes over the same network. */
class MemberTransport extends PeerTransport {
  probe: (address: string) => Promise<Presence> = () => Promise.resolve({ kind: "silent" });
}

export class SimulatedMember implements RunningProcess {
  readonly node: string;
  readonly name: string;
  readonly clock: SimulatedClock;
  readonly parts: Parts;
  readonly catalog: Catalog;
  readonly databases: NodeDatabases;
  readonly membership: Membership;
  readonly states: BrokerStates;
  readonly #options: MemberOptions;
  readonly #machine: SimulatedMachine;
  readonly #host: Host;
  readonly #transport: MemberTransport;
  readonly #maintenance: Maintenance;
  readonly #nonce: string;
  #meter: MeteredStore | null = null;
  #isServing = false;

  constructor(options: MemberOptions) {
    this.#options = options;
    this.node = options.node;
    this.name = options.name;
    const machine = this.#machine = new SimulatedMachine(options, {
      onEvent: () => options.onEvent(this),
      crashesAt: (step) => options.crashesAt(this, step),
      through: (store, clock) => this.#meter = metered(store, new Metrics(), clock),
    });
    this.clock = machine.clock;
    this.parts = machine.parts;
    this.#nonce = hex(options.random.bytes(16));
    this.#host = {
      node: this.node,
      clock: this.clock,
      accept: (path, headers) => this.#transport.accept(path, headers),
    };
    this.#transport = this.#connect();
    const { clock, parts } = this;
    const { log } = parts;
    this.catalog = new Catalog({ parts, hooks: this.#hooks(), clock, log });
    this.states = new BrokerStates({
      clock,
      log,
      running: () => 0,
      leads: () => this.leads,
      stepDown: () => this.leave(),
      onChange: () => this.membership.links.reportNow(),
      onRetire: () => Promise.resolve(),
      onShutdown: () => options.onExit(this, "it was shut down"),
    });
    this.membership = this.#join();
    const { readers } = machine;
    const gate = this.#gate();
    const { forwarding } = this.membership;
    this.databases = new NodeDatabases({
      catalog: this.catalog,
      readers,
      parts,
      clock,
      forwarding,
      gate,
    });
    this.#maintenance = this.#maintain();
  }

  get isServing(): boolean {
    return this.#isServing && !this.clock.isStopped;
  }

  /** Epoch of its claim in `system` while it leads. */
  get claim(): number | null {
    return this.membership.leadership.claim;
  }

  get leads(): boolean {
    return this.claim !== null;
  }

  /** The node to which it has a link; null without one. */
  get leader(): string | null {
    return this.membership.links.leader;
  }

  /** Finds or makes the cluster. Rejects when it could not; a real process then ends. */
  async start(): Promise<void> {
    const { parts, clock, catalog, membership } = this;
    const { store, random } = parts;
    const [{ secret }, opened] = await Promise.all([
      findCluster({ store, clock, random }),
      Replica.open(parts, SYSTEM_DATABASE, this.#hooks()),
    ]);
    await this.#maintenance.record();
    const { eligible = true } = this.#options;
    const system = opened ?? await foundCluster(parts, this.#hooks(), eligible);
    await catalog.start(system, new SystemDatabase(system, clock, this.node));
    this.#transport.open(secret, membership, this.databases);
    await membership.start(system);
    this.#isServing = true;
    this.#maintenance.start();
  }

  /** Hands the lead over, as on SIGTERM. */
  async leave(): Promise<void> {
    const { leadership } = this.membership;
    if (leadership.hasSuccessor) await leadership.stepDown();
  }

  /** It ends in order. */
  async stop(): Promise<void> {
    this.#isServing = false;
    this.#maintenance.close();
    this.membership.close();
    await this.catalog.close(new Failure("unavailable", "The node is stopping"));
    await this.#transport.close();
    this.crash();
  }

  /** The process is killed. */
  crash(): void {
    this.#machine.crash();
    this.#options.network.leave(this.#host);
  }

  #connect(): MemberTransport {
    const { clock, parts, node } = this;
    const { random, log } = parts;
    const { network } = this.#options;
    const host = this.#host;
    const identity = { id: node, nonce: this.#nonce };
    const own = { clock, random, log, identity, address: addressOf(node) };
    const transport = new MemberTransport(own, network.of(host));
    transport.probe = (address) => network.probe(host, address);
    network.join(host);
    return transport;
  }

  #join(): Membership {
    const { clock, parts, catalog, node, states } = this;
    const { store, log, random } = parts;
    const { zone = "", eligible = true, heartbeatMs, staleMs, onExit } = this.#options;
    return new Membership({
      clock,
      log,
      store,
      layout: parts.layout,
      facts: {
        node,
        nonce: this.#nonce,
        address: addressOf(node),
        peer_address: peerAddressOf(node),
        zone,
        roles: [],
        eligible,
        version: "simulated",
      },
      heartbeat: new LeaderHeartbeat({ store, clock, random }),
      heartbeatMs,
      staleMs,
      brokerStaleMs: 1_800_000,
      catalog,
      transport: this.#transport,
      storeFailingMs: () => this.#meter?.failingMs() ?? 0,
      state: () => states.state,
      running: () => 0,
      desired: (other, process) => states.desired(other, process),
      onOrder: (state) => void states.order(state),
      onRoster: () => {},
      onLead: async () => {
        states.read(await catalog.system.database.brokers());
        const own = states.desired(node, this.#nonce);
        if (own !== undefined) void states.order(own);
      },
      onReplaced: (failure) => onExit(this, failure.message),
    });
  }

  #gate(): AdminGate {
    return new AdminGate({
      clock: this.clock,
      log: this.parts.log,
      metrics: new Metrics(),
      facts: () => ({
        isLeading: this.leads,
        isElecting: this.#isServing && this.membership.leadership.isElecting,
        storeFailingMs: this.#meter?.failingMs() ?? 0,
        isBackupOverdue: false,
      }),
    });
  }

  #maintain(): Maintenance {
    const { clock, parts, catalog } = this;
    const { store, random, log } = parts;
    const clockOffsetMs = () => store.clockOffsetMs();
    const leads = () => this.leads;
    const shared = { clock, log, catalog, leads, clockOffsetMs };
    return new Maintenance({
      ...shared,
      retention: new Retention({ ...shared, windowMs: 3_600_000 }),
      pruneEveryMs: 600_000,
      record: new BrokerRecord({
        store,
        clock,
        random,
        isSelfAt: (address) => this.membership.links.isSelfAt(address),
      }),
      recordEveryMs: 600_000,
      isAway: () => false,
      facts: () => {
        const { node, nonce, address, peer_address, zone, roles, eligible, state, version } = this
          .membership.self();
        return { node, nonce, address, peer_address, zone, roles, eligible, state, version };
      },
      onReplaced: (failure) => this.#options.onExit(this, failure.message),
    });
  }

  #hooks(): ReplicaHooks {
    const hooks = () => this.membership.hooks;
    return {
      systemClaim: () => this.claim,
      proveLead: () => hooks().proveLead?.() ?? Promise.resolve(),
      onFenced: (replica) => hooks().onFenced(replica),
      onDurable: (...epoch) => hooks().onDurable?.(...epoch),
      onOwnership: (...change) => hooks().onOwnership?.(...change),
      onSnapshot: (replica, epoch) => {
        if (this.leads) {
          this.catalog.system.database.addSnapshot(replica.name, epoch).catch(() => {});
        }
      },
      onJoining: (database, progress) => this.catalog.openings.onJoining(database, progress),
    };
  }
}
