/**
 * Bytes on their way into a socket: frames of many streams are laid side by side and handed over
 * in one write; what the socket does not take waits for its `drain`.
 */
import { FLAG, FRAME, FRAME_HEADER_BYTES, writeFrameHeader } from "./h2-frames.ts";

/** Above this, bodies wait in their own memory instead of being copied. */
export const OUTBOX_BYTES_HIGH = 1024 * 1024;

/** Takes what it can of `bytes` and says how much; below 0 when the socket is closed. */
export type WriteBytes = (bytes: Uint8Array) => number;

export class Outbox {
  readonly #write: WriteBytes;
  #bytes = new Uint8Array(64 * 1024);
  #start = 0;
  #end = 0;

  constructor(write: WriteBytes) {
    this.#write = write;
  }

  get isFull(): boolean {
    return this.#end - this.#start >= OUTBOX_BYTES_HIGH;
  }

  get isEmpty(): boolean {
    return this.#end === this.#start;
  }

  add(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#end);
    this.#end += bytes.length;
  }

  headers(stream: number, block: Uint8Array, endStream: boolean): void {
    this.#reserve(FRAME_HEADER_BYTES + block.length);
    const flags = FLAG.endHeaders | (endStream ? FLAG.endStream : 0);
    const start = writeFrameHeader(
      this.#bytes,
      this.#end,
      block.length,
      FRAME.headers,
      flags,
      stream,
    );
    this.#bytes.set(block, start);
    this.#end = start + block.length;
  }

  data(stream: number, bytes: Uint8Array, from: number, to: number, endStream: boolean): void {
    const length = to - from;
    this.#reserve(FRAME_HEADER_BYTES + length);
    const flags = endStream ? FLAG.endStream : 0;
    const start = writeFrameHeader(this.#bytes, this.#end, length, FRAME.data, flags, stream);
    this.#bytes.set(from === 0 && to === bytes.length ? bytes : bytes.subarray(from, to), start);
    this.#end = start + length;
  }

  flush(): void {
    if (this.#start === this.#end) return;
    const taken = this.#write(this.#bytes.subarray(this.#start, this.#end));
    if (taken > 0) this.#start += taken;
    if (this.#start === this.#end) this.#start = this.#end = 0;
  }

  #reserve(length: number): void {
    if (this.#end + length <= this.#bytes.length) return;
    const waiting = this.#end - this.#start;
    const room = Math.max(this.#bytes.length, 2 * (waiting + length));
    const bytes = new Uint8Array(room);
    bytes.set(this.#bytes.subarray(this.#start, this.#end));
    this.#bytes = bytes;
    this.#start = 0;
    this.#end = waiting;
  }
}
