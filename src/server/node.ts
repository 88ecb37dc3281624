/** Wires one node and starts and stops its parts in order. */
import { describe, Failure, isFailure } from "../base/failure.ts";
import { Metrics } from "../base/metrics.ts";
import type { Config } from "../config/config.ts";
import { SYSTEM_DATABASE } from "../epoch/name.ts";
import type { HeadgateNode, Readiness } from "../http/node.ts";
import type { ReplicaHooks } from "../replica/hooks.ts";
import { Replica } from "../replica/replica.ts";
import { probeStore } from "../store/probe.ts";
import { NodeAccess } from "./access.ts";
import { AdminGate, isBackupOverdue } from "./admin-gate.ts";
import { Catalog } from "./catalog.ts";
import type { BreakerFacts } from "./breaker.ts";
import { BrokerRecord } from "./broker-record.ts";
import { type ClusterFile, findCluster } from "./cluster-files.ts";
import { NodeCluster } from "./cluster.ts";
import { NodeDatabases } from "./databases.ts";
import { foundCluster } from "./founding.ts";
import { type Identity, takeIdentity } from "./identity.ts";
import { NodeLakes } from "./lakes.ts";
import type { Maintenance } from "./maintenance.ts";
import { membershipOf } from "./member-parts.ts";
import type { Membership } from "./membership.ts";
import { defaultMemoryDir, type MemoryFolder, openMemoryFolder } from "./memory-folder.ts";
import type { NodeHandle, NodeInside } from "./node-handle.ts";
import { nodeMaintenance } from "./node-maintenance.ts";
import type { NodeParts } from "./node-parts.ts";
import { assembleParts, type Assembly, openNodeStore } from "./parts.ts";
import { OwnState } from "./own-state.ts";
import { Passwords } from "./passwords.ts";
import { PeerTransport } from "./peer-transport.ts";
import { readiness } from "./status.ts";
import { SystemDatabase } from "./system-database.ts";

/**
 * Takes the node's id and its folder of memory, and opens the store without a request. `address` is
 * where clients reach this node, "http://host:port". Throws when another process has either.
 */
export async function createNode(
  config: Config,
  address: string,
  parts: NodeParts,
): Promise<NodeHandle> {
  const identity = takeIdentity(config.cluster_mode.node_id_path, parts.random);
  const memory = openMemoryFolder(config.memory_dir ?? defaultMemoryDir(), identity.id, parts.log);
  const metrics = new Metrics();
  const store = await openNodeStore(config, metrics, parts);
  const assembly = assembleParts({ config, parts, store, metrics, memory, identity, address });
  const peers = await PeerTransport.listen(config, { ...parts, identity, address });
  return new RunningNode(config, address, parts, { identity, memory, metrics, assembly, peers });
}

export interface Taken {
  readonly identity: Identity;
  readonly memory: MemoryFolder;
  readonly metrics: Metrics;
  readonly assembly: Assembly;
  readonly peers: PeerTransport;
}

class RunningNode implements HeadgateNode, NodeHandle {
  readonly node: HeadgateNode = this;
  readonly id: string;
  readonly databases: NodeDatabases;
  readonly #lakes: NodeLakes;
  readonly cluster: NodeCluster;
  readonly access: NodeAccess;
  readonly #config: Config;
  readonly #parts: NodeParts;
  readonly #taken: Taken;
  readonly #catalog: Catalog;
  readonly #membership: Membership;
  readonly #own: OwnState;
  readonly #record: BrokerRecord;
  readonly #gate: AdminGate;
  readonly #maintenance: Maintenance;
  readonly #startedAtMs: number;
  #clusterFile: ClusterFile | null = null;
  #phase: "starting" | "active" | "stopping" = "starting";
  #isStopped = false;

