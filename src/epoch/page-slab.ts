/**
 * Memory for pages that are done with before the next ones are decoded. Of its own for each page, a
 * database that is read makes as much garbage as it has bytes, and the collector is in no hurry.
 */

const CHUNK_BYTES = 1024 * 1024;

export class PageSlab {
  readonly #chunks: Uint8Array[] = [];
  #chunk = 0;
  #used = 0;

  /** Memory of `size` bytes, a page's at most, with anything in it; valid until `reset`. */
  take(size: number): Uint8Array {
    if (this.#used + size > CHUNK_BYTES) {
      this.#chunk++;
      this.#used = 0;
    }
    const chunk = this.#chunks[this.#chunk] ??= new Uint8Array(CHUNK_BYTES);
    this.#used += size;
    return chunk.subarray(this.#used - size, this.#used);
  }

  /** What was taken may be given out again. */
  reset(): void {
    this.#chunk = 0;
    this.#used = 0;
  }
}
