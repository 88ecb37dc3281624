/**
 * Chains as they lie in a store of any kind, whatever a node says about them. A header is read once:
 * an object of a chain never changes (I1).
 */
import { systemClock } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import { systemRandom } from "../../src/base/random.ts";
import { decodeHeader, HEADER_BYTES } from "../../src/epoch/decode.ts";
import type { EpochHeader } from "../../src/epoch/epoch.ts";
import type { Layout } from "../../src/epoch/key.ts";
import { type Chain, epochKey, listLevel, SNAPSHOT_LEVEL } from "../../src/replica/chain.ts";
import { openStore } from "../../src/store/open.ts";
import { retrying } from "../../src/store/retry.ts";
import type { Store } from "../../src/store/store.ts";
import type { S3Settings } from "../../src/store/url.ts";

const READS_MAX = 16;

export class StoredChains {
  readonly #store: Store;
  readonly #layout: Layout;
  readonly #headers = new Map<string, EpochHeader>();

  private constructor(store: Store, layout: Layout) {
    this.#store = store;
    this.#layout = layout;
  }

  static async open(where: string | S3Settings): Promise<StoredChains> {
    const parts = { clock: systemClock, random: systemRandom, log: silentLog };
    const store = retrying(await openStore(where, parts), parts);
    return new StoredChains(store, typeof where === "string" ? "filesystem" : "s3");
  }

  chain(database: string): Chain {
    return { store: this.#store, layout: this.#layout, name: database };
  }

  /** Numbers of the epochs that level 0 holds, in order; pruned ones are not there. */
  async epochs(database: string): Promise<number[]> {
    return (await listLevel(this.chain(database), 0)).map(({ max }) => max);
  }

  /** Last epochs of the snapshots, in order. */
  async snapshots(database: string): Promise<number[]> {
    return (await listLevel(this.chain(database), SNAPSHOT_LEVEL)).map(({ max }) => max);
  }

  /** What the headers of these epochs say; those that were pruned meanwhile are left out. */
  async headers(database: string, epochs: readonly number[]): Promise<EpochHeader[]> {
    const found: EpochHeader[] = [];
    for (let at = 0; at < epochs.length; at += READS_MAX) {
      const some = epochs.slice(at, at + READS_MAX).map((epoch) => this.#header(database, epoch));
      for (const header of await Promise.all(some)) if (header) found.push(header);
    }
    return found;
  }

  /** The epochs of level 0 that are claims, in order. */
  async claims(database: string): Promise<number[]> {
    const headers = await this.headers(database, await this.epochs(database));
    return headers.filter(({ kind }) => kind === "claim").map(({ maxEpoch }) => maxEpoch);
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  async #header(database: string, epoch: number): Promise<EpochHeader | null> {
    const key = epochKey(this.chain(database), epoch);
    const known = this.#headers.get(key);
    if (known) return known;
    const start = await this.#store.getRange(key, { offset: 0, length: HEADER_BYTES });
    if (start === null) return null;
    const header = decodeHeader(start, key);
    this.#headers.set(key, header);
    return header;
  }
}
