/**
 * What a workspace's commits changed, read from its write-ahead log (PROTOCOL section 4), and the
 * database checksum that this gives (section 2). Nothing here asks SQLite.
 *
 * A page of a growing database that no frame holds, because SQLite freed it before it was ever
 * written, has the bytes that SQLite would read: the last older frame, else the file, else zeros.
 */
import { closeSync, openSync, readSync } from "node:fs";
import { assert } from "../base/assert.ts";
import { PageHashes } from "../epoch/checksum.ts";
import { lockPage, type Page } from "../epoch/epoch.ts";
import { stampPage1 } from "../epoch/page1.ts";
import { readCommits, readWalHeader, WAL_HEADER_BYTES, type WalCommits } from "./wal.ts";
import type { WalPosition } from "./wal.ts";

export interface CaptureOptions {
  readonly path: string;
  /**
   * Of the database file, opened before SQLite opened it and closed after: closing any descriptor
   * of a file drops SQLite's locks on it.
   */
  readonly file: number;
  readonly pageSize: number;
  /** Of every page in the file, page 1 in its canonical form; empty for a new database. */
  readonly hashes: PageHashes;
  /** The newest page 1; null for a new database. */
  readonly page1: Uint8Array | null;
}

/** The pages of one epoch, in ascending order, page 1 stamped. */
export interface Captured {
  readonly pages: readonly Page[];
  readonly commit: number;
  readonly databaseChecksum: bigint;
}

const READ_BYTES = 1024 * 1024;

export class Capture {
  readonly #options: CaptureOptions;
  readonly #hashes: PageHashes;
  readonly #lockPage: number;
  readonly #buffer = new Uint8Array(new ArrayBuffer(READ_BYTES + 65_536 + WAL_HEADER_BYTES));
  #log: number | null = null;
  #page1: Uint8Array | null;
  /** Behind the last accepted commit; null where the log is empty. */
  #position: WalPosition | null = null;
  /** Where each page stands last in the log, up to the last accepted commit. */
  readonly #offsets = new Map<number, number>();
  /** Pages of the next epoch. */
  readonly #changed = new Set<number>();
  /** Those of them above the last epoch's commit. */
  #grown = 0;
  #commit: number;

  constructor(options: CaptureOptions) {
    this.#options = options;
    this.#hashes = options.hashes;
    this.#page1 = options.page1;
    this.#commit = options.hashes.commit;
    this.#lockPage = lockPage(options.pageSize);
  }

  /** Where the log ends with the last accepted commit; null where it is empty. */
  get position(): WalPosition | null {
    return this.#position;
  }

  get hasChanges(): boolean {
    return this.#changed.size > 0;
  }

  /** Pages in the database after the last accepted commit. */
  get commit(): number {
    return this.#commit;
  }

  /** Pages of the next epoch as it stands, page 1 aside when it did not change. */
  get pagesAccepted(): number {
    return this.#changed.size + Math.max(0, this.#commit - this.#hashes.commit - this.#grown);
  }

