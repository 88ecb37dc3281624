/** A chain of real objects in a store, made page by page: but for page 1, SQLite knows none of them. */
import { Database } from "bun:sqlite";
import { PageHashes } from "../../../src/epoch/checksum.ts";
import { encodeEpoch } from "../../../src/epoch/encode.ts";
import type { EpochHeader, EpochKind, Page } from "../../../src/epoch/epoch.ts";
import { objectKey, SNAPSHOT_LEVEL } from "../../../src/epoch/key.ts";
import { stampPage1 } from "../../../src/epoch/page1.ts";
import type { Store } from "../../../src/store/store.ts";

interface State {
  readonly pages: readonly Uint8Array[];
  readonly header: EpochHeader;
  readonly fileChecksum: bigint;
}

export interface Change {
  /** Page number to what fills it. */
  readonly pages?: Readonly<Record<number, number | Uint8Array>>;
  readonly commit?: number;
  readonly kind?: EpochKind;
  readonly timestampMs?: number;
  /** Instead of the right ones. */
  readonly link?: bigint;
  readonly databaseChecksum?: bigint;
}

export class EncodedChain {
  readonly name: string;
  readonly store: Store;
  readonly pageSize: number;
  readonly #states: State[] = [];
  readonly #page1: Uint8Array;

  constructor(store: Store, name = "orders", pageSize = 512) {
    this.store = store;
    this.name = name;
    this.pageSize = pageSize;
    this.#page1 = page1(pageSize);
  }

  get tip(): number {
    return this.#states.length;
  }

  key(level: number, min: number, max = min): string {
    return objectKey("s3", this.name, level, min, max);
  }

  snapshotKey(max: number): string {
    return this.key(SNAPSHOT_LEVEL, 1, max);
  }

  state(epoch: number): State {
    const state = this.#states[epoch - 1];
    if (!state) throw new Error(`there is no epoch ${epoch}`);
    return state;
  }

  /** The database as of an epoch. */
  bytes(epoch: number): Uint8Array {
    return Buffer.concat(this.state(epoch).pages);
  }

  /** The next epoch, in the store. */
  async append(change: Change = {}): Promise<number> {
    const before = this.#states.at(-1);
    const epoch = this.tip + 1;
    const changed = new Map<number, Uint8Array>();
    for (const [number, fill] of Object.entries(change.pages ?? {})) {
      const bytes = typeof fill === "number" ? new Uint8Array(this.pageSize).fill(fill) : fill;
      changed.set(Number(number), bytes);
    }
    const commit = change.commit ?? Math.max(before?.pages.length ?? 1, ...changed.keys());
    changed.set(1, stampPage1(this.#page1, { epoch, commit }));
    const pages = Array.from({ length: commit }, (_, at) => {
      const page = changed.get(at + 1) ?? before?.pages[at] ?? new Uint8Array(this.pageSize);
      // A growing database holds every new page.
      if (!before?.pages[at]) changed.set(at + 1, page);
      return page;
    });
    const header: EpochHeader = {
      pageSize: this.pageSize,
      commit,
      minEpoch: epoch,
      maxEpoch: epoch,
      timestampMs: change.timestampMs ?? 1_000 * epoch,
      nodeId: 1n,
      databaseChecksum: change.databaseChecksum ?? this.#sum(pages),
      link: change.link ?? before?.fileChecksum ?? 0n,
      kind: change.kind ?? (epoch === 1 ? "claim" : "data"),
    };
    const encoded = encodeEpoch(header, inOrder(changed, commit));
    this.#states.push({ pages, header, fileChecksum: encoded.fileChecksum });
    await this.store.create(this.key(0, epoch), encoded.bytes);
    return epoch;
  }

  async appendMany(count: number): Promise<void> {
    for (let at = 0; at < count; at++) await this.append({ pages: { [2 + at % 5]: this.tip } });
  }

  /** One object that holds epochs `min` to `max`. */
  async compact(level: number, min: number, max: number, change: Change = {}): Promise<string> {
    const { pages, header, fileChecksum } = this.state(max);
    const before = min === 1 ? [] : this.state(min - 1).pages;
    const changed = new Map(
      pages.flatMap((page, at) => page === before[at] ? [] : [[at + 1, page] as const]),
    );
    const kind = change.kind ?? "data";
    const databaseChecksum = change.databaseChecksum ?? header.databaseChecksum;
    const whole = { ...header, minEpoch: min, link: fileChecksum, kind, databaseChecksum };
    const { bytes } = encodeEpoch(whole, inOrder(changed, header.commit));
    const key = this.key(level, min, max);
    await this.store.create(key, bytes);
    return key;
  }

  async snapshot(max: number): Promise<string> {
    return await this.compact(SNAPSHOT_LEVEL, 1, max, { kind: "claim" });
  }

  #sum(pages: readonly Uint8Array[]): bigint {
    const hashes = new PageHashes(this.pageSize);
    for (const [at, page] of pages.entries()) hashes.setPage(at + 1, page);
    return hashes.sum;
  }
}

function inOrder(pages: ReadonlyMap<number, Uint8Array>, commit: number): Page[] {
  return [...pages].filter(([number]) => number <= commit).sort(([a], [b]) => a - b)
    .map(([number, bytes]) => ({ number, bytes }));
}

/** Page 1 of an empty database. */
function page1(pageSize: number): Uint8Array {
  const database = new Database(":memory:");
  database.run(`PRAGMA page_size = ${pageSize}`);
  database.run("PRAGMA user_version = 1");
  const bytes = new Uint8Array(database.serialize());
  database.close();
  return bytes.slice(0, pageSize);
}
