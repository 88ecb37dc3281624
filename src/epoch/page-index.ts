/**
 * The page index of an object: for every page its number, the offset of its frame and the frame's
 * size as varints (LEB128), a 0, and the length of all that as a u64. Built while the pages go by,
 * by the encoder to write it and by the decoder to compare.
 */
export class PageIndex {
  #bytes = new Uint8Array(64);
  #used = 0;

  add(pageNumber: number, offset: number, size: number): void {
    if (this.#bytes.length - this.#used < ENTRY_BYTES_MAX) this.#grow();
    this.#put(pageNumber);
    this.#put(offset);
    this.#put(size);
  }

  /** The whole index. Nothing may be added afterwards. */
  finish(): Uint8Array {
    if (this.#bytes.length - this.#used < ENTRY_BYTES_MAX) this.#grow();
    this.#put(0);
    const length = this.#used;
    new DataView(this.#bytes.buffer).setBigUint64(length, BigInt(length));
    return this.#bytes.subarray(0, length + 8);
  }

  #put(value: number): void {
    let rest = value;
    for (; rest >= 128; rest = Math.floor(rest / 128)) {
      this.#bytes[this.#used++] = (rest % 128) | 128;
    }
    this.#bytes[this.#used++] = rest;
  }

  #grow(): void {
    const grown = new Uint8Array(2 * this.#bytes.length);
    grown.set(this.#bytes.subarray(0, this.#used));
    this.#bytes = grown;
  }
}

/** Three varints of at most 8 bytes each (53 bits), or a 0 and a u64. */
const ENTRY_BYTES_MAX = 24;