  constructor(config: Config, address: string, parts: NodeParts, taken: Taken) {
    const { clock, log } = parts;
    const { identity, assembly, metrics } = taken;
    this.id = identity.id;
    this.#config = config;
    this.#parts = parts;
    this.#taken = taken;
    this.#startedAtMs = clock.monotonicMs();
    this.#catalog = new Catalog({ parts: assembly.parts, hooks: this.#hooks(), clock, log });
    const isSelfAt = (address: string) => this.#membership.links.isSelfAt(address);
    this.#record = new BrokerRecord({ ...parts, store: assembly.store, isSelfAt });
    this.#own = new OwnState({
      parts,
      identity,
      catalog: this.#catalog,
      membership: () => this.#membership,
      file: {
        write: () => this.#maintenance.record(),
        remove: () => this.#record.remove(this.#membership.self()),
      },
      onChange: () => this.cluster.changed(),
      onReplaced: (failure) => this.#fail(failure),
    });
    this.#membership = this.#member(address);
    this.#gate = new AdminGate({ clock, log, metrics, facts: () => this.#breakerFacts() });
    this.databases = new NodeDatabases({
      ...assembly,
      catalog: this.#catalog,
      clock,
      forwarding: this.#membership.forwarding,
      gate: this.#gate,
    });
    const leads = () => this.#membership.leadership.claim !== null;
    this.#lakes = new NodeLakes({ ...parts, ...taken, config, leads, databases: this.databases });
    this.access = this.#createAccess();
    this.cluster = new NodeCluster({
      clock,
      catalog: this.#catalog,
      membership: this.#membership,
      states: this.#own.states,
      gate: this.#gate,
      id: () => this.#clusterFile?.id ?? "",
      priceMonthUsd: () => assembly.priceMonthUsd(),
    });
    this.#maintenance = nodeMaintenance({
      ...taken,
      config,
      clock,
      log,
      leads,
      catalog: this.#catalog,
      membership: this.#membership,
      own: this.#own,
      record: this.#record,
      onReplaced: (failure) => this.#fail(failure),
    });
  }

  #member(address: string): Membership {
    return membershipOf(this.#config, address, this.#parts, {
      ...this.#taken,
      catalog: this.#catalog,
      own: this.#own,
      onRoster: ({ members }) => {
        this.cluster.changed();
        this.#own.states.onRoster();
        this.#lakes.lakes.adopter.onMembers(members.map(({ node, nonce }) => `${node} ${nonce}`));
      },
      onLead: () => void this.#lakes.lakes.adopter.look(),
      onReplaced: (failure) => this.#fail(failure),
    });
  }

  #createAccess(): NodeAccess {
    return new NodeAccess({
      required: this.#config.auth.required,
      ...this.#parts,
      passwords: new Passwords(this.#parts.clock),
      clockOffsetMs: () => this.#taken.assembly.store.clockOffsetMs(),
      leads: () => this.#membership.leadership.claim !== null,
    });
  }

  get inside(): NodeInside {
    const { assembly: { store } } = this.#taken;
    return { databases: this.databases, membership: this.#membership, store };
  }

  get lakes(): HeadgateNode["lakes"] {
    return this.#lakes.port;
  }

  get isDraining(): boolean {
    return !this.#own.states.takesWork;
  }

  async start(): Promise<void> {
    const { log, clock, random } = this.#parts;
    const { assembly, peers } = this.#taken;
    const [, { cluster, secret }, system] = await Promise.all([
      this.#probe(),
      findCluster({ store: assembly.store, clock, random }),
      Replica.open(assembly.parts, SYSTEM_DATABASE, this.#hooks()),
    ]);
    this.#clusterFile = cluster;
    // Before the first link (I13), and before others look for each other on an empty store.
    if (!system) await this.#maintenance.record();
    const replica = system ??
      await foundCluster(assembly.parts, this.#hooks(), this.#config.eligible);
    const database = new SystemDatabase(replica, clock, this.id);
    await this.#catalog.start(replica, database);
    await this.access.start(secret, database);
    await this.#own.begin();
    peers.open(secret, this.#membership, this.databases);
    if (!this.#own.isAway) await this.#membership.start(replica);
    this.#phase = "active";
    this.#maintenance.start();
    this.#lakes.lakes.start();
    log.info("serving", {
      cluster: cluster.id,
      node: this.id,
      store: assembly.store.name,
      ms: Math.round(clock.monotonicMs() - this.#startedAtMs),
    });
  }

  async leave(): Promise<void> {
    await this.#own.leave();
    this.#phase = "stopping";
  }

  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#phase = "stopping";
    const { memory, identity, assembly, peers } = this.#taken;
    const failure = new Failure("unavailable", "The node is stopping", { retryAfterMs: 1_000 });
    this.#maintenance.close();
    this.#own.close();
    this.#membership.close();
    this.access.close();
    await this.#lakes.close(failure);
    await this.#catalog.close(failure);
    await peers.close();
    await assembly.close();
    memory.remove();
    identity.lock.release();
  }

  ready(): Readiness {
    return readiness({
      phase: this.#phase,
      state: this.#own.states.state,
      leads: this.#membership.leadership.claim !== null,
      head: this.systemEpoch(),
      store: this.#taken.assembly.store.name,
      storeFailingMs: this.#taken.assembly.storeFailingMs(),
    });
  }

  metrics(): string {
    return this.#taken.metrics.text();
  }

  systemEpoch(): number {
    return this.#catalog.peek(SYSTEM_DATABASE)?.tip ?? 0;
  }

  /** Replicas exist before the membership that they tell. */
  #hooks(): ReplicaHooks {
    return {
      systemClaim: () => this.#membership.leadership.claim,
      proveLead: () => this.#membership.hooks.proveLead?.() ?? Promise.resolve(),
      onFenced: (replica) => this.#membership.hooks.onFenced(replica),
      onDurable: (...epoch) => this.#membership.hooks.onDurable?.(...epoch),
      onOwnership: (...change) => this.#membership.hooks.onOwnership?.(...change),
      onSnapshot: (replica, epoch) => this.#onSnapshot(replica, epoch),
      onJoining: (database, progress) => this.#catalog.openings.onJoining(database, progress),
    };
  }

  #breakerFacts(): BreakerFacts {
    const { leadership } = this.#membership;
    return {
      isLeading: leadership.claim !== null,
      isElecting: this.#phase === "active" && !this.#own.isAway && leadership.isElecting,
      storeFailingMs: this.#taken.assembly.storeFailingMs(),
      isBackupOverdue: isBackupOverdue(this.#catalog.replicas()),
    };
  }

  /** I12: once per start, and never skipped. */
  async #probe(): Promise<void> {
    const { clock, random } = this.#parts;
    await probeStore(this.#taken.assembly.store, { clock, random });
  }

  #onSnapshot(replica: Replica, epoch: number): void {
    if (this.#membership.leadership.claim === null) return;
    this.#catalog.system.database.addSnapshot(replica.name, epoch).catch((error) =>
      this.#parts.log.warn("could not record a verified snapshot", {
        database: replica.name,
        epoch,
        cause: describe(error),
      })
    );
  }

  #fail(failure: Failure): void {
    this.#parts.log.error(describe(failure));
    this.#parts.exit(isFailure(failure, "conflict") ? 1 : 3);
  }
}
