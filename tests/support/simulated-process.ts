/**
 * One process of a node: the product's replicas, catalog and databases on a simulated clock, store
 * and children. It stands in for what belongs to the machine alone (files in memory, a process id)
 * and for the network that would tell it when to claim; all else is the code that ships.
 */
import { Failure } from "../../src/base/failure.ts";
import { SYSTEM_DATABASE } from "../../src/epoch/name.ts";
import type { ReplicaHooks } from "../../src/replica/hooks.ts";
import type { Parts } from "../../src/replica/parts.ts";
import { Replica } from "../../src/replica/replica.ts";
import { Catalog } from "../../src/server/catalog.ts";
import { NodeDatabases } from "../../src/server/databases.ts";
import { Forwarding } from "../../src/server/forwarding.ts";
import { foundCluster } from "../../src/server/founding.ts";
import { Retention } from "../../src/server/retention.ts";
import { SystemDatabase } from "../../src/server/system-database.ts";
import type { LocalChildren } from "./local-children.ts";
import type { SimulatedClock } from "./simulated-clock.ts";
import { type MachineOptions, type RunningProcess, SimulatedMachine } from "./simulated-machine.ts";

export interface ProcessOptions extends MachineOptions {
  readonly retentionMs: number;
  /** Before each event of this process. */
  onEvent(process: SimulatedProcess): void;
  /** A named step; true ends the process there. */
  crashesAt(process: SimulatedProcess, step: string): boolean;
}

export class SimulatedProcess implements RunningProcess {
  readonly node: string;
  readonly name: string;
  readonly clock: SimulatedClock;
  readonly children: LocalChildren;
  readonly parts: Parts;
  readonly catalog: Catalog;
  readonly databases: NodeDatabases;
  readonly retention: Retention;
  readonly #machine: SimulatedMachine;
  /** Epoch of its claim in `system` while it leads. */
  #claim: number | null = null;
  #isServing = false;

  constructor(options: ProcessOptions) {
    this.node = options.node;
    this.name = options.name;
    const machine = this.#machine = new SimulatedMachine(options, {
      onEvent: () => options.onEvent(this),
      crashesAt: (step) => options.crashesAt(this, step),
    });
    const { clock, children, readers, parts } = machine;
    this.clock = clock;
    this.children = children;
    this.parts = parts;
    const hooks = this.#hooks();
    this.catalog = new Catalog({ parts, hooks, clock, log: parts.log });
    this.databases = new NodeDatabases({
      catalog: this.catalog,
      readers,
      parts,
      clock,
      // No node hears another here: clients go where they are sent themselves.
      forwarding: new Forwarding({
        clock,
        leader: () => null,
        belief: () => null,
        leads: () => false,
        isHeir: () => false,
        isElecting: () => false,
        ownerAddress: () => this.#ownerAddress(),
        call: () => Promise.reject(new Failure("unavailable", "There is no network")),
      }),
      gate: { run: (change) => change() },
    });
    this.retention = new Retention({
      clock,
      log: parts.log,
      catalog: this.catalog,
      windowMs: options.retentionMs,
      leads: () => this.leads,
      clockOffsetMs: () => parts.store.clockOffsetMs(),
    });
  }

  get isServing(): boolean {
    return this.#isServing && !this.clock.isStopped;
  }

  get claim(): number | null {
    return this.#claim;
  }

  get leads(): boolean {
    return this.#claim !== null;
  }

  /** Finds or makes the cluster. Rejects when it could not; then it may be called again. */
  async start(): Promise<void> {
    if (!this.#isServing) await this.#open();
    const { replica } = this.catalog.system;
    if (replica.state === "owning") await this.#lead(replica);
  }

  async #open(): Promise<void> {
    const { parts } = this;
    const hooks = this.#hooks();
    const system = await Replica.open(parts, SYSTEM_DATABASE, hooks) ??
      await foundCluster(parts, hooks, true);
    await this.catalog.start(system, new SystemDatabase(system, this.clock, this.node));
    this.#isServing = true;
  }

  /** Claims the cluster. True when it leads afterwards. */
  async lead(): Promise<boolean> {
    const { replica } = this.catalog.system;
    if (!(await replica.claim(null))) return false;
    await this.#lead(replica);
    return true;
  }

  /** What a follower does every few seconds. */
  async refresh(): Promise<void> {
    if (!this.leads) await this.catalog.refresh();
  }

  /** In place of `leader.json`: a leader that was deposed finds it out within seconds. */
  async heartbeat(): Promise<void> {
    if (this.leads) await this.catalog.system.replica.prove();
  }

  /** The process is killed. What it sent is on its way; nothing else of it goes on. */
  crash(): void {
    this.#machine.crash();
  }

  /** It ends in order, as on SIGTERM. */
  async stop(): Promise<void> {
    this.#isServing = false;
    await this.catalog.close(new Failure("unavailable", "The node is stopping"));
    this.crash();
  }

  async #lead(system: Replica): Promise<void> {
    const isSuccessor = this.#claim === null;
    this.#claim = system.ownership?.claim.epoch ?? system.tip;
    await this.catalog.system.database.prepare();
    await this.catalog.refresh();
    if (isSuccessor) void this.catalog.finishDrops();
  }

  #ownerAddress(): string | undefined {
    const claim = this.catalog.peek(SYSTEM_DATABASE)?.ownership?.claim;
    return claim?.node === this.node ? undefined : claim?.address;
  }

  #hooks(): ReplicaHooks {
    return {
      systemClaim: () => this.#claim,
      proveLead: () => this.catalog.system.replica.prove(),
      onFenced: (replica) => this.#onFenced(replica),
      onSnapshot: (replica, epoch) => {
        if (!this.leads) return;
        this.catalog.system.database.addSnapshot(replica.name, epoch).catch(() => {});
      },
    };
  }

  #onFenced(replica: Replica): void {
    if (replica.name !== SYSTEM_DATABASE) {
      this.catalog.system.replica.prove().catch(() => {});
      return;
    }
    this.#claim = null;
    for (const other of this.catalog.replicas()) void other.giveUp();
  }
}
