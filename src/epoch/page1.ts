/**
 * Page 1 begins with SQLite's database header (sqlite.org/fileformat2, section 1.3). In an epoch it
 * always has one canonical form, since SQLite in WAL mode writes it rarely, and readers of an image
 * notice a change only by its counter (PROTOCOL, section 2).
 */
import { assert } from "../base/assert.ts";
import { Failure } from "../base/failure.ts";
import { isPageSize } from "./header.ts";

export interface Page1Stamp {
  readonly epoch: number;
  /** Pages in the database after the epoch. */
  readonly commit: number;
  /** Set where the content is no transaction on its predecessor: the predecessor's plus 1. */
  readonly schemaCookie?: number;
}

/** What the machinery reads in page 1. All numbers as they stand there, unsigned. */
export interface Page1 {
  readonly pageSize: number;
  /** Bytes 18 and 19: 1 for a rollback journal, the canonical form, 2 for WAL. */
  readonly writeVersion: number;
  readonly readVersion: number;
  /** Bytes at the end of each page that SQLite leaves to extensions. */
  readonly reservedBytes: number;
  readonly changeCounter: number;
  readonly commit: number;
  readonly freePages: number;
  readonly schemaCookie: number;
  readonly encoding: "UTF-8" | "UTF-16le" | "UTF-16be" | "none yet";
  readonly userVersion: number;
  readonly applicationId: number;
  readonly versionValidFor: number;
}

const TITLE = "SQLite format 3\0";
const ENCODINGS = ["none yet", "UTF-8", "UTF-16le", "UTF-16be"] as const;

/** A copy of page 1 in canonical form. The original is not changed. */
export function stampPage1(bytes: Uint8Array, stamp: Page1Stamp): Uint8Array {
  const { epoch, commit, schemaCookie } = stamp;
  assert(isPageSize(bytes.length), `page 1 of ${bytes.length} bytes`);
  assert(Number.isSafeInteger(epoch) && epoch >= 1, `epoch ${epoch}`);
  assert(commit >= 1 && commit <= 0xffff_ffff, `commit ${commit}`);
  // Not `slice`: a Buffer's is no copy.
  const copy = new Uint8Array(bytes);
  const view = new DataView(copy.buffer);
  copy[18] = 1;
  copy[19] = 1;
  view.setUint32(24, low32(epoch));
  view.setUint32(28, commit);
  view.setUint32(92, low32(epoch));
  if (schemaCookie !== undefined) view.setUint32(40, schemaCookie);
  return copy;
}

/** True for a page 1 that `stampPage1` would leave as it is, the schema cookie aside. */
export function isCanonicalPage1(bytes: Uint8Array, stamp: Page1Stamp): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return bytes[18] === 1 && bytes[19] === 1 && view.getUint32(24) === low32(stamp.epoch) &&
    view.getUint32(92) === low32(stamp.epoch) && view.getUint32(28) === stamp.commit;
}

/** Reads page 1, or its first 100 bytes. Throws `corrupt` when it is not a SQLite header. */
export function readPage1(bytes: Uint8Array, what = "page 1"): Page1 {
  if (bytes.length < 100) {
    throw new Failure("corrupt", `Cannot read ${what}: ${bytes.length} bytes instead of 100`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, 100);
  if (String.fromCharCode(...bytes.subarray(0, 16)) !== TITLE) {
    throw new Failure("corrupt", `Cannot read ${what}: it does not begin as a SQLite database`);
  }
  const stated = view.getUint16(16);
  const pageSize = stated === 1 ? 65_536 : stated;
  if (!isPageSize(pageSize)) {
    throw new Failure("corrupt", `Cannot read ${what}: a page size of ${stated}`);
  }
  const encoding = ENCODINGS[view.getUint32(56)];
  if (encoding === undefined) {
    throw new Failure("corrupt", `Cannot read ${what}: text encoding ${view.getUint32(56)}`);
  }
  return {
    pageSize,
    writeVersion: view.getUint8(18),
    readVersion: view.getUint8(19),
    reservedBytes: view.getUint8(20),
    changeCounter: view.getUint32(24),
    commit: view.getUint32(28),
    freePages: view.getUint32(36),
    schemaCookie: view.getUint32(40),
    encoding,
    userVersion: view.getUint32(60),
    applicationId: view.getUint32(68),
    versionValidFor: view.getUint32(92),
  };
}

function low32(epoch: number): number {
  return epoch % 0x1_0000_0000;
}
