/**
 * Bytes of text cut where rows end, whatever the pieces were in which they came. Whole rows are
 * complete UTF-8 as well, since no part of a longer sequence looks like a line feed or a quote.
 */
import type { FailureKind } from "../../base/failure.ts";
import { INGEST_PIECE_BYTES, INGEST_ROW_BYTES_MAX } from "../../base/lake-limits.ts";

export interface RowBlock {
  /** Whole rows without the last line feed; null where a fault is all there is. */
  readonly text: string | null;
  /** What is wrong with the row after these. It is the last block then. */
  readonly fault: { readonly kind: FailureKind; readonly reason: string } | null;
}

/** `lines` end at every line feed, `records` (CSV) at those outside of quotes. */
export type RowEnds = "lines" | "records";

const LINE_FEED = 10;
const QUOTE = 34;
const NOT_UTF8 = { kind: "invalid", reason: "it is not UTF-8" } as const;
const BYTE_ORDER_MARK = "\ufeff";

export async function* rowBlocks(
  body: AsyncIterable<Uint8Array>,
  ends: RowEnds,
  rowBytesMax = INGEST_ROW_BYTES_MAX,
): AsyncGenerator<RowBlock> {
  const rows = new Rows(ends, rowBytesMax);
  for await (const chunk of body) {
    for (let at = 0; at < chunk.length; at += INGEST_PIECE_BYTES) {
      const block = rows.push(chunk.subarray(at, at + INGEST_PIECE_BYTES));
      if (block === null) continue;
      yield block;
      if (block.fault !== null) return;
    }
  }
  const last = rows.end();
  if (last !== null) yield last;
}

class Rows {
  readonly #ends: RowEnds;
  readonly #rowBytesMax: number;
  readonly #decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  /** The beginning of a row. */
  #kept: Uint8Array[] = [];
  #keptBytes = 0;
  #quoted = false;
  #first = true;

  constructor(ends: RowEnds, rowBytesMax: number) {
    this.#ends = ends;
    this.#rowBytesMax = rowBytesMax;
  }

  push(piece: Uint8Array): RowBlock | null {
    const begun = this.#quoted;
    const { lastEnd, quoted } = this.#scan(piece);
    this.#quoted = quoted;
    if (lastEnd < 0) {
      this.#keep(piece);
      return this.#keptBytes > this.#rowBytesMax ? { text: null, fault: this.#tooLong() } : null;
    }
    const firstEnd = this.#keptBytes === 0 ? 0 : this.#firstEnd(piece, begun);
    if (this.#keptBytes + firstEnd > this.#rowBytesMax) {
      return { text: null, fault: this.#tooLong() };
    }
    const rows = this.#joined(piece.subarray(0, lastEnd));
    this.#kept = [];
    this.#keptBytes = 0;
    if (lastEnd + 1 < piece.length) this.#keep(piece.subarray(lastEnd + 1));
    return this.#block(rows);
  }

  /** The row that has no line feed after it. */
  end(): RowBlock | null {
    return this.#keptBytes === 0 ? null : this.#block(this.#joined(new Uint8Array(0)));
  }

  /** A chunk may be a view of a buffer that its sender uses again: what stays is copied. */
  #keep(bytes: Uint8Array): void {
    this.#kept.push(bytes.slice());
    this.#keptBytes += bytes.length;
  }

  #joined(bytes: Uint8Array): Uint8Array {
    return this.#kept.length === 0 ? bytes : Buffer.concat([...this.#kept, bytes]);
  }

  #tooLong(): RowBlock["fault"] {
    const quote = this.#ends === "records" ? " (a quote may have been left open)" : "";
    const reason = `it has more than ${this.#rowBytesMax} bytes${quote}`;
    return { kind: "too_large", reason };
  }

  #scan(piece: Uint8Array): { readonly lastEnd: number; readonly quoted: boolean } {
    if (this.#ends === "lines" || (!this.#quoted && !piece.includes(QUOTE))) {
      return { lastEnd: piece.lastIndexOf(LINE_FEED), quoted: false };
    }
    let quoted = this.#quoted;
    let lastEnd = -1;
    for (let at = 0; at < piece.length; at++) {
      const byte = piece[at];
      if (byte === QUOTE) quoted = !quoted;
      else if (byte === LINE_FEED && !quoted) lastEnd = at;
    }
    return { lastEnd, quoted };
  }

  #firstEnd(bytes: Uint8Array, begunQuoted: boolean, from = 0): number {
    if (this.#ends === "lines") return bytes.indexOf(LINE_FEED, from);
    let quoted = begunQuoted;
    for (let at = from; at < bytes.length; at++) {
      if (bytes[at] === QUOTE) quoted = !quoted;
      else if (bytes[at] === LINE_FEED && !quoted) return at;
    }
    return -1;
  }

  #block(rows: Uint8Array): RowBlock {
    try {
      return { text: this.#withoutMark(this.#decoder.decode(rows)), fault: null };
    } catch {
      return this.#upToBroken(rows);
    }
  }

  /** Decodes row by row, to hand over those before the one that is not UTF-8. */
  #upToBroken(rows: Uint8Array): RowBlock {
    let good = 0;
    for (;;) {
      const end = this.#firstEnd(rows, false, good);
      try {
        this.#decoder.decode(rows.subarray(good, end < 0 ? rows.length : end));
      } catch {
        break;
      }
      good = end + 1;
    }
    if (good === 0) return { text: null, fault: NOT_UTF8 };
    const text = this.#decoder.decode(rows.subarray(0, good - 1));
    return { text: this.#withoutMark(text), fault: NOT_UTF8 };
  }

  #withoutMark(text: string): string {
    const marked = this.#first && text.startsWith(BYTE_ORDER_MARK);
    this.#first = false;
    return marked ? text.slice(1) : text;
  }
}
