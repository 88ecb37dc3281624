/**
 * Frames over a pipe, each way. Small frames that are sent in one go of the program leave in one
 * write; a pipe that is slow is waited for, and nothing is handed to it meanwhile, so that all that
 * waits is counted here.
 */
import type { Clock } from "../base/clock.ts";
import { PEER_FRAME_BYTES_MAX, PEER_HELLO_BYTES_MAX, PEER_TURN_BYTES } from "../base/limits.ts";
import { type Frame, FrameDecoder, type NextSeal } from "./frame.ts";
import { Outbox } from "./outbox.ts";
import type { Pipe } from "./pipe.ts";

export interface WireOptions {
  readonly clock: Clock;
  readonly sending: NextSeal;
  readonly receiving: NextSeal;
}

export class Wire {
  readonly #pipe: Pipe;
  readonly #clock: Clock;
  readonly #decoder: FrameDecoder;
  readonly #outbox: Outbox;
  #lastInputMs: number;
  #framesRead = 0;
  #bytesSinceTurn = 0;
  #isSending = false;
  /** Bytes that the pipe was given and may not have sent. */
  #bytesInPipe = 0;
  #isDestroyed = false;

  constructor(pipe: Pipe, { clock, sending, receiving }: WireOptions) {
    this.#pipe = pipe;
    this.#clock = clock;
    this.#outbox = new Outbox(sending);
    this.#decoder = new FrameDecoder(receiving, PEER_HELLO_BYTES_MAX);
    this.#lastInputMs = clock.monotonicMs();
  }

  /** When the last byte came, whatever it was part of. */
  get lastInputMs(): number {
    return this.#lastInputMs;
  }

  get unsentBytes(): number {
    return this.#outbox.bytes + this.#bytesInPipe;
  }

  /** Frames that were ever given to `send`. */
  get framesQueued(): number {
    return this.#outbox.added;
  }

  /** Frames whose last byte has left this process, or may have. */
  get framesSent(): number {
    return this.#outbox.taken;
  }

  /** Frames that `take` has given out. */
  get framesRead(): number {
    return this.#framesRead;
  }

  /** The peer has proven who it is: larger frames may come. */
  trust(): void {
    this.#decoder.frameBytesMax = PEER_FRAME_BYTES_MAX;
    this.#pipe.trust();
  }

  send(type: number, head: unknown, tail?: Uint8Array): void {
    this.#outbox.add(type, head, tail);
    if (this.#isSending) return;
    this.#isSending = true;
    queueMicrotask(() => void this.#sendAll());
  }

  /** A frame that is here already. Throws `invalid` for bytes that are none. */
  take(): Frame | null {
    const frame = this.#decoder.next();
    if (frame !== null) this.#framesRead++;
    return frame;
  }

  /** Waits for more bytes; false when none will come. Only when `take` has said null. */
  async fill(): Promise<boolean> {
    if (this.#bytesSinceTurn >= PEER_TURN_BYTES) {
      this.#bytesSinceTurn = 0;
      await this.#clock.turn();
    }
    const bytes = await this.#pipe.read();
    if (bytes === null) return false;
    this.#lastInputMs = this.#clock.monotonicMs();
    this.#bytesSinceTurn += bytes.length;
    this.#decoder.push(bytes);
    return true;
  }

  /** The next frame; null when none will come. */
  async next(): Promise<Frame | null> {
    for (;;) {
      const frame = this.take();
      if (frame !== null) return frame;
      if (!await this.fill()) return null;
    }
  }

  destroy(): void {
    this.#isDestroyed = true;
    this.#pipe.destroy();
  }

  async #sendAll(): Promise<void> {
    let bytes = 0;
    // What is left when the other end is gone was never sent, and `framesSent` says so.
    while (!this.#isDestroyed && this.#pipe.isWritable) {
      const piece = this.#outbox.take();
      if (piece === null) break;
      const drained = this.#pipe.write(piece);
      bytes += piece.length;
      if (drained !== undefined) {
        this.#bytesInPipe = piece.length;
        await drained;
        this.#bytesInPipe = 0;
      }
      if (bytes < PEER_TURN_BYTES) continue;
      bytes = 0;
      await this.#clock.turn();
    }
    this.#isSending = false;
  }
}
