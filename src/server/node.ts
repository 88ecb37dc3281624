/** Wires one node and starts and stops its parts in order. */
import { describe, Failure, isFailure } from "../base/failure.ts";
import { Metrics } from "../base/metrics.ts";
import type { Config } from "../config/config.ts";
import { SYSTEM_DATABASE } from "../epoch/name.ts";
import type { ClusterStatus, HeadgateNode, Readiness } from "../http/node.ts";
import type { ReplicaHooks } from "../replica/hooks.ts";
import { Replica } from "../replica/replica.ts";
import { probeStore } from "../store/probe.ts";
import { NodeAccess } from "./access.ts";
import { Catalog } from "./catalog.ts";
import { BrokerRecord, type ClusterFile, findCluster, LeaderHeartbeat } from "./cluster-files.ts";
import { NodeDatabases } from "./databases.ts";
import { foundCluster } from "./founding.ts";
import { type Identity, takeIdentity } from "./identity.ts";
import { Leadership } from "./leadership.ts";
import { Maintenance } from "./maintenance.ts";
import { defaultMemoryDir, type MemoryFolder, openMemoryFolder } from "./memory-folder.ts";
import type { NodeParts } from "./node-parts.ts";
import { assembleParts, type Assembly, openNodeStore } from "./parts.ts";
import { Passwords } from "./passwords.ts";
import { SystemDatabase } from "./system-database.ts";

/** A store that failed for this long makes a node not ready. */
const STORE_FAILING_MS = 5_000;

