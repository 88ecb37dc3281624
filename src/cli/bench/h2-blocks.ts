/** Header blocks out of HEADERS and CONTINUATION frames (RFC 9113, sections 6.2 and 6.10). */
import { broken } from "./h2-broken.ts";
import { FLAG } from "./h2-frames.ts";

/** A header block is `bytes` from `from` to `to`, valid only during the call. */
export type BlockHandler = (
  stream: number,
  endStream: boolean,
  bytes: Uint8Array,
  from: number,
  to: number,
) => void;

/** Frames that one header block may be spread over. */
const PARTS_MAX = 64;

export class BlockReader {
  readonly #onBlock: BlockHandler;
  /** The block that CONTINUATION frames are adding to. */
  #partial: { stream: number; endStream: boolean; parts: Uint8Array[] } | null = null;

  constructor(onBlock: BlockHandler) {
    this.#onBlock = onBlock;
  }

  /** While this is true, no other frame than CONTINUATION may come. */
  get isInside(): boolean {
    return this.#partial !== null;
  }

  onHeaders(flags: number, stream: number, bytes: Uint8Array, start: number, end: number): void {
    let from = start;
    let to = end;
    if ((flags & FLAG.padded) !== 0) to -= bytes[from++] ?? 0;
    if ((flags & FLAG.priority) !== 0) from += 5;
    if (from > to) throw broken("a frame has more padding than bytes");
    const endStream = (flags & FLAG.endStream) !== 0;
    if ((flags & FLAG.endHeaders) !== 0) return this.#onBlock(stream, endStream, bytes, from, to);
    this.#partial = { stream, endStream, parts: [bytes.slice(from, to)] };
  }

  onContinuation(flags: number, stream: number, part: Uint8Array): void {
    const partial = this.#partial;
    if (partial === null || partial.stream !== stream || partial.parts.length >= PARTS_MAX) {
      throw broken("a CONTINUATION does not belong to a header block");
    }
    partial.parts.push(part);
    if ((flags & FLAG.endHeaders) === 0) return;
    this.#partial = null;
    const whole = Buffer.concat(partial.parts);
    this.#onBlock(stream, partial.endStream, whole, 0, whole.length);
  }
}
