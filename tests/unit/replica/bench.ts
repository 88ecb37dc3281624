/**
 * What a replica needs, on one timeline that moves only while a test waits: the real image, the real
 * workspace in this process, and a store that a test tells what to do.
 */
import { drainMicrotasks } from "bun:jsc";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLog } from "../../../src/base/log.ts";
import { Metrics } from "../../../src/base/metrics.ts";
import { seededRandom } from "../../../src/base/random.ts";
import { encodeFile } from "../../../src/database/encode-file.ts";
import type { Image } from "../../../src/database/image.ts";
import { createImage } from "../../../src/database/image-builder.ts";
import type { JsonValue, WriteRequest } from "../../../src/database/statement.ts";
import { openWorkspace } from "../../../src/database/writer.ts";
import type { ReplicaHooks } from "../../../src/replica/hooks.ts";
import type { Parts } from "../../../src/replica/parts.ts";
import { Replica } from "../../../src/replica/replica.ts";
import { LocalChildren } from "../../support/local-children.ts";
import { SimulatedClock, Timeline } from "../../support/simulated-clock.ts";
import { ScriptedStore } from "./scripted-store.ts";

export interface Node {
  readonly parts: Parts;
  readonly hooks: { -readonly [K in keyof ReplicaHooks]: ReplicaHooks[K] };
  /** Epoch of its claim in `system`: may be set by the test. */
  systemClaim: number | null;
  readonly fenced: string[];
  readonly snapshots: number[];
}

export class Bench {
  readonly timeline = new Timeline();
  readonly clock = new SimulatedClock(this.timeline);
  readonly store = new ScriptedStore(this.clock);
  readonly directory = mkdtempSync(join(tmpdir(), "headgate-replica-"));
  readonly #random = seededRandom(11);
  readonly #children: LocalChildren;
  readonly images: Image[] = [];
  #files = 0;

  constructor() {
    const { clock, directory } = this;
    const random = this.#random;
    this.#children = new LocalChildren({ clock, random, directory, messageMsMax: 0.1 });
  }

  /** Another process on the same store. `override` replaces some of its parts. */
  node(id = "n1", override: Partial<Parts> = {}): Node {
    const node: Node = {
      parts: { ...this.#parts(id), ...override },
      systemClaim: 1,
      fenced: [],
      snapshots: [],
      hooks: {
        systemClaim: () => node.systemClaim,
        onFenced: (replica) => void node.fenced.push(replica.name),
        onSnapshot: (_, epoch) => void node.snapshots.push(epoch),
      },
    };
    return node;
  }

  /** A chain `name` with its first claim, owned by `node`. */
  async create(node: Node, name = "orders"): Promise<Replica> {
    const replica = await this.settle(Replica.create(node.parts, name, 4096, node.hooks));
    if (!replica) throw new Error(`${name} was not created`);
    return replica;
  }

  async open(node: Node, name = "orders"): Promise<Replica> {
    const replica = await this.settle(Replica.open(node.parts, name, node.hooks));
    if (!replica) throw new Error(`${name} is not there`);
    return replica;
  }

  /** One transaction; `timeoutMs` from now. */
  write(sql: string, params: readonly JsonValue[] = [], timeoutMs = 60_000): WriteRequest {
    const deadlineMs = this.clock.monotonicMs() + timeoutMs;
    return { statements: [{ sql, params }], subject: "anonymous", deadlineMs };
  }

  execute(replica: Replica, sql: string, params: readonly JsonValue[] = []): Promise<number> {
    return this.settle(replica.execute(this.write(sql, params))).then(({ epoch }) => epoch);
  }

  /** Values of one column as this node's image has them. */
  read(replica: Replica, sql: string): Promise<unknown[]> {
    return this.settle(replica.image.read((database) => database.query(sql).values().flat()));
  }

  /** Lets time pass until the promise is settled. */
  async settle<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false;
    const settled = () => void (isSettled = true);
    promise.then(settled, settled);
    for (let events = 0; !isSettled; events++) {
      drainMicrotasks();
      if (isSettled) break;
      if (events > 100_000 || !this.timeline.step()) {
        // Something real may be under way, such as a file; then nothing else is left to wait for.
        await Bun.sleep(1);
        drainMicrotasks();
        if (!isSettled && !this.timeline.step()) throw new Error("nothing is left to happen");
      }
    }
    return await promise;
  }

  /** The failure of a promise that must reject. */
  async failure(promise: Promise<unknown>): Promise<{ kind: string; message: string }> {
    return await this.settle(promise.then(
      (value) => ({ kind: "none", message: JSON.stringify(value) }),
      (error) => ({ kind: error.kind ?? "bug", message: error.message }),
    ));
  }

  /** Lets everything happen that is due within the next `ms`. */
  pass(ms: number): void {
    let isOver = false;
    this.clock.after(ms, () => isOver = true);
    drainMicrotasks();
    while (!isOver) this.timeline.step();
  }

  close(): void {
    this.clock.stop();
    this.#children.drop();
    for (const image of this.images) void image.close().catch(() => {});
    drainMicrotasks();
    rmSync(this.directory, { recursive: true, force: true });
  }

  #parts(id: string): Parts {
    const { clock, store, directory } = this;
    const random = this.#random;
    const children = this.#children;
    const log = silentLog;
    const imageParts = { clock, log };
    const temporaryPath = (purpose: string) => join(directory, `${purpose}-${this.#files++}`);
    return {
      store,
      layout: "s3",
      clock,
      random,
      log,
      metrics: new Metrics(),
      node: { id, address: `http://${id}` },
      createImage: async (name, pageSize) => {
        const path = temporaryPath(`image-${name}`);
        const builder = await createImage({ path, pageSize, ...imageParts });
        return {
          write: (pages, commit) => builder.write(pages, commit),
          finish: async (head) => {
            const image = await builder.finish(head);
            this.images.push(image);
            return image;
          },
          finishFile: (head) => builder.finishFile(head),
          abandon: () => builder.abandon(),
        };
      },
      createFile: (path, pageSize) => createImage({ path, pageSize, ...imageParts }),
      openWorkspace: (name, image, pageSize) =>
        openWorkspace({
          directory: temporaryPath(`workspace-${name}`),
          image,
          pageSize,
          children,
          clock,
          log,
          name,
        }),
      encodeSnapshot: (source, header) =>
        encodeFile(children, { source, target: temporaryPath("snapshot-object"), header }),
      forgetImage: async () => {},
      temporaryPath,
      removeFile: (path) => Promise.resolve(rmSync(path, { force: true })),
      readFile: async function* (path) {
        yield new Uint8Array(readFileSync(path));
      },
      crashPoint: () => {},
      options: {
        commitIntervalMs: 0,
        epochBytesMax: 1024 * 1024,
        snapshotChainBytesMin: Number.MAX_SAFE_INTEGER,
        snapshotAgeMsMax: Number.MAX_SAFE_INTEGER,
      },
    };
  }
}
