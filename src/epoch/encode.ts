/**
 * Pages → the bytes of an object (PROTOCOL, section 2): a header, one frame a page, six zero bytes,
 * the page index, a trailer. A frame is the page's number, flags, compressed size and LZ4 block.
 * The file checksum runs over everything before it, with the plain page in place of its block.
 */
import { assert } from "../base/assert.ts";
import { Crc64 } from "./crc64.ts";
import { type EncodedEpoch, type EpochHeader, lockPage, type Page } from "./epoch.ts";
import { encodeHeader, encodeTrailer, FILE_CHECKSUM_FLAG, TRAILER_BYTES } from "./header.ts";
import { compressBlock, compressedBytesMax } from "./lz4.ts";
import { PageIndex } from "./page-index.ts";

export const FRAME_HEADER_BYTES = 10;
/** Six zero bytes, a frame header's first two fields, end the pages. */
export const PAGES_END_BYTES = 6;
/** The frame's size field is present, and its block is a bare LZ4 block. */
export const FRAME_FLAG_SIZE = 1;

/**
 * Encodes one epoch in memory. Pages come in ascending order, none above `header.commit`, the lock
 * page never among them; an object that begins with epoch 1 holds all pages, as LTX demands.
 */
export function encodeEpoch(header: EpochHeader, pages: Iterable<Page>): EncodedEpoch {
  const writer = new Writer(header);
  for (const page of pages) writer.page(page);
  const fileChecksum = writer.end();
  return { bytes: writer.take(), fileChecksum };
}

/**
 * The same bytes, piece by piece, for content that does not fit memory: write what `begin`, every
 * `page` and `end` answer, in this order, and the file is complete. Its length is `size`.
 */
export class EpochEncoder {
  #writer: Writer | null = null;

  /** Bytes answered so far. */
  get size(): number {
    return this.#writer?.size ?? 0;
  }

  begin(header: EpochHeader): Uint8Array {
    assert(this.#writer === null, "an encoder is begun once");
    this.#writer = new Writer(header);
    return this.#writer.take();
  }

  page(page: Page): Uint8Array {
    assert(this.#writer !== null, "an encoder is begun before its pages");
    this.#writer.page(page);
    return this.#writer.take();
  }

  end(): EncodedEpoch {
    assert(this.#writer !== null, "an encoder is begun before it ends");
    const fileChecksum = this.#writer.end();
    return { bytes: this.#writer.take(), fileChecksum };
  }
}

class Writer {
  readonly #header: EpochHeader;
  readonly #lockPage: number;
  readonly #crc = new Crc64();
  readonly #index = new PageIndex();
  /** Full pieces since the last `take`, and the one being filled. */
  #pieces: Uint8Array[] = [];
  #bytes: Uint8Array;
  #used = 0;
  /** Bytes before the piece being filled. */
  #before = 0;
  #lastPage = 0;
  #ended = false;

  constructor(header: EpochHeader) {
    this.#header = header;
    this.#lockPage = lockPage(header.pageSize);
    this.#bytes = new Uint8Array(1024 + frameBytesMax(header.pageSize));
    this.#put(encodeHeader(header));
  }

  get size(): number {
    return this.#before + this.#used;
  }

  /** A copy of what was written since the last call. */
  take(): Uint8Array {
    const last = this.#bytes.subarray(0, this.#used);
    const bytes = concat([...this.#pieces, last]);
    this.#pieces = [];
    this.#before += this.#used;
    this.#used = 0;
    return bytes;
  }

  page(page: Page): void {
    const { pageSize, commit, minEpoch } = this.#header;
    const { number, bytes } = page;
    assert(!this.#ended, "an ended epoch takes no page");
    assert(bytes.length === pageSize, `page ${number} has ${bytes.length} bytes, not ${pageSize}`);
    assert(number > this.#lastPage, `page ${number} follows page ${this.#lastPage}`);
    assert(number <= commit, `page ${number} lies above commit ${commit}`);
    assert(number !== this.#lockPage, `page ${number} is the lock page`);
    if (minEpoch === 1) {
      const next = pageAfter(this.#lastPage, this.#lockPage);
      assert(number === next, `page ${next} is missing in an object from epoch 1 on`);
    }
    this.#lastPage = number;
    this.#reserve(frameBytesMax(pageSize));
    const start = this.#used;
    const frame = this.#bytes;
    const end = compressBlock(bytes, frame, start + FRAME_HEADER_BYTES);
    putU32(frame, start, number);
    frame[start + 4] = 0;
    frame[start + 5] = FRAME_FLAG_SIZE;
    putU32(frame, start + 6, end - start - FRAME_HEADER_BYTES);
    this.#crc.update(frame, start, start + FRAME_HEADER_BYTES);
    this.#crc.update(bytes);
    this.#index.add(number, this.#before + start, end - start);
    this.#used = end;
  }

  end(): bigint {
    assert(!this.#ended, "an epoch is ended once");
    this.#ended = true;
    if (this.#header.minEpoch === 1) {
      const next = pageAfter(this.#lastPage, this.#lockPage);
      assert(next > this.#header.commit, `page ${next} is missing in an object from epoch 1 on`);
    }
    this.#put(new Uint8Array(PAGES_END_BYTES));
    this.#put(this.#index.finish());
    this.#crc.update(new Uint8Array(TRAILER_BYTES - 8));
    const fileChecksum = this.#crc.value | FILE_CHECKSUM_FLAG;
    const trailer = encodeTrailer(fileChecksum);
    this.#reserve(trailer.length);
    this.#bytes.set(trailer, this.#used);
    this.#used += trailer.length;
    return fileChecksum;
  }

  /** Appends bytes that the file checksum covers as they are. */
  #put(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#used);
    this.#used += bytes.length;
    this.#crc.update(bytes);
  }

  /** Makes room for `length` bytes in one piece: never by copying what is already written. */
  #reserve(length: number): void {
    if (this.#bytes.length - this.#used >= length) return;
    this.#pieces.push(this.#bytes.subarray(0, this.#used));
    this.#before += this.#used;
    this.#used = 0;
    const grown = Math.min(2 * this.#bytes.length, PIECE_BYTES_MAX);
    this.#bytes = new Uint8Array(Math.max(grown, length));
  }
}

const PIECE_BYTES_MAX = 1024 * 1024;

function concat(pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/** The page after `page` in a whole database. */
export function pageAfter(page: number, lock: number): number {
  return page + 1 === lock ? page + 2 : page + 1;
}

function frameBytesMax(pageSize: number): number {
  return FRAME_HEADER_BYTES + compressedBytesMax(pageSize);
}

function putU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}
