/**
 * Frames on their way out: sealed in the order in which they were given, and taken in pieces. Small
 * ones lie side by side in a piece; the tail of a large one is never copied, and is sealed piece by
 * piece as it goes.
 */
import { assert } from "../base/assert.ts";
import { PEER_FRAME_BYTES_MAX, PEER_HEAD_BYTES_MAX, PEER_PIECE_BYTES } from "../base/limits.ts";
import {
  FRAME_START_BYTES,
  frameBytes,
  JsonText,
  type NextSeal,
  type Seal,
  SEAL_BYTES,
  writeFrameStart,
} from "./frame.ts";

/** A tail above this is not copied. */
const COPY_BYTES_MAX = 32 * 1024;
const EMPTY = new Uint8Array(0);

/** A frame, or what is left of it: bytes that go as they are, then those of a tail, then the seal. */
interface Waiting {
  readonly sealed: Uint8Array;
  readonly tail: Uint8Array;
  /** Of a frame whose tail is sealed as it goes. */
  readonly seal: Seal | null;
}

export class Outbox {
  readonly #nextSeal: NextSeal;
  #waiting: Waiting[] = [];
  /** Frames at the front of `#waiting` that are gone already. */
  #first = 0;
  /** Bytes of the first one's tail that are gone; -1 when nothing of it is. */
  #tailAt = -1;
  #bytes = 0;
  #added = 0;
  #taken = 0;

  constructor(nextSeal: NextSeal) {
    this.#nextSeal = nextSeal;
  }

  /** Bytes that wait. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Frames that were ever added. */
  get added(): number {
    return this.#added;
  }

  /** Frames that were taken to their last byte. Of the others no peer can have read anything. */
  get taken(): number {
    return this.#taken;
  }

  /** `head` is any JSON value, or its text; undefined for none. A large `tail` must not change until it is taken. */
  add(type: number, head: unknown, tail: Uint8Array = EMPTY): void {
    const text = headText(head);
    const headBytes = Buffer.byteLength(text);
    const bytes = frameBytes(headBytes, tail.length);
    assert(
      headBytes <= PEER_HEAD_BYTES_MAX && bytes <= PEER_FRAME_BYTES_MAX,
      `a frame of ${bytes} bytes, ${headBytes} of them its head, is too large`,
    );
    const copies = tail.length <= COPY_BYTES_MAX;
    const tailStart = FRAME_START_BYTES + headBytes;
    const sealed = Buffer.allocUnsafe(copies ? bytes : tailStart);
    writeFrameStart(sealed, type, headBytes, tail.length);
    sealed.write(text, FRAME_START_BYTES, "utf8");
    const seal = this.#nextSeal();
    if (copies) {
      sealed.set(tail, tailStart);
      seal.update(sealed.subarray(0, bytes - SEAL_BYTES));
      sealed.set(seal.finish(), bytes - SEAL_BYTES);
      this.#waiting.push({ sealed, tail: EMPTY, seal: null });
    } else {
      seal.update(sealed);
      this.#waiting.push({ sealed, tail, seal });
    }
    this.#bytes += bytes;
    this.#added++;
  }

  /** The next bytes to be sent, `PEER_PIECE_BYTES` at most (a large head alone may be more); or null. */
  take(): Uint8Array | null {
    const first = this.#waiting[this.#first];
    if (first === undefined) return null;
    const piece = this.#tailAt >= 0 ? this.#takeTail(first) : this.#takeSealed();
    this.#bytes -= piece.length;
    return piece;
  }

  #takeSealed(): Uint8Array {
    const parts: Uint8Array[] = [];
    let bytes = 0;
    for (;;) {
      const next = this.#waiting[this.#first];
      if (next === undefined) break;
      if (bytes > 0 && bytes + next.sealed.length > PEER_PIECE_BYTES) break;
      parts.push(next.sealed);
      bytes += next.sealed.length;
      if (next.seal !== null) {
        this.#tailAt = 0;
        break;
      }
      this.#shift();
    }
    const [only = EMPTY] = parts;
    return parts.length === 1 ? only : Buffer.concat(parts, bytes);
  }

  #takeTail({ tail, seal }: Waiting): Uint8Array {
    assert(seal !== null, "a tail that goes alone is not sealed yet");
    const end = Math.min(this.#tailAt + PEER_PIECE_BYTES, tail.length);
    const part = tail.subarray(this.#tailAt, end);
    seal.update(part);
    this.#tailAt = end;
    if (end < tail.length) return part;
    this.#shift();
    this.#tailAt = -1;
    return Buffer.concat([part, seal.finish()]);
  }

  #shift(): void {
    this.#first++;
    this.#taken++;
    if (this.#first < 64 && this.#first < this.#waiting.length) return;
    this.#waiting = this.#waiting.slice(this.#first);
    this.#first = 0;
  }
}

function headText(head: unknown): string {
  if (head instanceof JsonText) return head.text;
  return head === undefined ? "" : JSON.stringify(head);
}
