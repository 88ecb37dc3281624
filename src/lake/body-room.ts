/**
 * Room for the bodies that bring rows to this node. Those that still arrive count with those that
 * wait to be stored: together they have a limit, and whoever would exceed it hears `busy`.
 */
import { Failure } from "../base/failure.ts";

export interface BodyRoomOptions {
  readonly bodiesMax: number;
  readonly bytesMax: number;
}

export class BodyRoom {
  readonly #options: BodyRoomOptions;
  #bodies = 0;
  #bytes = 0;

  constructor(options: BodyRoomOptions) {
    this.#options = options;
  }

  /** Bytes that are taken. */
  get bytes(): number {
    return this.#bytes;
  }

  /** A place for one body. Throws `busy`. */
  enter(): BodyPlace {
    if (this.#bodies >= this.#options.bodiesMax) throw this.#busy();
    this.#bodies++;
    return new BodyPlace((bytes) => this.#take(bytes), (bytes) => this.#leave(bytes));
  }

  /** One body that is alone may come whatever the limit is. */
  #take(bytes: number): void {
    if (this.#bytes > 0 && this.#bytes + bytes > this.#options.bytesMax) throw this.#busy();
    this.#bytes += bytes;
  }

  #leave(bytes: number): void {
    this.#bodies--;
    this.#bytes -= bytes;
  }

  #busy(): Failure {
    return new Failure(
      "busy",
      `Cannot take more rows: ${this.#bodies} requests with ${this.#bytes} bytes are here`,
      { retryAfterMs: 250 },
    );
  }
}

export class BodyPlace {
  readonly #take: (bytes: number) => void;
  readonly #leave: (bytes: number) => void;
  #bytes = 0;
  #hasLeft = false;

  constructor(take: (bytes: number) => void, leave: (bytes: number) => void) {
    this.#take = take;
    this.#leave = leave;
  }

  /** Before so many bytes more are held. Throws `busy`. */
  take(bytes: number): void {
    this.#take(bytes);
    this.#bytes += bytes;
  }

  /** When nothing of the body is held any more. */
  leave(): void {
    if (this.#hasLeft) return;
    this.#hasLeft = true;
    this.#leave(this.#bytes);
  }
}
