/**
 * An HTTP/2 stream as a pipe. Each channel has a connection of its own, so that one that ends says
 * something of this peer alone; destroying the pipe ends the connection.
 */
import type { Http2Session, Http2Stream, ServerHttp2Session } from "node:http2";
import { PEER_TURN_BYTES, PEER_WINDOW_BYTES } from "../base/limits.ts";
import type { Pipe } from "./pipe.ts";

/** A session of either side; the types of one of them leave `setLocalWindowSize` out. */
type Session = Http2Session | ServerHttp2Session;

export class Http2Pipe implements Pipe {
  readonly #session: Session;
  readonly #stream: Http2Stream;
  readonly #onTrust: () => void;
  readonly #chunks: Uint8Array[] = [];
  #bytes = 0;
  #isEnded = false;
  #reader: (() => void) | null = null;
  #writer: (() => void) | null = null;

  constructor(session: Session, stream: Http2Stream, onTrust: () => void = () => {}) {
    this.#session = session;
    this.#stream = stream;
    this.#onTrust = onTrust;
    stream.on("data", (chunk: Uint8Array) => this.#add(chunk));
    stream.on("drain", () => this.#drained());
    // Errors have a close after them; without a handler they would end the process.
    stream.on("error", () => {});
    // A stream that is not read has no end, but it is aborted or closed.
    stream.on("end", () => this.#ended());
    stream.on("aborted", () => this.#ended());
    stream.on("close", () => this.#ended());
  }

  async read(): Promise<Uint8Array | null> {
    if (this.#chunks.length === 0 && !this.#isEnded) {
      await new Promise<void>((resolve) => this.#reader = resolve);
    }
    const chunk = this.#chunks.shift();
    if (chunk === undefined) return null;
    this.#bytes -= chunk.length;
    if (this.#chunks.length === 0 && this.#stream.isPaused()) this.#stream.resume();
    return chunk;
  }

  get isWritable(): boolean {
    return !this.#isEnded && !this.#stream.destroyed && !this.#stream.closed;
  }

  write(bytes: Uint8Array): Promise<void> | undefined {
    if (!this.isWritable) return undefined;
    if (this.#stream.write(bytes)) return undefined;
    return new Promise((resolve) => this.#writer = resolve);
  }

  trust(): void {
    this.#onTrust();
    if (this.#session.destroyed || this.#session.closed) return;
    if (this.#session.localSettings.initialWindowSize !== PEER_WINDOW_BYTES) {
      this.#session.settings({ initialWindowSize: PEER_WINDOW_BYTES });
    }
    this.#session.setLocalWindowSize(PEER_WINDOW_BYTES);
  }

  destroy(): void {
    this.#ended();
    this.#stream.destroy();
    this.#session.destroy();
  }

  #add(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes >= PEER_TURN_BYTES) this.#stream.pause();
    this.#wakeReader();
  }

  #ended(): void {
    this.#isEnded = true;
    this.#wakeReader();
    this.#drained();
  }

  #wakeReader(): void {
    this.#reader?.();
    this.#reader = null;
  }

  #drained(): void {
    this.#writer?.();
    this.#writer = null;
  }
}
