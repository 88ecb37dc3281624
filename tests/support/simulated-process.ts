/**
 * One process of a node: the product's replicas, catalog and databases on a simulated clock, store
 * and children. It stands in for what belongs to the machine alone (files in memory, a process id)
 * and for the network that would tell it when to claim; all else is the code that ships.
 */
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Failure } from "../../src/base/failure.ts";
import { type Log, silentLog } from "../../src/base/log.ts";
import { Metrics } from "../../src/base/metrics.ts";
import type { Random } from "../../src/base/random.ts";
import { encodeFile } from "../../src/database/encode-file.ts";
import type { Image, ImageBuilder } from "../../src/database/image.ts";
import { createImage } from "../../src/database/image-builder.ts";
import { openWorkspace } from "../../src/database/writer.ts";
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
import { retrying } from "../../src/store/retry.ts";
import { LocalChildren } from "./local-children.ts";
import { LocalReaders } from "./local-readers.ts";
import { SimulatedClock, type Timeline } from "./simulated-clock.ts";
import { SimulatedStore, type SimulatedStoreParts } from "./simulated-store.ts";

export interface ProcessOptions
  extends Omit<SimulatedStoreParts, "clock" | "sender" | "timeline" | "bucket"> {
  readonly timeline: Timeline;
  readonly bucket: SimulatedStoreParts["bucket"];
  readonly node: string;
  /** Tells the processes of one node apart. */
  readonly name: string;
  readonly directory: string;
  readonly random: Random;
  readonly log?: Log;
  readonly skewMs: number;
  readonly lookMs: number;
  readonly slowReadsPercent: number;
  readonly snapshotAgeMsMax: number;
  readonly retentionMs: number;
  /** Before each event of this process. */
  onEvent(process: SimulatedProcess): void;
  /** A named step; true ends the process there. */
  crashesAt(process: SimulatedProcess, step: string): boolean;
}

export class SimulatedProcess {
  readonly node: string;
  readonly name: string;
  readonly clock: SimulatedClock;
  readonly children: LocalChildren;
  readonly parts: Parts;
  readonly catalog: Catalog;
  readonly databases: NodeDatabases;
  readonly retention: Retention;
  readonly #options: ProcessOptions;
  /** Images and workspaces, whose files are closed when the process ends. */
  readonly #files = new Set<Pick<Image, "close">>();
  #fileNumber = 0;
  /** Epoch of its claim in `system` while it leads. */
  #claim: number | null = null;
  #isServing = false;

  constructor(options: ProcessOptions) {
    this.#options = options;
    this.node = options.node;
    this.name = options.name;
    const { timeline, skewMs, lookMs, random, directory } = options;
    mkdirSync(directory, { recursive: true });
    const clock = this.clock = new SimulatedClock(timeline, {
      skewMs,
      lookMs,
      onEvent: () => options.onEvent(this),
    });
    this.children = new LocalChildren({
      clock,
      random,
      directory,
      messageMsMax: 0.5,
    });
    const { slowReadsPercent } = options;
    const readers = new LocalReaders({ clock, random, slowPercent: slowReadsPercent });
    const parts = this.parts = this.#assemble(readers);
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
        leads: () => false,
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
    this.clock.stop();
    this.children.drop();
    for (const open of this.#files) void open.close().catch(() => {});
    this.#files.clear();
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

  #assemble(readers: LocalReaders): Parts {
    const { clock, children } = this;
    const { node, random, directory, bucket, timeline, name, ...options } = this.#options;
    const log = options.log ?? silentLog;
    const plain = new SimulatedStore({ ...options, timeline, clock, bucket, sender: name });
    const imageParts = { clock, log };
    const temporaryPath = (purpose: string) => join(directory, `${purpose}-${this.#fileNumber++}`);
    return {
      store: retrying(plain, { clock, random, log }),
      layout: "s3",
      clock,
      random,
      log,
      metrics: new Metrics(),
      node: { id: node, address: `http://${node}` },
      createImage: async (database, pageSize) => {
        const path = temporaryPath(`image-${database}`);
        return this.#watched(await createImage({ path, pageSize, ...imageParts }));
      },
      createFile: (path, pageSize) => createImage({ path, pageSize, ...imageParts }),
      openWorkspace: async (database, image, pageSize) => {
        const workspace = await openWorkspace({
          directory: temporaryPath(`workspace-${database}`),
          image,
          pageSize,
          children,
          clock,
          log,
          name: database,
        });
        this.#files.add(workspace);
        return workspace;
      },
      encodeSnapshot: (source, header) =>
        encodeFile(children, { source, target: temporaryPath("snapshot-object"), header }),
      forgetImage: async (image) => {
        this.#files.delete(image);
        await readers.forget();
      },
      temporaryPath,
      removeFile: (path) => Promise.resolve(rmSync(path, { force: true })),
      readFile: async function* (path) {
        yield new Uint8Array(readFileSync(path));
      },
      crashPoint: (step) => {
        if (!clock.isStopped && options.crashesAt(this, step)) this.crash();
      },
      options: {
        commitIntervalMs: 0,
        epochBytesMax: 64 * 1024,
        // Sizes of objects must decide nothing, or a run would depend on what SQLite leaves unused.
        snapshotChainBytesMin: Number.MAX_SAFE_INTEGER,
        snapshotAgeMsMax: options.snapshotAgeMsMax,
      },
    };
  }

  /** So that the files of a process that was killed are closed. */
  #watched(builder: ImageBuilder): ImageBuilder {
    return {
      write: (pages, commit) => builder.write(pages, commit),
      finish: async (head) => {
        const image = await builder.finish(head);
        this.#files.add(image);
        return image;
      },
      finishFile: (head) => builder.finishFile(head),
      abandon: () => builder.abandon(),
    };
  }
}
