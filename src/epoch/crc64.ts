/**
 * CRC-64/GO-ISO, the "ISO" of Go's hash/crc64: polynomial x^64 + x^4 + x^3 + x + 1, reflected, all
 * ones in and out.
 *
 * The polynomial is so sparse that no tables are needed. A register v followed by 64 more message
 * bits is v · x^64 = v · (x^4 + x^3 + x + 1), three shifts in all, and the at most four bits that
 * overflow are folded in once more by the same rule. In the reflected form, multiplying by x is a
 * shift to the right. The 64 bits are kept as two signed halves, since BigInt is 100 times slower.
 */
export class Crc64 {
  #high = -1;
  #low = -1;

  /** Continues the checksum over `bytes` from `start` to before `end`. */
  update(bytes: Uint8Array, start = 0, end = bytes.length): void {
    const at = end - start < WORDS_BYTES_MIN ? start : this.#words(bytes, start, end);
    let low = this.#low;
    let high = this.#high;
    for (let i = at; i < end; i++) {
      const out = (low ^ (bytes[i] ?? 0)) << 24;
      low = (low >>> 8) | (high << 24);
      high = (high >>> 8) ^ spread(out);
    }
    this.#low = low;
    this.#high = high;
  }

  /** The checksum of everything given so far, unsigned. */
  get value(): bigint {
    return (BigInt(~this.#high >>> 0) << 32n) | BigInt(~this.#low >>> 0);
  }

  /** Takes eight bytes a step; answers where the fewer than eight bytes that are left begin. */
  #words(bytes: Uint8Array, start: number, end: number): number {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let low = this.#low;
    let high = this.#high;
    let at = start;
    for (; at + 8 <= end; at += 8) {
      low ^= view.getInt32(at, true);
      high ^= view.getInt32(at + 4, true);
      const folded = high ^ (low << 28) ^ (low << 29) ^ (low << 31);
      low ^= ((low >>> 1) | (high << 31)) ^ ((low >>> 3) | (high << 29)) ^
        ((low >>> 4) | (high << 28));
      high = spread(folded);
    }
    this.#low = low;
    this.#high = high;
    return at;
  }
}

/** Below this, making a view costs more than it saves. */
const WORDS_BYTES_MIN = 64;

/** v · (x^4 + x^3 + x + 1) on the upper half, into which nothing comes from above. */
function spread(half: number): number {
  return half ^ (half >>> 1) ^ (half >>> 3) ^ (half >>> 4);
}
