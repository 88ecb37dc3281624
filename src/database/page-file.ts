/**
 * A database file written and read by page, with the hash of each page in memory. It never closes
 * its descriptor while SQLite has the file open in this process.
 */
import { closeSync, ftruncateSync, openSync, readSync, writeSync } from "node:fs";
import { assert } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import { Failure } from "../base/failure.ts";
import { SLICE_MS_MAX } from "../base/limits.ts";
import { pageHash, PageHashes } from "../epoch/checksum.ts";
import { lockPage, type Page } from "../epoch/epoch.ts";

/** Bytes that one call reads or writes. */
const RUN_BYTES_MAX = 1024 * 1024;

export class PageFile {
  readonly path: string;
  readonly pageSize: number;
  readonly hashes: PageHashes;
  readonly lockPage: number;
  /** Pages that one call reads or writes. */
  readonly runPagesMax: number;
  readonly #descriptor: number;
  readonly #run: Uint8Array;
  #pages = 0;
  #isOpen = true;

  /** Makes the file; there must be none. */
  constructor(path: string, pageSize: number) {
    assert(
      pageSize >= 512 && pageSize <= 65536 && (pageSize & (pageSize - 1)) === 0,
      `a page has ${pageSize} bytes`,
    );
    this.path = path;
    this.pageSize = pageSize;
    this.hashes = new PageHashes(pageSize);
    this.lockPage = lockPage(pageSize);
    this.runPagesMax = Math.max(1, RUN_BYTES_MAX / pageSize);
    this.#run = new Uint8Array(this.runPagesMax * pageSize);
    this.#descriptor = openSync(path, "wx+", 0o600);
  }

  /** Pages in the file. */
  get pages(): number {
    return this.#pages;
  }

  /** How many of `pages[from…]` follow each other, as far as one call writes. */
  runLength(pages: readonly Page[], from: number): number {
    const first = pages[from]?.number ?? 0;
    let count = 1;
    while (count < this.runPagesMax && pages[from + count]?.number === first + count) count++;
    return count;
  }

  /** Writes `pages[from…]` as far as they follow each other; returns how many. Hashes are not set. */
  writeRun(pages: readonly Page[], from: number): number {
    const count = this.runLength(pages, from);
    const run = pages.slice(from, from + count);
    for (const [at, page] of run.entries()) {
      assert(page.bytes.length === this.pageSize, `page ${page.number} has a page's length`);
      this.#run.set(page.bytes, at * this.pageSize);
    }
    this.writeBytes(run[0]?.number ?? 0, this.#run.subarray(0, count * this.pageSize));
    return count;
  }

  /** Writes whole pages from page `first` on. */
  writeBytes(first: number, bytes: Uint8Array): void {
    const offset = (first - 1) * this.pageSize;
    let done = 0;
    while (done < bytes.length) {
      done += writeSync(this.#descriptor, bytes, done, bytes.length - done, offset + done);
    }
    this.#pages = Math.max(this.#pages, first - 1 + bytes.length / this.pageSize);
  }

  /** The bytes of `count` ≤ `runPagesMax` pages, valid until the next call of this file. */
  readRun(first: number, count: number): Uint8Array {
    const bytes = this.#run.subarray(0, count * this.pageSize);
    const offset = (first - 1) * this.pageSize;
    let done = 0;
    while (done < bytes.length) {
      const length = readSync(
        this.#descriptor,
        bytes,
        done,
        bytes.length - done,
        offset + done,
      );
      if (length === 0) {
        throw new Failure(
          "corrupt",
          `Cannot read pages ${first} to ${
            first + count - 1
          } of ${this.path}: it ends before page ${this.#pages}`,
        );
      }
      done += length;
    }
    return bytes;
  }

  /** Compares bytes of the file with their hashes (I6). Throws `corrupt`, naming the page. */
  check(first: number, bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += this.pageSize) {
      const number = first + at / this.pageSize;
      if (number === this.lockPage) continue;
      const found = pageHash(bytes.subarray(at, at + this.pageSize), number);
      if (found !== this.hashes.get(number)) {
        throw new Failure(
          "corrupt",
          `Page ${number} of ${this.path} is not what was written to it`,
          { details: { page: number } },
        );
      }
    }
  }

  /** Makes the file exactly `pages` long. Hashes are not touched. */
  resize(pages: number): void {
    if (pages === this.#pages) return;
    ftruncateSync(this.#descriptor, pages * this.pageSize);
    this.#pages = pages;
  }

  /**
   * Only when SQLite has the file open nowhere in this process. A second call does nothing: the
   * descriptor may be somebody else's by then.
   */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    closeSync(this.#descriptor);
  }
}

/** Work on the event loop in slices of at most `SLICE_MS_MAX`. */
export class Slices {
  readonly #clock: Clock;
  #untilMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#untilMs = clock.monotonicMs() + SLICE_MS_MAX;
  }

  get over(): boolean {
    return this.#clock.monotonicMs() >= this.#untilMs;
  }

  /** Gives others a turn, and begins the next slice. */
  async turn(): Promise<void> {
    await this.#clock.turn();
    this.#untilMs = this.#clock.monotonicMs() + SLICE_MS_MAX;
  }
}
