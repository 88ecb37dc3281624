/**
 * One of many nodes that want the same chain: it claims it when it sees that another has it, appends
 * a few epochs once it owns it, and writes down what it was told and what it sent.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../../src/base/clock.ts";
import { Failure, isFailure } from "../../src/base/failure.ts";
import { silentLog } from "../../src/base/log.ts";
import { Metrics } from "../../src/base/metrics.ts";
import { type Random, systemRandom } from "../../src/base/random.ts";
import { createImage } from "../../src/database/image-builder.ts";
import { openWorkspace } from "../../src/database/writer.ts";
import { parseObjectKey } from "../../src/epoch/key.ts";
import type { ReplicaHooks } from "../../src/replica/hooks.ts";
import type { Parts } from "../../src/replica/parts.ts";
import { Replica } from "../../src/replica/replica.ts";
import { retrying } from "../../src/store/retry.ts";
import type { Store } from "../../src/store/store.ts";
import { LocalChildren } from "./local-children.ts";

/** The chain that nodes race for: its claims need no other chain's. */
export const RACED = "system";
const PAGE_BYTES = 4096;
const LEDGER_SQL = "CREATE TABLE IF NOT EXISTS ledger (id TEXT, payload TEXT)";
const INSERT_SQL = "INSERT INTO ledger VALUES (?, ?)";
const WRITE_TIMEOUT_MS = 20_000;
const APPENDS_MAX = 4;
const WRITES_MAX = 3;

export interface RacedWrite {
  readonly id: string;
  readonly payload: string;
  /** As a client would have heard it. */
  readonly outcome: "acknowledged" | "refused" | "unknown";
  /** Where it was acknowledged; 0 otherwise. */
  readonly epoch: number;
}

export interface ClaimantReport {
  readonly node: string;
  /** Attempts at the chain, and epochs of those claims after which this node owned it. */
  attempts: number;
  /** Attempts that ended because the store did not answer. */
  failed: number;
  readonly won: number[];
  readonly writes: RacedWrite[];
  /** Every object that it tried to create, by a hash of its bytes. */
  readonly sent: { readonly epoch: number; readonly hash: string }[];
}

export interface ClaimantOptions {
  readonly node: string;
  /** One for all claimants of a process; retries are each one's own. */
  readonly store: Store;
  readonly directory: string;
  readonly random: Random;
  /** A claimant that was fenced waits up to so long before it claims again. */
  readonly calmMs: number;
  /** Told the newest epoch; true when the race is over. */
  isOver(epoch: number): boolean;
}

