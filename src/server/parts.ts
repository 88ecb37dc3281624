/** The parts that replicas of this node work with, made from the configuration. */
import { rm } from "node:fs/promises";
import { SNAPSHOT_AGE_MS_MAX } from "../base/limits.ts";
import type { Metrics } from "../base/metrics.ts";
import type { Config } from "../config/config.ts";
import type { Children } from "../database/child.ts";
import { createChildren } from "../database/child-process.ts";
import { encodeFile } from "../database/encode-file.ts";
import { createImage } from "../database/image-builder.ts";
import { createReaders } from "../database/reader-pool.ts";
import type { Readers } from "../database/reads.ts";
import { openWorkspace } from "../database/writer.ts";
import type { Parts } from "../replica/parts.ts";
import type { Replica } from "../replica/replica.ts";
import { delayed } from "../store/delay.ts";
import { metered, type MeteredStore } from "../store/meter.ts";
import { openStore } from "../store/open.ts";
import { retrying } from "../store/retry.ts";
import type { Store } from "../store/store.ts";
import { crashPoints } from "./crash-point.ts";
import type { Identity } from "./identity.ts";
import type { MemoryFolder } from "./memory-folder.ts";
import type { NodeParts } from "./node-parts.ts";
import { PreparedWorkspaces } from "./prepared-workspaces.ts";

export interface NodeStore {
  readonly store: Store;
  readonly meter: MeteredStore;
}

export interface Assembly {
  readonly parts: Parts;
  readonly store: Store;
  readonly readers: Readers;
  readonly children: Children;
  /** Opens the workspace that a claim of this replica will ask for. */
  prepareWorkspace(replica: Replica): void;
  /** Has processes ready for that many workspaces. */
  warmWriters(count: number): void;
  priceMonthUsd(): number;
  /** For how long no request to the store has succeeded while some failed; 0 when all is well. */
  storeFailingMs(): number;
  close(): Promise<void>;
}

export interface AssemblyOptions {
  readonly config: Config;
  readonly parts: NodeParts;
  readonly store: NodeStore;
  readonly metrics: Metrics;
  readonly memory: MemoryFolder;
  readonly identity: Identity;
  readonly address: string;
}

/** The store as the node uses it: every attempt is metered, what may be repeated is. */
export async function openNodeStore(
  config: Config,
  metrics: Metrics,
  { clock, random, log }: NodeParts,
): Promise<NodeStore> {
  const { primary_backend, simulate_latency_ms } = config.storage;
  const plain = await openStore(primary_backend, { clock, random, log });
  const slow = simulate_latency_ms > 0 ? delayed(plain, simulate_latency_ms, clock) : plain;
  const meter = metered(slow, metrics, clock);
  return { store: retrying(meter, { clock, random, log }), meter };
}

export function assembleParts(options: AssemblyOptions): Assembly {
  const { config, metrics, memory, identity, address } = options;
  const { clock, random, log, childCommand, environment } = options.parts;
  const { store, meter } = options.store;
  const { limits } = config;
  const children = createChildren({
    ...{ command: childCommand, clock, log },
    directory: memory.temporary("children"),
  });
  const readers = createReaders({
    children,
    clock,
    log,
    directory: memory.temporary("readers"),
    readersMax: limits.readers_max,
    readsWaitingMax: limits.reads_waiting_max,
    childBytesMax: limits.child_bytes_max,
    childIdleMs: limits.child_idle_ms,
  });
  const clockOffsetMs = () => store.clockOffsetMs();
  const workspaceParts = { children, clock, clockOffsetMs, log };
  const workspaces = new PreparedWorkspaces(clock, log, (name, image, pageSize) => {
    const directory = memory.temporary(`workspace-${name}`);
    return openWorkspace({ ...workspaceParts, directory, image, pageSize, name });
  });
  const imageParts = { clock, log, conflictMs: limits.replication_conflict_ms };
  const parts: Parts = {
    store,
    layout: config.storage.primary_backend.type,
    clock,
    random,
    log,
    metrics,
    node: { id: identity.id, address },
    createImage: (name, pageSize) =>
      createImage({ path: memory.temporary(`image-${name}`), pageSize, ...imageParts }),
    createFile: (path, pageSize) => createImage({ path, pageSize, ...imageParts }),
    openWorkspace: (name, image, pageSize) => workspaces.open(name, image, pageSize),
    encodeSnapshot: (source, header) =>
      encodeFile(children, { source, target: memory.temporary("snapshot-object"), header }),
    forgetImage: (image) => readers.forget(image),
    temporaryPath: (purpose) => memory.temporary(purpose),
    removeFile: (path) => rm(path, { force: true }),
    readFile: (path) => Bun.file(path).stream(),
    crashPoint: crashPoints(environment),
    options: {
      commitIntervalMs: config.commit_interval_ms,
      epochBytesMax: limits.epoch_bytes_max,
      snapshotChainBytesMin: limits.snapshot_chain_bytes_min,
      snapshotAgeMsMax: SNAPSHOT_AGE_MS_MAX,
    },
  };
  return {
    parts,
    store,
    readers,
    children,
    warmWriters: (count) => children.warm("writer", count),
    prepareWorkspace: ({ name, image, pageSize }) => workspaces.prepare(name, image, pageSize),
    priceMonthUsd: () => meter.price().perMonthUsd,
    storeFailingMs: () => meter.failingMs(),
    close: async () => {
      // Before the processes are ended: one that is being opened would take its end for a death.
      await workspaces.close();
      await readers.close();
      await children.close();
      await store.close();
    },
  };
}
