/**
 * The fixed parts of an object: its first 100 and last 16 bytes (LTX format version 3, all numbers
 * big-endian). What LTX has no field for stands in the reserved bytes 80–99 (PROTOCOL, section 2).
 *
 *     0  "LTX1"        16  first epoch     40  pre-apply checksum: 0    80  database checksum
 *     4  flags         24  last epoch      48  WAL offset, size,        88  link
 *     8  page size     32  timestamp, ms       salts: 0                 96  kind
 *    12  commit                            72  node id
 *
 * The trailer is the post-apply checksum, 0, and the file checksum, whose top bit is always set.
 */
import { assert } from "../base/assert.ts";
import { Failure } from "../base/failure.ts";
import type { EpochHeader, EpochKind } from "./epoch.ts";

export const HEADER_BYTES = 100;
export const TRAILER_BYTES = 16;
/** Set in every file checksum, so that none is zero. */
export const FILE_CHECKSUM_FLAG = 1n << 63n;

/** Litestream restores only files whose standard checksums are declared absent. */
const FLAG_NO_CHECKSUM = 2;
const KINDS: readonly EpochKind[] = ["data", "claim", "resignation", "tombstone"];
const U32_MAX = 0xffff_ffff;
const U64_MAX = (1n << 64n) - 1n;

export function isPageSize(bytes: number): boolean {
  return bytes >= 512 && bytes <= 65_536 && (bytes & (bytes - 1)) === 0;
}

export function encodeHeader(header: EpochHeader): Uint8Array {
  const { minEpoch, maxEpoch, nodeId, databaseChecksum, link } = header;
  assert(isPageSize(header.pageSize), `page size ${header.pageSize}`);
  assert(isWhole(header.commit, 1, U32_MAX), `commit ${header.commit}`);
  assert(isWhole(minEpoch, 1) && isWhole(maxEpoch, minEpoch), `epochs ${minEpoch} to ${maxEpoch}`);
  assert(isWhole(header.timestampMs, 0), `timestamp ${header.timestampMs}`);
  for (const value of [nodeId, databaseChecksum, link]) {
    assert(value >= 0n && value <= U64_MAX, `${value} is an unsigned 64-bit number`);
  }
  const bytes = new Uint8Array(HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set([0x4c, 0x54, 0x58, 0x31]);
  view.setUint32(4, FLAG_NO_CHECKSUM);
  view.setUint32(8, header.pageSize);
  view.setUint32(12, header.commit);
  view.setBigUint64(16, BigInt(minEpoch));
  view.setBigUint64(24, BigInt(maxEpoch));
  view.setBigUint64(32, BigInt(header.timestampMs));
  view.setBigUint64(72, nodeId);
  view.setBigUint64(80, databaseChecksum);
  view.setBigUint64(88, link);
  view.setUint32(96, KINDS.indexOf(header.kind));
  return bytes;
}

/**
 * Reads the first 100 bytes of an object. `what` names it in the failure.
 * Throws `corrupt`, and says so where a newer version must have written it.
 */
export function decodeHeader(bytes: Uint8Array, what: string): EpochHeader {
  if (bytes.length < HEADER_BYTES) {
    throw corrupt(what, bytes.length, `it ends within the header of ${HEADER_BYTES} bytes`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES);
  checkFormat(bytes, view, what);
  const pageSize = view.getUint32(8);
  if (!isPageSize(pageSize)) throw corrupt(what, 8, `a page size of ${pageSize}`);
  const commit = view.getUint32(12);
  if (commit === 0) throw corrupt(what, 12, "a database of 0 pages");
  const minEpoch = wholeAt(view, 16, what, "first epoch");
  const maxEpoch = wholeAt(view, 24, what, "last epoch");
  if (minEpoch < 1 || minEpoch > maxEpoch) {
    throw corrupt(what, 16, `epochs ${minEpoch} to ${maxEpoch}`);
  }
  const timestampMs = wholeAt(view, 32, what, "timestamp");
  for (let at = 40; at < 72; at += 4) {
    if (view.getUint32(at) !== 0) throw corrupt(what, at, "a field that must be 0 is not");
  }
  const kindNumber = view.getUint32(96);
  const kind = KINDS[kindNumber];
  if (kind === undefined) throw corrupt(what, 96, `kind ${kindNumber}, ${NEWER}`);
  return {
    pageSize,
    commit,
    minEpoch,
    maxEpoch,
    timestampMs,
    nodeId: view.getBigUint64(72),
    databaseChecksum: view.getBigUint64(80),
    link: view.getBigUint64(88),
    kind,
  };
}

export function encodeTrailer(fileChecksum: bigint): Uint8Array {
  assert((fileChecksum & FILE_CHECKSUM_FLAG) !== 0n, "a file checksum has its top bit set");
  const bytes = new Uint8Array(TRAILER_BYTES);
  new DataView(bytes.buffer).setBigUint64(8, fileChecksum);
  return bytes;
}

/**
 * The file checksum in the last 16 bytes of an object, of which `offset` is the position.
 * Throws `corrupt`. Whether the object has this checksum, only decoding all of it can tell.
 */
export function decodeTrailer(bytes: Uint8Array, what: string, offset = 0): bigint {
  if (bytes.length !== TRAILER_BYTES) {
    throw corrupt(what, offset, `a trailer of ${bytes.length} instead of ${TRAILER_BYTES} bytes`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, TRAILER_BYTES);
  if (view.getBigUint64(0) !== 0n) throw corrupt(what, offset, "a post-apply checksum");
  const fileChecksum = view.getBigUint64(8);
  if ((fileChecksum & FILE_CHECKSUM_FLAG) === 0n) {
    throw corrupt(what, offset + 8, "a file checksum without its top bit");
  }
  return fileChecksum;
}

/** A failure that says which object is damaged, where, and how. */
export function corrupt(what: string, offset: number, why: string): Failure {
  return new Failure("corrupt", `Cannot decode ${what}: at byte ${offset}: ${why}`, {
    details: { what, offset },
  });
}

const NEWER = "which this version does not know: a newer version of Headgate wrote it";

function checkFormat(bytes: Uint8Array, view: DataView, what: string): void {
  const magic = String.fromCharCode(...bytes.subarray(0, 4));
  if (/^LTX[2-9]$/.test(magic)) throw corrupt(what, 0, `format ${magic}, ${NEWER}`);
  if (magic !== "LTX1") throw corrupt(what, 0, "it does not begin with LTX1");
  const flags = view.getUint32(4);
  if ((flags & FLAG_NO_CHECKSUM) === 0) throw corrupt(what, 4, "the flag NoChecksum is missing");
  if (flags !== FLAG_NO_CHECKSUM) throw corrupt(what, 4, `flags 0x${flags.toString(16)}, ${NEWER}`);
}

function isWhole(value: number, min: number, max = Number.MAX_SAFE_INTEGER): boolean {
  return Number.isInteger(value) && value >= min && value <= max;
}

function wholeAt(view: DataView, offset: number, what: string, field: string): number {
  const value = view.getBigUint64(offset);
  if (value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value);
  throw corrupt(what, offset, `a ${field} of ${value}`);
}
