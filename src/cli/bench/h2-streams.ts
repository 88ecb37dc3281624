/**
 * The requests of one connection that wait for their answers, as columns of numbers. A stream's
 * place is its id modulo the table's length; an id whose place is still taken is skipped, which
 * RFC 9113 (section 5.1.1) allows, so finding a stream is one comparison.
 */
import { STREAM_ID_MAX } from "./h2-frames.ts";

const PLACES = 1024;

/** Streams in flight on one connection; few enough that a free place is always near. */
export const STREAMS_MAX = 256;

export class Streams {
  /** 0 is a free place. */
  readonly #ids = new Int32Array(PLACES);
  readonly tags = new Float64Array(PLACES);
  readonly statuses = new Uint16Array(PLACES);
  /** What we may still send on the stream. Negative after the peer made its window smaller. */
  readonly sendWindows = new Float64Array(PLACES);
  /** Bytes received since the last window update of the stream. */
  readonly received = new Float64Array(PLACES);
  readonly bodies: (Uint8Array[] | null)[] = new Array<Uint8Array[] | null>(PLACES).fill(null);
  #next = 1;
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** False once the ids of the connection are used up, after a billion requests. */
  get idsLeft(): boolean {
    return this.#next <= STREAM_ID_MAX - 2 * PLACES;
  }

  /** Takes the next free place and returns its stream id. The caller keeps to `STREAMS_MAX`. */
  open(tag: number, sendWindow: number): number {
    while (this.#ids[(this.#next >>> 1) & (PLACES - 1)] !== 0) this.#next += 2;
    const id = this.#next;
    const place = (id >>> 1) & (PLACES - 1);
    this.#next += 2;
    this.#count++;
    this.#ids[place] = id;
    this.tags[place] = tag;
    this.statuses[place] = 0;
    this.sendWindows[place] = sendWindow;
    this.received[place] = 0;
    this.bodies[place] = null;
    return id;
  }

  /** The place of an open stream, −1 for any other. */
  placeOf(id: number): number {
    const place = (id >>> 1) & (PLACES - 1);
    return id !== 0 && this.#ids[place] === id ? place : -1;
  }

  /** True for an id that this side has not used yet. */
  isIdle(id: number): boolean {
    return id >= this.#next || (id & 1) === 0;
  }

  close(place: number): void {
    this.#ids[place] = 0;
    this.bodies[place] = null;
    this.#count--;
  }

  /** Calls `visit` with id and place of every open stream; it may close the stream it is given. */
  each(visit: (id: number, place: number) => void): void {
    for (let place = 0; place < PLACES; place++) {
      const id = this.#ids[place] ?? 0;
      if (id !== 0) visit(id, place);
    }
  }
}
