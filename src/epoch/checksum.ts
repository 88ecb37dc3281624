/**
 * The database checksum: the sum, mod 2^64, of one hash a page, so that an epoch changes it by the
 * difference of the pages that it replaces. A XOR of CRCs would not do: CRC is affine, and equal
 * changes in two pages would cancel.
 */
import { assert } from "../base/assert.ts";
import { lockPage } from "./epoch.ts";

/** XXH64 of a page's bytes, seeded with its number, so that two pages cannot change places. */
export function pageHash(bytes: Uint8Array, pageNumber: number): bigint {
  return Bun.hash.xxHash64(bytes, BigInt(pageNumber));
}

/** The hashes of all pages of one database, 8 bytes each, and their sum. */
export class PageHashes {
  readonly pageSize: number;
  readonly #lockPage: number;
  /** Hash of page n at n − 1; 0 where there is none. */
  #hashes: BigUint64Array;
  /** The same memory in halves (low, high), since adding bigints makes garbage. */
  #halves: Uint32Array;
  #commit = 0;
  #sumLow = 0;
  #sumHigh = 0;

  constructor(pageSize: number, pagesExpected = 0) {
    this.pageSize = pageSize;
    this.#lockPage = lockPage(pageSize);
    this.#hashes = new BigUint64Array(Math.max(16, pagesExpected));
    this.#halves = new Uint32Array(this.#hashes.buffer);
  }

  /** The highest page that was set and not truncated: the pages in the database. */
  get commit(): number {
    return this.#commit;
  }

  /** The database checksum over the pages set so far. */
  get sum(): bigint {
    return (BigInt(this.#sumHigh) << 32n) | BigInt(this.#sumLow);
  }

  get(pageNumber: number): bigint {
    return pageNumber <= this.#commit ? this.#hashes[pageNumber - 1] ?? 0n : 0n;
  }

  set(pageNumber: number, hash: bigint): void {
    assert(pageNumber >= 1, `page number ${pageNumber}`);
    assert(pageNumber !== this.#lockPage, `the lock page ${pageNumber} has no hash`);
    if (pageNumber > this.#hashes.length) this.#grow(pageNumber);
    this.#add(pageNumber, -1);
    this.#hashes[pageNumber - 1] = hash;
    this.#add(pageNumber, 1);
    if (pageNumber > this.#commit) this.#commit = pageNumber;
  }

  setPage(pageNumber: number, bytes: Uint8Array): void {
    assert(bytes.length === this.pageSize, `page ${pageNumber} of ${bytes.length} bytes`);
    this.set(pageNumber, pageHash(bytes, pageNumber));
  }

  /** Takes out every page above `commit`. */
  truncate(commit: number): void {
    if (commit >= this.#commit) return;
    for (let page = commit + 1; page <= this.#commit; page++) this.#add(page, -1);
    this.#hashes.fill(0n, commit, this.#commit);
    this.#commit = commit;
  }

  clone(): PageHashes {
    const copy = new PageHashes(this.pageSize, this.#commit);
    copy.#hashes.set(this.#hashes.subarray(0, this.#commit));
    copy.#commit = this.#commit;
    copy.#sumLow = this.#sumLow;
    copy.#sumHigh = this.#sumHigh;
    return copy;
  }

  equals(other: PageHashes): boolean {
    return this.firstDifference(other) === null;
  }

  /** The lowest page whose hashes differ, or null when both have the same pages. */
  firstDifference(other: PageHashes): number | null {
    const end = Math.max(this.#commit, other.#commit);
    for (let page = 1; page <= end; page++) {
      if (this.get(page) !== other.get(page)) return page;
    }
    return null;
  }

  /** Adds a page's hash to the sum, or with −1 takes it out. */
  #add(pageNumber: number, sign: 1 | -1): void {
    const at = 2 * (pageNumber - 1);
    const low = this.#sumLow + sign * (this.#halves[at] ?? 0);
    const carry = low > 0xffff_ffff ? 1 : low < 0 ? -1 : 0;
    this.#sumLow = low >>> 0;
    this.#sumHigh = (this.#sumHigh + sign * (this.#halves[at + 1] ?? 0) + carry) >>> 0;
  }

  #grow(pageNumber: number): void {
    const grown = new BigUint64Array(Math.max(pageNumber, 2 * this.#hashes.length));
    grown.set(this.#hashes);
    this.#hashes = grown;
    this.#halves = new Uint32Array(grown.buffer);
  }
}
