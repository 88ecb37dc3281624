/** A chain of epochs made from an ordinary SQLite file by comparing its pages, for tests. */
import { Database } from "bun:sqlite";
import { closeSync, openSync, readSync } from "node:fs";
import type { ImageHead } from "../../../src/database/image.ts";
import { PageHashes } from "../../../src/epoch/checksum.ts";
import type { DecodedEpoch, Page } from "../../../src/epoch/epoch.ts";

export class ChainOfPages {
  readonly database: Database;
  readonly #path: string;
  readonly pageSize: number;
  readonly #hashes: PageHashes;
  readonly #pages = new Map<number, Uint8Array>();
  #last: DecodedEpoch | null = null;

  constructor(path: string, pageSize: number) {
    this.#path = path;
    this.pageSize = pageSize;
    this.#hashes = new PageHashes(pageSize);
    this.database = new Database(path, { create: true });
    this.database.run(`PRAGMA page_size = ${pageSize}`);
  }

  get last(): DecodedEpoch {
    if (!this.#last) throw new Error("no epoch yet");
    return this.#last;
  }

  get head(): ImageHead {
    const { header, fileChecksum } = this.last;
    return {
      epoch: header.maxEpoch,
      commit: header.commit,
      databaseChecksum: header.databaseChecksum,
      fileChecksum,
      timestampMs: header.timestampMs,
    };
  }

  /** The next epoch: every page that differs from the last one's, page 1 stamped. */
  next(): DecodedEpoch {
    const number = (this.#last?.header.maxEpoch ?? 0) + 1;
    const bytes = this.#read();
    const commit = bytes.length / this.pageSize;
    const view = new DataView(bytes.buffer);
    view.setUint32(24, number);
    view.setUint32(28, commit);
    view.setUint32(92, number);
    const pages: Page[] = [];
    for (const page of this.#pages.keys()) if (page > commit) this.#pages.delete(page);
    this.#hashes.truncate(commit);
    for (let page = 1; page <= commit; page++) {
      const content = bytes.slice((page - 1) * this.pageSize, page * this.pageSize);
      const before = this.#hashes.get(page);
      this.#hashes.setPage(page, content);
      if (before === this.#hashes.get(page)) continue;
      pages.push({ number: page, bytes: content });
      this.#pages.set(page, content);
    }
    this.#last = {
      header: {
        pageSize: this.pageSize,
        commit,
        minEpoch: number,
        maxEpoch: number,
        timestampMs: 1_700_000_000_000 + number,
        nodeId: 1n,
        databaseChecksum: this.#hashes.sum,
        link: this.#last?.fileChecksum ?? 0n,
        kind: number === 1 ? "claim" : "data",
      },
      pages,
      fileChecksum: BigInt(number) * 1_000n,
    };
    return this.#last;
  }

  /** Every page as of the last epoch. */
  pages(): Page[] {
    return [...this.#pages].sort(([a], [b]) => a - b).map(([number, bytes]) => ({ number, bytes }));
  }

  close(): void {
    this.database.close();
  }

  #read(): Uint8Array {
    // A descriptor of its own is fine here: no connection to the file is in a transaction.
    const descriptor = openSync(this.#path, "r");
    const chunks: Uint8Array[] = [];
    for (let at = 0;;) {
      const chunk = new Uint8Array(1 << 20);
      const length = readSync(descriptor, chunk, 0, chunk.length, at);
      if (length === 0) break;
      chunks.push(chunk.subarray(0, length));
      at += length;
    }
    closeSync(descriptor);
    return Buffer.concat(chunks).slice();
  }
}
