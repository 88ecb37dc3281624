/**
 * One HTTP/2 connection, seen from the client, made for one purpose: to send very many small
 * requests at little cost. It knows no request or response objects. A request is a header block
 * encoded beforehand, a body and a number that comes back with the answer; requests are laid
 * into one buffer that `flush` hands to the socket. Sockets are `h2-client.ts`'s matter.
 */
import { Failure } from "../../base/failure.ts";
import { BlockReader } from "./h2-blocks.ts";
import { broken } from "./h2-broken.ts";
import {
  errorName,
  FLAG,
  FRAME,
  FrameReader,
  goawayFrame,
  pingAckFrame,
  PREFACE,
  readU32,
  rstStreamFrame,
  SETTING,
  settingsAckFrame,
  settingsFrame,
  STREAM_ID_MAX,
  WINDOW_BYTES_DEFAULT,
  WINDOW_BYTES_MAX,
  windowUpdateFrame,
} from "./h2-frames.ts";
import { Outbox, type WriteBytes } from "./h2-outbox.ts";
import { Sender } from "./h2-sender.ts";
import { Streams } from "./h2-streams.ts";
import { decodeStatus } from "./hpack.ts";

export interface H2Handlers {
  /** The peer's settings have come; requests may be sent. */
  onReady(): void;
  /** A whole answer. `body` is null where `keepBody` did not ask for it. */
  onAnswer(tag: number, status: number, body: Uint8Array | null): void;
  /** No answer will come. `processed` is false only where the peer says that it did nothing. */
  onFailure(tag: number, reason: string, processed: boolean): void;
  /** No further request can be sent; answers may still come. Called once. */
  onGone(reason: string): void;
  /** Nothing more will come or go; the socket can be closed. Called once, after `onGone`. */
  onFinished(): void;
}

export interface H2Options {
  readonly handlers: H2Handlers;
  readonly write: WriteBytes;
  /** Bodies handed to `onAnswer`: those of statuses other than 2xx, or all. */
  readonly keepBody?: "failures" | "all";
  /** What the peer may send on one stream before we have taken it. */
  readonly windowBytes?: number;
}

const PROTOCOL_ERROR = 1;
const REFUSED_STREAM = 7;
const CANCEL = 8;

const WINDOW_BYTES = 16 * 1024 * 1024;

export class H2Connection {
  readonly #handlers: H2Handlers;
  readonly #keepAll: boolean;
  readonly #windowBytes: number;
  readonly #connectionWindowBytes: number;
  readonly #outbox: Outbox;
  readonly #streams = new Streams();
  readonly #sender: Sender;
  readonly #reader: FrameReader;
  readonly #blocks: BlockReader;
  #state: "opening" | "open" | "leaving" | "finished" = "opening";
  /** Bytes received since the last window update of the connection. */
  #received = 0;

  constructor(options: H2Options) {
    this.#handlers = options.handlers;
    this.#keepAll = options.keepBody === "all";
    this.#windowBytes = options.windowBytes ?? WINDOW_BYTES;
    this.#connectionWindowBytes = Math.min(
      WINDOW_BYTES_MAX,
      Math.max(WINDOW_BYTES_DEFAULT, 16 * this.#windowBytes),
    );
    this.#outbox = new Outbox(options.write);
    this.#sender = new Sender(this.#outbox, this.#streams);
    this.#reader = new FrameReader((...frame) => this.#onFrame(...frame));
    this.#blocks = new BlockReader((...block) => this.#onBlock(...block));
  }

