/** What a replica is given from outside, so that a node and the simulation can each bring their own. */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Metrics } from "../base/metrics.ts";
import type { Random } from "../base/random.ts";
import type { Image, ImageBuilder } from "../database/image.ts";
import type { Workspace } from "../database/workspace.ts";
import type { EncodedFile, SnapshotHeader } from "../database/snapshot-file.ts";
import type { Store } from "../store/store.ts";
import type { Layout } from "../epoch/key.ts";

export interface Parts {
  readonly store: Store;
  readonly layout: Layout;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Who claims: written into the row of each claim. */
  readonly node: { readonly id: string; readonly address: string };
  /** A new image file of the named database, empty until its builder is finished. */
  createImage(name: string, pageSize: number): Promise<ImageBuilder>;
  /** A new SQLite file, for exports and rollbacks; whoever asked for it removes it. */
  createFile(path: string, pageSize: number): Promise<ImageBuilder>;
  /** A workspace over the image, or over a new empty database when there is none. */
  openWorkspace(name: string, image: Image | null, pageSize: number): Promise<Workspace>;
  /** Encodes a SQLite file as a snapshot object, off the event loop. */
  encodeSnapshot(source: string, header: SnapshotHeader): Promise<EncodedFile>;
  /** Calls that must stop before the image is closed. */
  forgetImage(image: Image): Promise<void>;
  /** A path in the node's memory folder that nobody else uses. */
  temporaryPath(purpose: string): string;
  removeFile(path: string): Promise<void>;
  /** Bytes of a local file in pieces, for objects that were encoded into one. */
  readFile(path: string): AsyncIterable<Uint8Array>;
  /** A named place where a test may crash the process; absent from the released binary. */
  crashPoint(name: string): void;
  readonly options: ReplicaOptions;
}

export interface ReplicaOptions {
  /** Trades latency for PUTs: a batch waits this long for company. */
  readonly commitIntervalMs: number;
  readonly epochBytesMax: number;
  /** Bytes of a chain above which it is snapshotted, when larger than the database. */
  readonly snapshotChainBytesMin: number;
  readonly snapshotAgeMsMax: number;
}
