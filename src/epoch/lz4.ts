/**
 * LZ4 blocks (lz4_Block_format.md of lz4/lz4) of at most 64 KiB, the size of the largest page.
 *
 * A block is a row of sequences: a token (4 bits each for the lengths), literals, and a match given
 * by a two-byte distance. The last five bytes are always literals, and no match begins in the last
 * twelve. Bytes that do not compress become one sequence of literals, so compressing cannot fail.
 */
import { assert } from "../base/assert.ts";

/** The largest block, so that every distance fits two bytes. */
export const BLOCK_BYTES_MAX = 65_536;

const MATCH_BYTES_MIN = 4;
const LAST_LITERALS = 5;
const LAST_MATCH_START = 12;
const HASH_BITS = 12;
/** Misses in a row after which the search begins to take larger steps, as a power of two. */
const SKIP_AFTER_BITS = 5;

/**
 * Where a hash of four bytes was last seen, plus `tableBase`. The base moves up with every block, so
 * what earlier blocks left behind reads as "never" and the table is not cleared each time.
 * Shared by all calls, none of which waits for anything.
 */
const table = new Int32Array(1 << HASH_BITS);
let tableBase = 1;

/** Bytes that compressing `length` bytes can take at most. */
export function compressedBytesMax(length: number): number {
  return length + Math.floor(length / 255) + 16;
}

/**
 * Compresses all of `source` into `target` from `targetAt` and answers the position after it.
 * `target` has room for `compressedBytesMax(source.length)` there.
 */
export function compressBlock(source: Uint8Array, target: Uint8Array, targetAt: number): number {
  const length = source.length;
  assert(length <= BLOCK_BYTES_MAX, `LZ4 block of ${length} bytes`);
  assert(target.length - targetAt >= compressedBytesMax(length), "room for an LZ4 block");
  const view = new DataView(source.buffer, source.byteOffset, length);
  const base = nextBase(length);
  const searchEnd = length - LAST_MATCH_START;
  let anchor = 0;
  let at = 0;
  let out = targetAt;
  let misses = 1 << SKIP_AFTER_BITS;
  while (at <= searchEnd) {
    const four = view.getInt32(at, true);
    const slot = hash(four);
    let match = (table[slot] ?? 0) - base;
    table[slot] = base + at;
    if (match < 0 || match >= at || view.getInt32(match, true) !== four) {
      at += misses++ >> SKIP_AFTER_BITS;
      continue;
    }
    while (at > anchor && match > 0 && source[at - 1] === source[match - 1]) {
      at--;
      match--;
    }
    const end = matchEnd(view, at, match, length - LAST_LITERALS);
    const token = out;
    out = putLiterals(source, anchor, at, target, token);
    target[out++] = (at - match) & 255;
    target[out++] = (at - match) >> 8;
    const extra = end - at - MATCH_BYTES_MIN;
    target[token] = (target[token] ?? 0) | Math.min(extra, 15);
    if (extra >= 15) out = putLength(target, out, extra - 15);
    at = end;
    anchor = end;
    misses = 1 << SKIP_AFTER_BITS;
    if (at <= searchEnd) table[hash(view.getInt32(at - 2, true))] = base + at - 2;
  }
  return putLiterals(source, anchor, length, target, out);
}

function nextBase(length: number): number {
  if (tableBase > 0x3fff_0000) {
    table.fill(0);
    tableBase = 1;
  }
  const base = tableBase;
  tableBase += length;
  return base;
}

function hash(four: number): number {
  return Math.imul(four, 0x9e3779b1) >>> (32 - HASH_BITS);
}

/** First position at or after `at + 4` that differs from its counterpart at `match`. */
function matchEnd(view: DataView, at: number, match: number, limit: number): number {
  const distance = at - match;
  let end = at + MATCH_BYTES_MIN;
  for (; end + 4 <= limit; end += 4) {
    const difference = view.getInt32(end, true) ^ view.getInt32(end - distance, true);
    if (difference !== 0) return end + ((31 - Math.clz32(difference & -difference)) >> 3);
  }
  while (end < limit && view.getUint8(end) === view.getUint8(end - distance)) end++;
  return end;
}

/** Writes a token for a sequence without a match, and the literals; answers the position after. */
function putLiterals(
  source: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  targetAt: number,
): number {
  const length = end - start;
  let out = targetAt + 1;
  if (length < 15) target[targetAt] = length << 4;
  else {
    target[targetAt] = 0xf0;
    out = putLength(target, out, length - 15);
  }
  copyLiterals(source, start, target, out, length);
  return out + length;
}

function putLength(target: Uint8Array, targetAt: number, length: number): number {
  let out = targetAt;
  let rest = length;
  for (; rest >= 255; rest -= 255) target[out++] = 255;
  target[out++] = rest;
  return out;
}

/**
 * Decompresses the block at `start` to before `end` of `source` into `target`, which it must fill
 * exactly. Answers null, or what is wrong with the block. Never touches a byte outside of either,
 * and ends after a number of steps bounded by the two lengths.
 */
export function decompressBlock(
  source: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
): string | null {
  assert(0 <= start && end <= source.length, "an LZ4 block lies within its source");
  const size = target.length;
  let at = start;
  let out = 0;
  while (at < end) {
    const token = source[at++] ?? 0;
    let literals = token >> 4;
    if (literals === 15) {
      let more = 255;
      while (more === 255 && at < end) literals += more = source[at++] ?? 0;
      if (more === 255) return "a length runs past its end";
    }
    if (literals > end - at) return "literals run past its end";
    if (literals > size - out) return "it holds more bytes than a page";
    copyLiterals(source, at, target, out, literals);
    at += literals;
    out += literals;
    if (at === end) return out === size ? null : `it holds ${out} bytes instead of ${size}`;

    if (end - at < 2) return "a distance runs past its end";
    const distance = (source[at] ?? 0) | ((source[at + 1] ?? 0) << 8);
    at += 2;
    if (distance === 0 || distance > out) return `a distance of ${distance} at byte ${out}`;
    let length = (token & 15) + MATCH_BYTES_MIN;
    if ((token & 15) === 15) {
      let more = 255;
      while (more === 255 && at < end) length += more = source[at++] ?? 0;
      if (more === 255) return "a length runs past its end";
    }
    if (length > size - out) return "it holds more bytes than a page";
    copyMatch(target, out, distance, length);
    out += length;
  }
  return "it ends without literals";
}

function copyLiterals(
  source: Uint8Array,
  at: number,
  target: Uint8Array,
  out: number,
  length: number,
): void {
  if (length > 64) target.set(source.subarray(at, at + length), out);
  else for (let i = 0; i < length; i++) target[out + i] = source[at + i] ?? 0;
}

/** Source and target overlap when the distance is short: that is how LZ4 writes runs. */
function copyMatch(target: Uint8Array, out: number, distance: number, length: number): void {
  if (length > 64 && distance === 1) target.fill(target[out - 1] ?? 0, out, out + length);
  else if (length > 64 && distance >= length) {
    target.copyWithin(out, out - distance, out - distance + length);
  } else for (let i = out; i < out + length; i++) target[i] = target[i - distance] ?? 0;
}
