/**
 * Text of any length cut into pieces of whole records. Where the cuts are depends on the text alone,
 * never on the chunks in which it was read: the same file gives the same pieces again.
 */
import { Failure } from "../base/failure.ts";
import type { RowEnds } from "../lake/ingest/row-blocks.ts";

export interface Piece {
  /** Of its first byte. */
  readonly offset: number;
  /** That its first byte is on, counted from 1. */
  readonly line: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

export interface CutOptions {
  readonly ends: RowEnds;
  /** A piece ends with the first record that ends here or later. */
  readonly pieceBytes: number;
  /** Throws `too_large` for a record that has more, once it cannot be the end of a piece. */
  readonly recordBytesMax: number;
  /** The first record, which names columns, is a piece of its own. */
  readonly hasHeader: boolean;
  /** Of the file, for errors. */
  readonly name: string;
}

const LINE_FEED = 10;
const QUOTE = 34;
const SPACES: readonly number[] = [0x20, 0x09, 0x0d, LINE_FEED];

export async function* recordPieces(
  content: AsyncIterable<Uint8Array>,
  options: CutOptions,
): AsyncGenerator<Piece> {
  const cutter = new Cutter(options);
  for await (const chunk of content) yield* cutter.push(chunk);
  yield* cutter.end();
}

class Cutter {
  readonly #options: CutOptions;
  /** Bytes that the piece has at least. */
  #least: number;
  #kept: Uint8Array[] = [];
  #keptBytes = 0;
  #quoted = false;
  #offset = 0;
  #line = 1;

  constructor(options: CutOptions) {
    this.#options = options;
    this.#least = options.hasHeader ? 1 : options.pieceBytes;
  }

  *push(chunk: Uint8Array): Generator<Piece> {
    let at = 0;
    for (;;) {
      const end = this.#endIn(chunk, at);
      if (end < 0) break;
      this.#keep(chunk.subarray(at, end));
      yield this.#take();
      at = end;
    }
    if (at < chunk.length) this.#keep(chunk.subarray(at));
    if (this.#keptBytes > this.#least + this.#options.recordBytesMax) throw this.#tooLong();
  }

  /** What has no line feed after it. */
  *end(): Generator<Piece> {
    if (this.#keptBytes > 0) yield this.#take();
  }

  /** Behind the piece's last byte; −1 where that is not in the chunk. */
  #endIn(chunk: Uint8Array, at: number): number {
    const missing = Math.max(0, this.#least - 1 - this.#keptBytes);
    const from = Math.min(chunk.length, at + missing);
    if (this.#options.ends === "lines") return chunk.indexOf(LINE_FEED, from) + 1 || -1;
    let quoted = this.#quoted;
    for (let position = at; position < chunk.length; position++) {
      const byte = chunk[position];
      if (byte === QUOTE) quoted = !quoted;
      else if (byte === LINE_FEED && !quoted && position >= from) {
        this.#quoted = false;
        return position + 1;
      }
    }
    this.#quoted = quoted;
    return -1;
  }

  /** A chunk may be a view of a buffer that its sender uses again: what stays is copied. */
  #keep(bytes: Uint8Array): void {
    this.#kept.push(bytes.slice());
    this.#keptBytes += bytes.length;
  }

  #take(): Piece {
    const piece = { offset: this.#offset, line: this.#line, bytes: Buffer.concat(this.#kept) };
    this.#offset += piece.bytes.length;
    this.#line += feedsIn(piece.bytes);
    this.#kept = [];
    this.#keptBytes = 0;
    this.#least = this.#options.pieceBytes;
    return piece;
  }

  #tooLong(): Failure {
    const { name, ends, recordBytesMax } = this.#options;
    const line = [...recordLines(this.#take(), ends)].at(-1);
    const quote = ends === "records" ? " (a quote may have been left open)" : "";
    const message = `Cannot take line ${line} of ${name}: the row has more than ` +
      `${recordBytesMax} bytes${quote}`;
    return new Failure("too_large", message, { details: { line } });
  }
}

/** The line of a row that is counted from 1, as nodes count rows: blank lines are none in NDJSON. */
export function lineOfRow(piece: Piece, ends: RowEnds, row: number): number {
  let rows = 0;
  for (const line of recordLines(piece, ends)) {
    rows += 1;
    if (rows === row) return line;
  }
  return piece.line;
}

/** The line that the piece ends on. */
export function lastLine({ line, bytes }: Piece): number {
  return line + feedsIn(bytes) - (bytes.at(-1) === LINE_FEED ? 1 : 0);
}

/** True for nothing but white space. */
export function isBlank(bytes: Uint8Array): boolean {
  return bytes.every((byte) => SPACES.includes(byte));
}

function* recordLines({ line: first, bytes }: Piece, ends: RowEnds): Generator<number> {
  let line = first;
  let isOpen = false;
  let quoted = false;
  for (const byte of bytes) {
    if (!isOpen && (ends === "records" || !SPACES.includes(byte))) {
      isOpen = true;
      yield line;
    }
    if (byte === QUOTE && ends === "records") quoted = !quoted;
    if (byte !== LINE_FEED) continue;
    line += 1;
    if (!quoted) isOpen = false;
  }
}

function feedsIn(bytes: Uint8Array): number {
  let feeds = 0;
  for (let at = bytes.indexOf(LINE_FEED); at >= 0; at = bytes.indexOf(LINE_FEED, at + 1)) feeds++;
  return feeds;
}
