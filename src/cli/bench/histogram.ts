/**
 * Latencies in buckets whose width grows with the value: each power of two is cut into 128 equal
 * parts, so a percentile is off by less than 0.8 % whatever its size, memory is fixed and `record`
 * costs a few instructions. The idea is Gil Tene's HdrHistogram.
 */

const PARTS_BITS = 7;
const PARTS = 1 << PARTS_BITS;
/** The largest latency told apart: about 35 minutes in µs. Larger ones count as this. */
const VALUE_MAX = 0x7fff_ffff;
const BUCKETS = bucketOf(VALUE_MAX) + 1;

export class Histogram {
  readonly #counts = new Float64Array(BUCKETS);
  #count = 0;
  #sum = 0;
  #min = 0;
  #max = 0;

  get count(): number {
    return this.#count;
  }

  /** Exact, as are the mean and the minimum; only percentiles are rounded. */
  get maxMs(): number {
    return this.#max / 1000;
  }

  get minMs(): number {
    return this.#min / 1000;
  }

  get meanMs(): number {
    return this.#count === 0 ? 0 : this.#sum / this.#count / 1000;
  }

  /** Negative latencies, which a rounded clock can give, count as 0. */
  record(latencyMs: number): void {
    const value = Math.min(VALUE_MAX, Math.max(0, Math.round(latencyMs * 1000)));
    const bucket = bucketOf(value);
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#sum += value;
    if (this.#count === 0 || value < this.#min) this.#min = value;
    if (value > this.#max) this.#max = value;
    this.#count++;
  }

  /**
   * The latency in ms that `percent` of all are at or below, never understated: the upper edge of
   * its bucket, but at most the largest one seen. 0 when nothing was recorded.
   */
  percentileMs(percent: number): number {
    if (this.#count === 0) return 0;
    // The small term keeps 99.9 % of 1,000 at 999 where binary fractions would make it 1,000.
    const wanted = Math.max(1, Math.ceil((percent / 100) * this.#count - 1e-9 * this.#count));
    let seen = 0;
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      seen += this.#counts[bucket] ?? 0;
      if (seen >= wanted) return Math.min(upperEdgeOf(bucket), this.#max) / 1000;
    }
    return this.maxMs;
  }
}

/** Values below 2 × 128 have a bucket each; above, the leading eight bits choose it. */
function bucketOf(value: number): number {
  const shift = Math.max(0, 31 - Math.clz32(value) - PARTS_BITS);
  return shift * PARTS + (value >>> shift);
}

function upperEdgeOf(bucket: number): number {
  const shift = Math.max(0, Math.floor(bucket / PARTS) - 1);
  return (bucket - shift * PARTS + 1) * 2 ** shift - 1;
}
