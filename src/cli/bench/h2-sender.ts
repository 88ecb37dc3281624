/**
 * The sending half of a connection: requests go out as the peer's settings and windows allow
 * (RFC 9113, sections 5.2 and 6.9). A small body leaves together with its headers; what does not
 * fit a window waits for the peer to open it.
 */
import {
  FRAME_PAYLOAD_BYTES_DEFAULT,
  readU32,
  SETTING,
  WINDOW_BYTES_DEFAULT,
  WINDOW_BYTES_MAX,
} from "./h2-frames.ts";
import type { Outbox } from "./h2-outbox.ts";
import { broken } from "./h2-broken.ts";
import { type Streams, STREAMS_MAX } from "./h2-streams.ts";

interface PendingBody {
  readonly bytes: Uint8Array;
  offset: number;
}

export class Sender {
  readonly #outbox: Outbox;
  readonly #streams: Streams;
  readonly #pending = new Map<number, PendingBody>();
  #streamsMax = STREAMS_MAX;
  #window = WINDOW_BYTES_DEFAULT;
  #streamWindow = WINDOW_BYTES_DEFAULT;
  #frameBytesMax = FRAME_PAYLOAD_BYTES_DEFAULT;

  constructor(outbox: Outbox, streams: Streams) {
    this.#outbox = outbox;
    this.#streams = streams;
  }

  get room(): number {
    if (this.#outbox.isFull || !this.#streams.idsLeft) return 0;
    return Math.max(0, this.#streamsMax - this.#streams.count);
  }

  send(block: Uint8Array, body: Uint8Array, bodyBytes: number, tag: number): void {
    const id = this.#streams.open(tag, this.#streamWindow);
    this.#outbox.headers(id, block, bodyBytes === 0);
    if (bodyBytes === 0) return;
    const fits = bodyBytes <= this.#frameBytesMax && bodyBytes <= this.#window &&
      bodyBytes <= this.#streamWindow;
    if (fits) {
      this.#outbox.data(id, body, 0, bodyBytes, true);
      this.#window -= bodyBytes;
    } else {
      this.#pending.set(id, { bytes: body.slice(0, bodyBytes), offset: 0 });
      this.#pump();
    }
  }

  flush(): void {
    this.#outbox.flush();
    while (this.#pending.size > 0 && this.#outbox.isEmpty && this.#pump()) this.#outbox.flush();
  }

  /** Drops what is left of a body; true where something was left. */
  forget(stream: number): boolean {
    return this.#pending.size > 0 && this.#pending.delete(stream);
  }

  onWindowUpdate(stream: number, incrementBytes: number): void {
    if (incrementBytes === 0) throw broken("a window was opened by 0 bytes");
    if (stream === 0) {
      this.#window += incrementBytes;
      if (this.#window > WINDOW_BYTES_MAX) throw broken("the connection's window overflowed");
    } else {
      const place = this.#streams.placeOf(stream);
      if (place < 0) return;
      const windows = this.#streams.sendWindows;
      windows[place] = (windows[place] ?? 0) + incrementBytes;
    }
    if (this.#pending.size > 0) this.#pump();
  }

  /** The pairs of a SETTINGS frame. */
  onSettings(bytes: Uint8Array, start: number, end: number): void {
    if ((end - start) % 6 !== 0) throw broken("SETTINGS have a wrong length");
    for (let offset = start; offset < end; offset += 6) {
      const identifier = ((bytes[offset] ?? 0) << 8) | (bytes[offset + 1] ?? 0);
      const value = readU32(bytes, offset + 2);
      if (identifier === SETTING.maxConcurrentStreams) {
        this.#streamsMax = Math.min(STREAMS_MAX, value);
      } else if (identifier === SETTING.maxFrameSize) {
        if (value < FRAME_PAYLOAD_BYTES_DEFAULT || value > 0xff_ffff) {
          throw broken(`a frame size of ${value} bytes was announced`);
        }
        this.#frameBytesMax = value;
      } else if (identifier === SETTING.initialWindowSize) {
        this.#resize(value);
      }
    }
  }

  /** A new initial window also changes the windows of open streams (section 6.9.2). */
  #resize(windowBytes: number): void {
    if (windowBytes > WINDOW_BYTES_MAX) throw broken(`a window of ${windowBytes} bytes`);
    const change = windowBytes - this.#streamWindow;
    this.#streamWindow = windowBytes;
    const windows = this.#streams.sendWindows;
    this.#streams.each((_, place) => {
      windows[place] = (windows[place] ?? 0) + change;
    });
    if (this.#pending.size > 0) this.#pump();
  }

  /** Moves what the windows allow into the outbox; true where anything was moved. */
  #pump(): boolean {
    let moved = false;
    for (const [stream, body] of this.#pending) {
      const place = this.#streams.placeOf(stream);
      while (place >= 0 && body.offset < body.bytes.length && !this.#outbox.isFull) {
        const length = Math.min(
          body.bytes.length - body.offset,
          this.#frameBytesMax,
          this.#window,
          this.#streams.sendWindows[place] ?? 0,
        );
        if (length <= 0) break;
        const to = body.offset + length;
        this.#outbox.data(stream, body.bytes, body.offset, to, to === body.bytes.length);
        body.offset = to;
        this.#window -= length;
        this.#streams.sendWindows[place] = (this.#streams.sendWindows[place] ?? 0) - length;
        moved = true;
      }
      if (place < 0 || body.offset === body.bytes.length) this.#pending.delete(stream);
    }
    return moved;
  }
}
