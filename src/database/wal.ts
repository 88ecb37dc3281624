/**
 * SQLite's write-ahead log as bytes (sqlite.org/fileformat2.html, section 4): which frames are
 * committed, told by salt and cumulative checksum alone. A rolled-back transaction leaves frames
 * behind the last commit; the next one overwrites them.
 */

export const WAL_HEADER_BYTES = 32;
export const FRAME_HEADER_BYTES = 24;

const MAGIC_LITTLE_ENDIAN = 0x377f0682;
const MAGIC_BIG_ENDIAN = 0x377f0683;
const FORMAT_VERSION = 3007000;

/** Where the next frame goes, and the checksum that it continues. */
export interface WalPosition {
  readonly offset: number;
  readonly sum0: number;
  readonly sum1: number;
  readonly salt0: number;
  readonly salt1: number;
  /** How the checksum reads the file's words; frames' own numbers are always big-endian. */
  readonly bigEndian: boolean;
}

export interface Frame {
  /** Number of the page. */
  readonly page: number;
  /** Where its bytes begin in the file. */
  readonly offset: number;
}

/** Frames up to and with the last commit frame. */
export interface WalCommits {
  readonly frames: readonly Frame[];
  /** Pages in the database after it. */
  readonly commit: number;
  readonly position: WalPosition;
}

/** Reads `length` bytes at `offset`, fewer at the end of the file. The bytes may be reused by the next call. */
export type ReadAt = (offset: number, length: number) => Uint8Array;

/** Null when the file has no valid header: then it holds nothing. */
export function readWalHeader(bytes: Uint8Array, pageSize: number): WalPosition | null {
  if (bytes.length < WAL_HEADER_BYTES) return null;
  const view = viewOf(bytes);
  const magic = view.getUint32(0);
  if (magic !== MAGIC_LITTLE_ENDIAN && magic !== MAGIC_BIG_ENDIAN) return null;
  if (view.getUint32(4) !== FORMAT_VERSION || view.getUint32(8) !== pageSize) return null;
  const bigEndian = magic === MAGIC_BIG_ENDIAN;
  const sum = new Int32Array(2);
  addToChecksum(sum, view, 0, 24, bigEndian);
  if ((sum[0] ?? 0) !== view.getInt32(24) || (sum[1] ?? 0) !== view.getInt32(28)) return null;
  return {
    offset: WAL_HEADER_BYTES,
    sum0: sum[0] ?? 0,
    sum1: sum[1] ?? 0,
    salt0: view.getUint32(16),
    salt1: view.getUint32(20),
    bigEndian,
  };
}

/** Bytes of frames that are read at a time. */
const CHUNK_BYTES = 1024 * 1024;

/** What was committed since `from`; null when nothing was. */
export function readCommits(read: ReadAt, from: WalPosition, pageSize: number): WalCommits | null {
  const frameBytes = FRAME_HEADER_BYTES + pageSize;
  const chunkBytes = Math.max(1, Math.floor(CHUNK_BYTES / frameBytes)) * frameBytes;
  const frames: Frame[] = [];
  const sum = Int32Array.of(from.sum0, from.sum1);
  let committed = 0;
  let found: Omit<WalCommits, "frames"> | null = null;
  for (let offset = from.offset;; offset += chunkBytes) {
    const chunk = read(offset, chunkBytes);
    const view = viewOf(chunk);
    let at = 0;
    for (; at + frameBytes <= chunk.length; at += frameBytes) {
      if (view.getUint32(at + 8) !== from.salt0 || view.getUint32(at + 12) !== from.salt1) break;
      addToChecksum(sum, view, at, 8, from.bigEndian);
      addToChecksum(sum, view, at + FRAME_HEADER_BYTES, pageSize, from.bigEndian);
      if (view.getInt32(at + 16) !== sum[0] || view.getInt32(at + 20) !== sum[1]) break;
      const page = view.getUint32(at);
      if (page === 0) break;
      frames.push({ page, offset: offset + at + FRAME_HEADER_BYTES });
      const commit = view.getUint32(at + 4);
      if (commit === 0) continue;
      committed = frames.length;
      const end = offset + at + frameBytes;
      found = { commit, position: { ...from, offset: end, sum0: sum[0] ?? 0, sum1: sum[1] ?? 0 } };
    }
    if (at < chunkBytes) break;
  }
  return found && { ...found, frames: frames.slice(0, committed) };
}

/** True when the file that `read` reads is still the one in which `position` was reached. */
export function sameWal(header: WalPosition | null, position: WalPosition): boolean {
  return header?.salt0 === position.salt0 && header.salt1 === position.salt1;
}

const HOST_BIG_ENDIAN = new Uint8Array(Uint32Array.of(1).buffer)[0] === 0;

/** Goes on with the cumulative checksum over `length` bytes, a multiple of 8. */
function addToChecksum(
  sum: Int32Array,
  view: DataView,
  start: number,
  length: number,
  bigEndian: boolean,
): void {
  let sum0 = sum[0] ?? 0;
  let sum1 = sum[1] ?? 0;
  const address = view.byteOffset + start;
  if (bigEndian === HOST_BIG_ENDIAN && address % 4 === 0) {
    const words = new Int32Array(view.buffer, address, length / 4);
    for (let at = 0; at < words.length; at += 2) {
      sum0 = (sum0 + (words[at] ?? 0) + sum1) | 0;
      sum1 = (sum1 + (words[at + 1] ?? 0) + sum0) | 0;
    }
  } else {
    for (let at = start; at < start + length; at += 8) {
      sum0 = (sum0 + view.getInt32(at, !bigEndian) + sum1) | 0;
      sum1 = (sum1 + view.getInt32(at + 4, !bigEndian) + sum0) | 0;
    }
  }
  sum[0] = sum0;
  sum[1] = sum1;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