export class Claimant {
  readonly report: ClaimantReport;
  readonly #options: ClaimantOptions;
  readonly #parts: Parts;
  readonly #hooks: ReplicaHooks = {
    systemClaim: () => null,
    onFenced: () => {},
    onSnapshot: () => {},
  };

  constructor(options: ClaimantOptions) {
    this.#options = options;
    this.report = { node: options.node, attempts: 0, failed: 0, won: [], writes: [], sent: [] };
    this.#parts = this.#assemble();
  }

  async run(): Promise<ClaimantReport> {
    const { isOver, random, calmMs } = this.#options;
    const replica = await this.#enter();
    while (!isOver(replica.tip)) {
      if (replica.state === "owning") await this.#own(replica);
      await systemClock.sleep(random.below(calmMs));
      if (isOver(replica.tip)) break;
      await this.#claim(replica);
    }
    await replica.close(new Failure("unavailable", "the race is over"));
    return this.report;
  }

  /** All begin with creating the chain, which one of them does. */
  async #enter(): Promise<Replica> {
    this.report.attempts++;
    const created = await Replica.create(this.#parts, RACED, PAGE_BYTES, this.#hooks);
    if (created) {
      this.#note(created);
      return created;
    }
    const opened = await Replica.open(this.#parts, RACED, this.#hooks);
    if (!opened) throw new Error(`${this.report.node} neither made nor found the chain`);
    return opened;
  }

  async #claim(replica: Replica): Promise<void> {
    this.report.attempts++;
    try {
      if (await replica.claim(null)) this.#note(replica);
    } catch (error) {
      // The store did not answer; whatever became of the claim, this node does not own the chain.
      if (!isFailure(error, "unavailable", "uncertain")) throw error;
      this.report.failed++;
    }
  }

  #note(replica: Replica): void {
    this.report.won.push(replica.ownership?.claim.epoch ?? 0);
  }

  /** Appends some epochs, then looks until another has the chain. */
  async #own(replica: Replica): Promise<void> {
    const { random, isOver } = this.#options;
    for (let left = 1 + random.below(APPENDS_MAX); left > 0 && !isOver(replica.tip); left--) {
      const writes = Array.from(
        { length: 1 + random.below(WRITES_MAX) },
        () => this.#write(replica),
      );
      await Promise.all(writes);
      if (replica.state !== "owning") return;
    }
    while (replica.state === "owning" && !isOver(replica.tip)) {
      await systemClock.sleep(random.below(100));
      // A refusal shows in the state; a store that does not answer is asked again.
      await replica.prove().catch(() => {});
    }
  }

  async #write(replica: Replica): Promise<void> {
    const id = `${this.report.node}/${this.report.writes.length}/${systemRandom.u64()}`;
    const payload = Buffer.from(systemRandom.bytes(48)).toString("base64");
    const told = (outcome: RacedWrite["outcome"], epoch = 0) =>
      this.report.writes.push({ id, payload, outcome, epoch });
    try {
      const { epoch } = await replica.execute({
        statements: [{ sql: LEDGER_SQL }, { sql: INSERT_SQL, params: [id, payload] }],
        subject: this.report.node,
        deadlineMs: systemClock.monotonicMs() + WRITE_TIMEOUT_MS,
      });
      told("acknowledged", epoch);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      told(isFailure(error, "uncertain") ? "unknown" : "refused");
    }
  }

  /** What a node's replicas work with, but SQLite runs in this process: hundreds fit into one. */
  #assemble(): Parts {
    const { node, store, random } = this.#options;
    const directory = mkdtempSync(join(this.#options.directory, `${node}-`));
    const [clock, log] = [systemClock, silentLog];
    const children = new LocalChildren({
      clock: {
        get worldMs() {
          return clock.monotonicMs();
        },
        after: (ms, callback) => clock.after(Math.max(0, ms), callback),
      },
      random,
      directory,
      messageMsMax: 0,
    });
    let files = 0;
    const temporaryPath = (purpose: string) => join(directory, `${purpose}-${++files}`);
    const imageParts = { clock, log };
    return {
      store: retrying(this.#recording(store), { clock, random, log }),
      layout: "s3",
      clock,
      // Not from the seed: numbers of claims must never repeat.
      random: systemRandom,
      log,
      metrics: new Metrics(),
      node: { id: node, address: `http://${node}` },
      createImage: (name, pageSize) =>
        createImage({ path: temporaryPath(`image-${name}`), pageSize, ...imageParts }),
      createFile: (path, pageSize) => createImage({ path, pageSize, ...imageParts }),
      openWorkspace: (name, image, pageSize) => {
        const workspace = temporaryPath(`workspace-${name}`);
        return openWorkspace({ directory: workspace, image, pageSize, children, clock, log, name });
      },
      encodeSnapshot: () => Promise.reject(new Error("nothing here is large enough")),
      forgetImage: () => Promise.resolve(),
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

  #recording(store: Store): Store {
    return {
      name: store.name,
      get: (key, options) => store.get(key, options),
      getRange: (key, range, options) => store.getRange(key, range, options),
      head: (key, options) => store.head(key, options),
      create: (key, body, options) => {
        const name = parseObjectKey("s3", key);
        if (!name || !(body instanceof Uint8Array)) throw new Error(`an object at ${key}`);
        this.report.sent.push({ epoch: name.max, hash: hashOf(body) });
        return store.create(key, body, options);
      },
      replace: (key, bytes, etag, options) => store.replace(key, bytes, etag, options),
      list: (prefix, options) => store.list(prefix, options),
      remove: (keys, options) => store.remove(keys, options),
      clockOffsetMs: () => store.clockOffsetMs(),
      close: () => store.close(),
    };
  }
}

export function hashOf(bytes: Uint8Array): string {
  return new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
}