export interface NodeHandle {
  readonly node: HeadgateNode;
  /** Finds or makes the cluster. Resolves when this node serves; rejects when it must not. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

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
  return new RunningNode(config, address, parts, { identity, memory, metrics, assembly });
}

interface Taken {
  readonly identity: Identity;
  readonly memory: MemoryFolder;
  readonly metrics: Metrics;
  readonly assembly: Assembly;
}

class RunningNode implements HeadgateNode, NodeHandle {
  readonly node: HeadgateNode = this;
  readonly id: string;
  readonly databases: NodeDatabases;
  readonly access: NodeAccess;
  readonly #config: Config;
  readonly #address: string;
  readonly #parts: NodeParts;
  readonly #taken: Taken;
  readonly #catalog: Catalog;
  readonly #leadership: Leadership;
  readonly #maintenance: Maintenance;
  readonly #startedAtMs: number;
  #cluster: ClusterFile | null = null;
  #state: "starting" | "active" | "stopping" = "starting";

  constructor(config: Config, address: string, parts: NodeParts, taken: Taken) {
    const { clock, log, random } = parts;
    const { identity, assembly } = taken;
    this.id = identity.id;
    this.#config = config;
    this.#address = address;
    this.#parts = parts;
    this.#taken = taken;
    this.#startedAtMs = clock.monotonicMs();
    const hooks = this.#hooks();
    this.#catalog = new Catalog({ parts: assembly.parts, hooks, clock, log });
    const filesParts = { store: assembly.store, clock, random };
    const mode = config.cluster_mode;
    this.#leadership = new Leadership({
      store: assembly.store,
      clock,
      log,
      node: { id: this.id, address },
      peerAddress: this.#peerAddress(),
      eligible: config.eligible,
      heartbeat: new LeaderHeartbeat(filesParts),
      heartbeatMs: mode.leader_heartbeat_interval_secs * 1000,
      staleMs: mode.leader_stale_threshold_secs * 1000,
      onLead: (isSuccessor) => this.#onLead(isSuccessor),
      onReplaced: (failure) => this.#fail(failure),
    });
    this.databases = new NodeDatabases({
      catalog: this.#catalog,
      readers: assembly.readers,
      parts: assembly.parts,
      clock,
    });
    this.access = new NodeAccess({
      required: config.auth.required,
      clock,
      random,
      log,
      passwords: new Passwords(clock),
      clockOffsetMs: () => assembly.store.clockOffsetMs(),
      leads: () => this.#leadership.claim !== null,
    });
    this.#maintenance = new Maintenance({
      clock,
      log,
      catalog: this.#catalog,
      leads: () => this.#leadership.claim !== null,
      clockOffsetMs: () => assembly.store.clockOffsetMs(),
      record: new BrokerRecord(filesParts),
      recordEveryMs: mode.broker_heartbeat_interval_secs * 1000,
      facts: () => this.#brokerFacts(),
      onReplaced: (failure) => this.#fail(failure),
    });
  }

  async start(): Promise<void> {
    const { log, clock } = this.#parts;
    const { assembly } = this.#taken;
    const [, { cluster, secret }, system] = await Promise.all([
      this.#probe(),
      findCluster({ store: assembly.store, clock, random: this.#parts.random }),
      Replica.open(assembly.parts, SYSTEM_DATABASE, this.#hooks()),
    ]);
    this.#cluster = cluster;
    await this.#maintenance.record();
    const replica = system ??
      await foundCluster(assembly.parts, this.#hooks(), this.#config.eligible);
    const database = new SystemDatabase(replica, clock, this.id);
    await this.#catalog.start(replica, database);
    await this.access.start(secret, database);
    await this.#leadership.start(replica);
    this.#state = "active";
    this.#maintenance.start();
    log.info("serving", {
      cluster: cluster.id,
      node: this.id,
      store: assembly.store.name,
      ms: Math.round(clock.monotonicMs() - this.#startedAtMs),
    });
  }

  async stop(): Promise<void> {
    if (this.#state === "stopping") return;
    this.#state = "stopping";
    const { memory, identity, assembly } = this.#taken;
    const failure = new Failure("unavailable", "The node is stopping", { retryAfterMs: 1_000 });
    this.#maintenance.close();
    this.access.close();
    await this.#leadership.close();
    await this.#catalog.close(failure);
    await assembly.close();
    memory.remove();
    identity.lock.release();
  }

  // deno-lint-ignore require-await -- the port is asynchronous: a broker asks the leader
  async status(): Promise<ClusterStatus> {
    const { replica } = this.#catalog.system;
    const claim = replica.ownership?.claim;
    const head = replica.image.head.epoch;
    return {
      cluster: this.#cluster?.id ?? "",
      leader: claim ? { id: claim.node, address: claim.address } : null,
      term: replica.ownership?.term ?? 0,
      epoch: replica.tip,
      nodes: [{
        id: this.id,
        address: this.#address,
        roles: this.#config.roles,
        state: this.#state,
        zone: this.#config.zone,
        version: this.#parts.version,
        head,
        lag: replica.tip - head,
        last_heard_ms: 0,
      }],
      breaker: { state: "closed" },
      price_month_usd: this.#taken.assembly.priceMonthUsd(),
    };
  }

  ready(): Readiness {
    const replica = this.#catalog.peek(SYSTEM_DATABASE);
    const reasons = this.#state === "active" ? [] : [`the node is ${this.#state}`];
    const failingMs = this.#taken.assembly.storeFailingMs();
    if (failingMs > STORE_FAILING_MS) {
      reasons.push(`the store has failed for ${Math.round(failingMs / 1000)} s`);
    }
    return {
      ready: reasons.length === 0,
      role: this.#leadership.claim === null ? "broker" : "leader",
      head: replica?.tip ?? 0,
      store: this.#taken.assembly.store.name,
      state: this.#state,
      reasons,
    };
  }

  metrics(): string {
    return this.#taken.metrics.text();
  }

  systemEpoch(): number {
    return this.#catalog.peek(SYSTEM_DATABASE)?.tip ?? 0;
  }

  #hooks(): ReplicaHooks {
    return {
      systemClaim: () => this.#leadership.claim,
      proveLead: () => this.#catalog.system.replica.prove(),
      onFenced: (replica) => this.#onFenced(replica),
      onSnapshot: (replica, epoch) => this.#onSnapshot(replica, epoch),
    };
  }

  /** I12: once per start, and never skipped. */
  async #probe(): Promise<void> {
    const { clock, random } = this.#parts;
    await probeStore(this.#taken.assembly.store, { clock, random });
  }

  async #onLead(isSuccessor: boolean): Promise<void> {
    await this.#catalog.system.database.prepare();
    await this.#catalog.refresh();
    if (isSuccessor) void this.#catalog.claimAll();
    void this.#catalog.finishDrops();
  }

  #onFenced(replica: Replica): void {
    const { log } = this.#parts;
    log.warn("another node has taken a chain", { database: replica.name });
    if (replica.name === SYSTEM_DATABASE) {
      this.#leadership.deposed();
      for (const other of this.#catalog.replicas()) void other.giveUp();
      return;
    }
    // Whoever took it leads; asking the chain of `system` finds that out at once.
    this.#catalog.system.replica.prove().catch((error) =>
      log.info("no longer the leader", { cause: describe(error) })
    );
  }

  #onSnapshot(replica: Replica, epoch: number): void {
    if (this.#leadership.claim === null) return;
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

  #brokerFacts() {
    return {
      node: this.id,
      address: this.#address,
      peer_address: this.#peerAddress(),
      zone: this.#config.zone,
      roles: this.#config.roles,
      state: "active",
      version: this.#parts.version,
      nonce: this.#taken.identity.nonce,
    };
  }

  #peerAddress(): string {
    const { hostname } = new URL(this.#address);
    return `${hostname}:${this.#config.cluster_mode.internal_api_port}`;
  }
}
