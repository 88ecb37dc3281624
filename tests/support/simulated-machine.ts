/**
 * What belongs to the machine of a simulated process, whatever runs in it: its clock, its view of the
 * store, its files in memory, its children. All that is made of these is the code that ships.
 */
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type Log, silentLog } from "../../src/base/log.ts";
import { Metrics } from "../../src/base/metrics.ts";
import type { Random } from "../../src/base/random.ts";
import { encodeFile } from "../../src/database/encode-file.ts";
import type { Image, ImageBuilder } from "../../src/database/image.ts";
import { createImage } from "../../src/database/image-builder.ts";
import { openWorkspace } from "../../src/database/writer.ts";
import type { Parts } from "../../src/replica/parts.ts";
import type { Catalog } from "../../src/server/catalog.ts";
import type { NodeDatabases } from "../../src/server/databases.ts";
import { retrying } from "../../src/store/retry.ts";
import type { Store } from "../../src/store/store.ts";
import { LocalChildren } from "./local-children.ts";
import { LocalReaders } from "./local-readers.ts";
import { SimulatedClock, type Timeline } from "./simulated-clock.ts";
import { SimulatedStore, type SimulatedStoreParts } from "./simulated-store.ts";

/** A process as clients and checks see it. */
export interface RunningProcess {
  readonly node: string;
  /** Tells the processes of one node apart. */
  readonly name: string;
  readonly clock: SimulatedClock;
  readonly parts: Parts;
  readonly catalog: Catalog;
  readonly databases: NodeDatabases;
}

export interface MachineOptions
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
}

export interface MachineEvents {
  /** Before each event of the process. */
  onEvent(): void;
  /** A named step; true ends the process there. */
  crashesAt(step: string): boolean;
  /** What stands between the process and its store, below the retries. */
  through?(store: Store, clock: SimulatedClock): Store;
}

export class SimulatedMachine {
  readonly clock: SimulatedClock;
  readonly children: LocalChildren;
  readonly readers: LocalReaders;
  readonly log: Log;
  readonly parts: Parts;
  readonly #options: MachineOptions;
  readonly #events: MachineEvents;
  /** Images and workspaces, whose files are closed when the process ends. */
  readonly #files = new Set<Pick<Image, "close">>();
  #fileNumber = 0;

  constructor(options: MachineOptions, events: MachineEvents) {
    this.#options = options;
    this.#events = events;
    const { timeline, skewMs, lookMs, random, directory, slowReadsPercent } = options;
    mkdirSync(directory, { recursive: true });
    const onEvent = () => events.onEvent();
    const clock = this.clock = new SimulatedClock(timeline, { skewMs, lookMs, onEvent });
    this.children = new LocalChildren({ clock, random, directory, messageMsMax: 0.5 });
    this.readers = new LocalReaders({ clock, random, slowPercent: slowReadsPercent });
    this.log = options.log ?? silentLog;
    const plain = new SimulatedStore({ ...options, clock, sender: options.name });
    this.parts = this.#assemble(events.through?.(plain, clock) ?? plain);
  }

  /** The process is killed. What it sent is on its way; nothing else of it goes on. */
  crash(): void {
    this.clock.stop();
    this.children.drop();
    for (const open of this.#files) void open.close().catch(() => {});
    this.#files.clear();
  }

  #assemble(store: Store): Parts {
    const { clock, children, readers, log } = this;
    const { node, random, directory, snapshotAgeMsMax } = this.#options;
    const imageParts = { clock, log };
    const temporaryPath = (purpose: string) => join(directory, `${purpose}-${this.#fileNumber++}`);
    return {
      store: retrying(store, { clock, random, log }),
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
        if (!clock.isStopped && this.#events.crashesAt(step)) this.crash();
      },
      options: {
        commitIntervalMs: 0,
        epochBytesMax: 64 * 1024,
        // Sizes of objects must decide nothing, or a run would depend on what SQLite leaves unused.
        snapshotChainBytesMin: Number.MAX_SAFE_INTEGER,
        snapshotAgeMsMax,
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