  /** What was committed after the last accepted commit; null when nothing was. */
  scan(): WalCommits | null {
    const from = this.#position ?? this.#readHeader();
    if (from === null) return null;
    return readCommits((offset, length) => this.#readLog(offset, length), from, this.#pageSize);
  }

  /** Pages that the next epoch would hold with these commits too; a few too many at worst. */
  pagesWith(commits: WalCommits): number {
    const added = new Set<number>();
    let grown = this.#grown;
    for (const { page } of commits.frames) {
      if (page > commits.commit || this.#changed.has(page) || added.has(page)) continue;
      added.add(page);
      if (page > this.#hashes.commit) grown++;
    }
    const unwritten = Math.max(0, commits.commit - this.#hashes.commit - grown);
    return this.#changed.size + added.size + unwritten;
  }

  /** These commits belong to the next epoch. */
  accept(commits: WalCommits): void {
    for (const { page, offset } of commits.frames) {
      this.#offsets.set(page, offset);
      if (this.#changed.has(page)) continue;
      this.#changed.add(page);
      if (page > this.#hashes.commit) this.#grown++;
    }
    this.#commit = commits.commit;
    this.#position = commits.position;
  }

  /** The accepted pages as epoch `epoch`; what is accepted afterwards belongs to the next. */
  take(epoch: number): Captured {
    assert(this.hasChanges, `epoch ${epoch} has changes`);
    const commit = this.#commit;
    const numbers = this.#pageNumbers();
    const read = this.#reader(numbers);
    const pages: Page[] = [];
    this.#hashes.truncate(commit);
    for (const number of numbers) {
      let bytes = read(number);
      if (number === 1) {
        this.#page1 = bytes.slice();
        bytes = stampPage1(bytes, { epoch, commit });
      }
      this.#hashes.setPage(number, bytes);
      pages.push({ number, bytes });
    }
    this.#changed.clear();
    this.#grown = 0;
    return { pages, commit, databaseChecksum: this.#hashes.sum };
  }

  /** The schema cookie of the newest page 1 (bytes 40–43). */
  get schemaCookie(): number {
    const page1 = this.#page1;
    assert(page1 !== null, "a workspace that was never taken has no schema cookie");
    return new DataView(page1.buffer, page1.byteOffset, page1.byteLength).getUint32(40);
  }

  /** The log was copied into the file and truncated. */
  forgetLog(): void {
    assert(!this.hasChanges, "the log is emptied only when every commit in it was taken");
    this.#position = null;
    this.#offsets.clear();
  }

  close(): void {
    if (this.#log !== null) closeSync(this.#log);
    this.#log = null;
  }

  get #pageSize(): number {
    return this.#options.pageSize;
  }

  #pageNumbers(): number[] {
    const numbers = [...this.#changed].filter((page) => page <= this.#commit);
    if (!this.#changed.has(1)) numbers.push(1);
    for (let page = this.#hashes.commit + 1; page <= this.#commit; page++) {
      if (page !== this.#lockPage && !this.#changed.has(page)) numbers.push(page);
    }
    return numbers.sort((a, b) => a - b);
  }

  /** Reads pages; where the log is dense, all of its part at once. */
  #reader(numbers: readonly number[]): (page: number) => Uint8Array {
    let first = Infinity;
    let last = 0;
    for (const number of numbers) {
      if (!this.#changed.has(number)) continue;
      const offset = this.#offsets.get(number) ?? 0;
      first = Math.min(first, offset);
      last = Math.max(last, offset);
    }
    const length = last - first + this.#pageSize;
    const dense = last > 0 && length <= 2 * numbers.length * this.#pageSize + READ_BYTES;
    const part = dense ? this.#read(this.#openLog(), first, new Uint8Array(length)) : null;
    return (page) => {
      if (page === 1 && !this.#changed.has(1) && this.#page1 !== null) return this.#page1;
      const offset = this.#offsets.get(page);
      if (offset === undefined) {
        const bytes = new Uint8Array(this.#pageSize);
        this.#read(this.#options.file, (page - 1) * this.#pageSize, bytes);
        return bytes;
      }
      if (part !== null && offset >= first && offset <= last) {
        return part.subarray(offset - first, offset - first + this.#pageSize);
      }
      return this.#read(this.#openLog(), offset, new Uint8Array(this.#pageSize));
    };
  }

  #readHeader(): WalPosition | null {
    return readWalHeader(this.#readLog(0, WAL_HEADER_BYTES), this.#pageSize);
  }

  #readLog(offset: number, length: number): Uint8Array {
    const log = this.#openLog();
    if (log === null) return new Uint8Array(0);
    assert(length <= this.#buffer.length, `reads of at most ${this.#buffer.length} bytes`);
    return this.#read(log, offset, this.#buffer.subarray(0, length));
  }

  #openLog(): number | null {
    try {
      this.#log ??= openSync(`${this.#options.path}-wal`, "r");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
    return this.#log;
  }

  #read(file: number | null, offset: number, bytes: Uint8Array): Uint8Array {
    let length = 0;
    while (file !== null && length < bytes.length) {
      const read = readSync(file, bytes, length, bytes.length - length, offset + length);
      if (read === 0) break;
      length += read;
    }
    return bytes.subarray(0, length);
  }
}
