/**
 * The bytes of an object → its pages. Nothing in the bytes is believed before it is checked: every
 * size against the page size before memory is taken for it, every page number against its
 * predecessor and the commit, the index against the frames, the checksum over all of it.
 *
 * Pages are decoded as the bytes come, so whoever streams gets pages before the checksum is known,
 * and uses none of them for good before `finish` has answered.
 */
import { isFailure } from "../base/failure.ts";
import { Crc64 } from "./crc64.ts";
import { FRAME_FLAG_SIZE, FRAME_HEADER_BYTES, pageAfter, PAGES_END_BYTES } from "./encode.ts";
import { type DecodedEpoch, type EpochHeader, lockPage, type Page } from "./epoch.ts";
import {
  corrupt,
  decodeHeader,
  decodeTrailer,
  FILE_CHECKSUM_FLAG,
  HEADER_BYTES,
  TRAILER_BYTES,
} from "./header.ts";
import { BLOCK_BYTES_MAX, compressedBytesMax, decompressBlock } from "./lz4.ts";
import { PageIndex } from "./page-index.ts";
import type { PageSlab } from "./page-slab.ts";

/** The first 100 bytes alone tell the kind, and the last 16 the link of the next epoch. */
export { decodeHeader, decodeTrailer, HEADER_BYTES, TRAILER_BYTES } from "./header.ts";

/** What is known of an object when all of it was decoded and is right. */
export interface FinishedEpoch {
  readonly header: EpochHeader;
  /** The next epoch's link, if this is one of level 0. */
  readonly fileChecksum: bigint;
}

/** Decodes a whole object; `what` names it in failures. Throws `corrupt`. */
export function decodeEpoch(bytes: Uint8Array, what: string): DecodedEpoch {
  const decoder = new EpochDecoder(what);
  const pages = decoder.push(bytes);
  return { ...decoder.finish(), pages };
}

/** The part that the next bytes belong to. */
type Part = "header" | "page number" | "block size" | "block" | "page index" | "trailer" | "end";

/** Where pages are decompressed before they are copied out. Shared: nothing here waits. */
const plain = new Uint8Array(BLOCK_BYTES_MAX);

export class EpochDecoder {
  readonly #what: string;
  readonly #slab: PageSlab | null;
  readonly #crc = new Crc64();
  readonly #index = new PageIndex();
  #header: EpochHeader | null = null;
  #part: Part = "header";
  /** Bytes of the current part, and those of them that came with earlier chunks. */
  #need = HEADER_BYTES;
  #pending = new Uint8Array(HEADER_BYTES);
  #pendingSize = 0;
  /** Offset in the object of the current part. */
  #offset = 0;
  #page = 0;
  #frameStart = 0;
  #indexBytes: Uint8Array = new Uint8Array(0);
  #indexAt = 0;
  #lockPage = 0;
  #fileChecksum = 0n;
  #failure: unknown = null;

  /** `what` names the object in failures: its key. Pages are put into `slab` if there is one. */
  constructor(what: string, slab: PageSlab | null = null) {
    this.#what = what;
    this.#slab = slab;
  }

  /** Null until the first 100 bytes are there. */
  get header(): EpochHeader | null {
    return this.#header;
  }