  /** Says hello. Call it once the socket is open. */
  start(): void {
    this.#outbox.add(PREFACE);
    this.#outbox.add(settingsFrame([
      [SETTING.headerTableSize, 0],
      [SETTING.enablePush, 0],
      [SETTING.initialWindowSize, this.#windowBytes],
    ]));
    const more = this.#connectionWindowBytes - WINDOW_BYTES_DEFAULT;
    if (more > 0) this.#outbox.add(windowUpdateFrame(0, more));
    this.#outbox.flush();
  }

  /** How many requests may be sent now. */
  get room(): number {
    return this.#state === "open" ? this.#sender.room : 0;
  }

  get isFinished(): boolean {
    return this.#state === "finished";
  }

  get inFlight(): number {
    return this.#streams.count;
  }

  /**
   * Queues a request; `flush` sends it. The first `bodyBytes` of `body` are taken at once, so the
   * buffer can be used again. Returns false, and does nothing, where there is no `room`.
   */
  send(block: Uint8Array, body: Uint8Array, bodyBytes: number, tag: number): boolean {
    if (this.room === 0) return false;
    this.#sender.send(block, body, bodyBytes, tag);
    if (!this.#streams.idsLeft) this.leave("every stream id of the connection is used");
    return true;
  }

  /** Call it also when the socket takes bytes again. */
  flush(): void {
    if (this.#state !== "finished") this.#sender.flush();
  }

  /** Bytes from the peer. Answers and failures are reported before it returns. */
  receive(chunk: Uint8Array): void {
    if (this.#state === "finished") return;
    try {
      this.#reader.push(chunk);
      if (this.#received >= this.#connectionWindowBytes / 2) {
        this.#outbox.add(windowUpdateFrame(0, this.#received));
        this.#received = 0;
      }
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      this.#outbox.add(goawayFrame(0, PROTOCOL_ERROR));
      this.end(error.message);
      return;
    }
    this.flush();
    this.#finishWhenIdle();
  }

  /** Sends no further request; finishes when the answers under way have come. */
  leave(reason: string): void {
    if (this.#state === "leaving" || this.#state === "finished") return;
    this.#state = "leaving";
    this.#handlers.onGone(reason);
    this.#finishWhenIdle();
  }

  /** Finishes now, as when the socket was closed: what has no answer yet fails with `reason`. */
  end(reason: string): void {
    if (this.#state === "finished") return;
    const wasLeaving = this.#state === "leaving";
    this.#outbox.flush();
    this.#state = "finished";
    if (!wasLeaving) this.#handlers.onGone(reason);
    this.#streams.each((id, place) => this.#fail(id, place, reason, true));
    this.#handlers.onFinished();
  }

  #finishWhenIdle(): void {
    if (this.#state !== "leaving" || this.#streams.count > 0) return;
    this.#outbox.add(goawayFrame(0, 0));
    this.end("all answers came");
  }

  #onFrame(
    type: number,
    flags: number,
    stream: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    if (this.#state === "finished") return;
    if (this.#blocks.isInside && type !== FRAME.continuation) {
      throw broken("a header block was interrupted");
    }
    switch (type) {
      case FRAME.data:
        return this.#onData(flags, stream, bytes, start, end);
      case FRAME.headers:
        return this.#blocks.onHeaders(flags, stream, bytes, start, end);
      case FRAME.continuation:
        return this.#blocks.onContinuation(flags, stream, bytes.slice(start, end));
      case FRAME.settings:
        return this.#onSettings(flags, bytes, start, end);
      case FRAME.windowUpdate:
        return this.#sender.onWindowUpdate(stream, readU32(bytes, start) & WINDOW_BYTES_MAX);
      case FRAME.ping:
        if ((flags & FLAG.ack) === 0) this.#outbox.add(pingAckFrame(bytes.subarray(start, end)));
        return;
      case FRAME.rstStream:
        return this.#onReset(stream, readU32(bytes, start));
      case FRAME.goaway:
        return this.#onGoaway(readU32(bytes, start) & STREAM_ID_MAX, readU32(bytes, start + 4));
      case FRAME.pushPromise:
        throw broken("a push was promised although we refuse them");
      default:
        // PRIORITY and unknown types are ignored (RFC 9113, section 4.1).
    }
  }

  #onData(flags: number, stream: number, bytes: Uint8Array, start: number, end: number): void {
    this.#received += end - start;
    const place = this.#placeOf(stream);
    if (place < 0) return;
    const status = this.#streams.statuses[place] ?? 0;
    if (status < 200) throw broken(`stream ${stream} has a body before its status`);
    const padded = (flags & FLAG.padded) !== 0;
    const from = padded ? start + 1 : start;
    const to = padded ? end - (bytes[start] ?? 0) : end;
    if (from > to) throw broken("a frame has more padding than bytes");
    if (to > from && (this.#keepAll || status >= 300)) {
      (this.#streams.bodies[place] ??= []).push(bytes.slice(from, to));
    }
    if ((flags & FLAG.endStream) !== 0) return this.#answer(stream, place);
    const received = (this.#streams.received[place] ?? 0) + end - start;
    const refill = received >= this.#windowBytes / 2;
    if (refill) this.#outbox.add(windowUpdateFrame(stream, received));
    this.#streams.received[place] = refill ? 0 : received;
  }

  #onBlock(stream: number, endStream: boolean, bytes: Uint8Array, from: number, to: number): void {
    const place = this.#placeOf(stream);
    if (place < 0) return;
    // After the final status only trailers come, which say nothing that we need.
    if ((this.#streams.statuses[place] ?? 0) < 200) {
      const status = decodeStatus(bytes, from, to);
      if (status === 0) throw broken(`stream ${stream} has no status`);
      this.#streams.statuses[place] = status;
    }
    if (endStream) this.#answer(stream, place);
  }

  #onSettings(flags: number, bytes: Uint8Array, start: number, end: number): void {
    if ((flags & FLAG.ack) !== 0) return;
    this.#sender.onSettings(bytes, start, end);
    this.#outbox.add(settingsAckFrame());
    if (this.#state !== "opening") return;
    this.#state = "open";
    this.#handlers.onReady();
  }

  #onReset(stream: number, code: number): void {
    const place = this.#placeOf(stream);
    if (place < 0) return;
    this.#fail(stream, place, `stream reset: ${errorName(code)}`, code !== REFUSED_STREAM);
  }

  #onGoaway(lastStream: number, code: number): void {
    const reason = `the server is leaving: ${errorName(code)}`;
    const untouched: [number, number][] = [];
    this.#streams.each((id, place) => {
      if (id > lastStream) untouched.push([id, place]);
    });
    this.leave(reason);
    for (const [id, place] of untouched) this.#fail(id, place, reason, false);
  }

  /** The place of an open stream, −1 for one that is over. */
  #placeOf(stream: number): number {
    const place = this.#streams.placeOf(stream);
    if (place < 0 && this.#streams.isIdle(stream)) throw broken(`stream ${stream} is not ours`);
    return place;
  }

  #answer(stream: number, place: number): void {
    const tag = this.#streams.tags[place] ?? 0;
    const status = this.#streams.statuses[place] ?? 0;
    const parts = this.#streams.bodies[place];
    this.#streams.close(place);
    // Answered before it has the whole body: the server does not want the rest.
    if (this.#sender.forget(stream)) this.#outbox.add(rstStreamFrame(stream, CANCEL));
    this.#handlers.onAnswer(tag, status, parts ? Buffer.concat(parts) : null);
  }

  #fail(stream: number, place: number, reason: string, processed: boolean): void {
    const tag = this.#streams.tags[place] ?? 0;
    this.#streams.close(place);
    this.#sender.forget(stream);
    this.#handlers.onFailure(tag, reason, processed);
  }
}
