/**
 * Where the frames of Zstandard data end (RFC 8878, section 3.1). The runtime's decompressor takes
 * data that stops within a frame, and bytes after one, for a good end; this walk over the headers
 * of frames and blocks, which looks at nothing else, does not.
 */

const MAGIC = 0xfd2fb528;
/** The last four bits of a skippable frame's magic number are free. */
const SKIPPABLE_MAGIC = 0x184d2a50;
const CONTENT_SIZE_BYTES = [0, 2, 4, 8] as const;
const DICTIONARY_ID_BYTES = [0, 1, 2, 4] as const;
const CHECKSUM_BYTES = 4;

/** What the next bytes are. `frame` is the only one at which data may end. */
type Expected = "frame" | "descriptor" | "block" | "skippable";

const HEAD_BYTES: Readonly<Record<Expected, number>> = {
  frame: 4,
  descriptor: 1,
  block: 3,
  skippable: 4,
};

export class ZstdFrames {
  #expected: Expected = "frame";
  #head = 0;
  #headBytes = 0;
  /** Bytes before the next header. */
  #skip = 0;
  #checksum = false;

  /** Says what is wrong with the next bytes, or null. */
  push(bytes: Uint8Array): string | null {
    let at = 0;
    while (at < bytes.length) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, bytes.length - at);
        this.#skip -= skipped;
        at += skipped;
        continue;
      }
      this.#head += (bytes[at] ?? 0) * 2 ** (8 * this.#headBytes);
      this.#headBytes += 1;
      at += 1;
      if (this.#headBytes < HEAD_BYTES[this.#expected]) continue;
      const head = this.#head;
      this.#head = 0;
      this.#headBytes = 0;
      const wrong = this.#take(head);
      if (wrong !== null) return wrong;
    }
    return null;
  }

  /** Says what is missing at the end of the data, or null. */
  end(): string | null {
    const whole = this.#expected === "frame" && this.#headBytes === 0 && this.#skip === 0;
    return whole ? null : "it ends within a frame";
  }

  #take(head: number): string | null {
    switch (this.#expected) {
      case "frame":
        if (head === MAGIC) this.#expected = "descriptor";
        else if ((head & ~0xf) === SKIPPABLE_MAGIC) this.#expected = "skippable";
        else return "what should be a frame is none";
        return null;
      case "skippable":
        this.#skip = head;
        this.#expected = "frame";
        return null;
      case "descriptor":
        this.#skip = headerBytes(head);
        this.#checksum = (head & 4) !== 0;
        this.#expected = "block";
        return null;
      case "block":
        return this.#takeBlock(head);
    }
  }

  #takeBlock(head: number): string | null {
    const type = (head >> 1) & 3;
    if (type === 3) return "a block has the reserved type";
    // A block of one repeated byte stores that byte alone.
    this.#skip = type === 1 ? 1 : head >> 3;
    if ((head & 1) === 0) return null;
    if (this.#checksum) this.#skip += CHECKSUM_BYTES;
    this.#expected = "frame";
    return null;
  }
}

/** Bytes of a frame's header after its descriptor. */
function headerBytes(descriptor: number): number {
  const single = (descriptor & 0x20) !== 0;
  const size = descriptor >> 6;
  const sizeBytes = size === 0 && single ? 1 : CONTENT_SIZE_BYTES[size] ?? 0;
  return (single ? 0 : 1) + (DICTIONARY_ID_BYTES[descriptor & 3] ?? 0) + sizeBytes;
}