  /**
   * Takes the next bytes and answers the pages that they complete, in copies of their own or in the
   * slab's memory. Throws `corrupt`; then the pages answered so far must not be used, and no call succeeds.
   */
  push(chunk: Uint8Array): Page[] {
    if (this.#failure !== null) throw this.#failure;
    try {
      return this.#push(chunk);
    } catch (error) {
      if (isFailure(error)) this.#failure = error;
      throw error;
    }
  }

  /** Ends the object. Throws `corrupt` unless it is complete and right. */
  finish(): FinishedEpoch {
    if (this.#failure !== null) throw this.#failure;
    if (this.#part !== "end" || this.#header === null) {
      const end = this.#offset + this.#pendingSize + this.#indexAt;
      throw this.#failure = corrupt(this.#what, end, `it ends within the ${this.#part}`);
    }
    return { header: this.#header, fileChecksum: this.#fileChecksum };
  }

  #push(chunk: Uint8Array): Page[] {
    const pages: Page[] = [];
    let at = 0;
    while (at < chunk.length) {
      if (this.#part === "end") throw corrupt(this.#what, this.#offset, "bytes after its end");
      if (this.#part === "page index") {
        at += this.#compareIndex(chunk, at);
      } else if (this.#pendingSize === 0 && chunk.length - at >= this.#need) {
        const length = this.#need;
        this.#step(chunk, at, pages);
        at += length;
      } else {
        const length = Math.min(this.#need - this.#pendingSize, chunk.length - at);
        this.#pending.set(chunk.subarray(at, at + length), this.#pendingSize);
        this.#pendingSize += length;
        at += length;
        if (this.#pendingSize === this.#need) {
          this.#pendingSize = 0;
          this.#step(this.#pending, 0, pages);
        }
      }
    }
    return pages;
  }

  /** Takes the `#need` bytes of the current part at `at`. */
  #step(bytes: Uint8Array, at: number, pages: Page[]): void {
    const end = at + this.#need;
    const length = this.#need;
    if (this.#part === "block") {
      pages.push(this.#block(bytes, at, end));
    } else if (this.#part === "trailer") {
      this.#trailer(bytes.subarray(at, end));
    } else {
      this.#crc.update(bytes, at, end);
      if (this.#part === "header") this.#begin(bytes.subarray(at, end));
      else if (this.#part === "page number") this.#pageNumber(bytes, at);
      else this.#blockSize(u32(bytes, at));
    }
    this.#offset += length;
  }

  #expect(part: Part, need: number): void {
    this.#part = part;
    this.#need = need;
  }

  #begin(bytes: Uint8Array): void {
    const header = decodeHeader(bytes, this.#what);
    this.#header = header;
    this.#lockPage = lockPage(header.pageSize);
    this.#pending = new Uint8Array(compressedBytesMax(header.pageSize));
    this.#expect("page number", PAGES_END_BYTES);
  }

  #pageNumber(bytes: Uint8Array, at: number): void {
    const number = u32(bytes, at);
    const flags = ((bytes[at + 4] ?? 0) << 8) | (bytes[at + 5] ?? 0);
    const commit = this.#header?.commit ?? 0;
    const whole = this.#header?.minEpoch === 1;
    const next = pageAfter(this.#page, this.#lockPage);
    if (number === 0 && flags === 0) {
      if (whole && next <= commit) throw this.#corrupt(`page ${next} of ${commit} is missing`);
      this.#indexBytes = this.#index.finish();
      return this.#expect("page index", this.#indexBytes.length);
    }
    if (number <= this.#page) throw this.#corrupt(`page ${number} after page ${this.#page}`);
    if (number > commit) throw this.#corrupt(`page ${number} of a database of ${commit} pages`);
    if (number === this.#lockPage) throw this.#corrupt(`page ${number}, which is the lock page`);
    if (whole && number !== next) throw this.#corrupt(`page ${number} instead of ${next}`);
    if (flags !== FRAME_FLAG_SIZE) {
      throw this.#corrupt(
        `flags 0x${flags.toString(16)} of page ${number}, which this version does not know`,
      );
    }
    this.#page = number;
    this.#frameStart = this.#offset;
    this.#expect("block size", FRAME_HEADER_BYTES - PAGES_END_BYTES);
  }

  #blockSize(size: number): void {
    const sizeMax = compressedBytesMax(this.#header?.pageSize ?? 0);
    if (size === 0 || size > sizeMax) {
      throw this.#corrupt(`page ${this.#page} compressed to ${size} bytes`);
    }
    this.#expect("block", size);
  }

  #block(bytes: Uint8Array, start: number, end: number): Page {
    const pageSize = this.#header?.pageSize ?? 0;
    const target = pageSize === plain.length ? plain : plain.subarray(0, pageSize);
    const wrong = decompressBlock(bytes, start, end, target);
    if (wrong !== null) throw this.#corrupt(`the block of page ${this.#page}: ${wrong}`);
    this.#crc.update(plain, 0, pageSize);
    this.#index.add(this.#page, this.#frameStart, FRAME_HEADER_BYTES + end - start);
    this.#expect("page number", PAGES_END_BYTES);
    if (!this.#slab) return { number: this.#page, bytes: plain.slice(0, pageSize) };
    const page = this.#slab.take(pageSize);
    page.set(target);
    return { number: this.#page, bytes: page };
  }

  /** Compares as much of the index as the chunk holds, and answers how much that is. */
  #compareIndex(chunk: Uint8Array, start: number): number {
    const length = Math.min(this.#indexBytes.length - this.#indexAt, chunk.length - start);
    for (let i = 0; i < length; i++) {
      if (chunk[start + i] !== this.#indexBytes[this.#indexAt + i]) {
        this.#offset += this.#indexAt + i;
        throw this.#corrupt("the page index does not agree with the pages");
      }
    }
    this.#crc.update(chunk, start, start + length);
    this.#indexAt += length;
    if (this.#indexAt === this.#indexBytes.length) {
      this.#offset += this.#indexAt;
      this.#indexAt = 0;
      this.#indexBytes = new Uint8Array(0);
      this.#expect("trailer", TRAILER_BYTES);
    }
    return length;
  }

  #trailer(bytes: Uint8Array): void {
    const stated = decodeTrailer(bytes, this.#what, this.#offset);
    this.#crc.update(bytes, 0, TRAILER_BYTES - 8);
    const found = this.#crc.value | FILE_CHECKSUM_FLAG;
    if (found !== stated) {
      const [wanted, got] = [stated.toString(16), found.toString(16)];
      this.#offset += TRAILER_BYTES - 8;
      throw this.#corrupt(`the file checksum is ${wanted}, but the content has ${got}`);
    }
    this.#fileChecksum = found;
    this.#expect("end", 0);
  }

  #corrupt(why: string): Error {
    return corrupt(this.#what, this.#offset, why);
  }
}

function u32(bytes: Uint8Array, at: number): number {
  return (((bytes[at] ?? 0) << 24) | ((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) |
    (bytes[at + 3] ?? 0)) >>> 0;
}
