/**
 * The words of an epoch: what one object of a chain says. The bytes are in `encode.ts` and
 * `decode.ts`.
 */

/** A page of a database: its number (from 1) and its bytes (exactly one page size). */
export interface Page {
  readonly number: number;
  readonly bytes: Uint8Array;
}

/** What an epoch is for. A compacted object is `data` only if it holds no claim or tombstone. */
export type EpochKind = "data" | "claim" | "resignation" | "tombstone";

export interface EpochHeader {
  /** Bytes a page: a power of two from 512 to 65536. */
  readonly pageSize: number;
  /** Pages in the database after this epoch. */
  readonly commit: number;
  /** First and last epoch in the object; equal in level 0. */
  readonly minEpoch: number;
  readonly maxEpoch: number;
  /** Wall time of the last epoch, ms since 1970; ascends along a chain. */
  readonly timestampMs: number;
  /** Random 64-bit number drawn at the claim. */
  readonly nodeId: bigint;
  /** Sum over all pages of XXH64(bytes, seed = page number), mod 2^64, after this epoch. */
  readonly databaseChecksum: bigint;
  /**
   * Level 0: the file checksum of the epoch before (0 in epoch 1).
   * Levels ≥ 1: the file checksum of level-0 epoch `maxEpoch`.
   */
  readonly link: bigint;
  readonly kind: EpochKind;
}

export interface EncodedEpoch {
  readonly bytes: Uint8Array;
  /** CRC-64/GO-ISO over the object as LTX defines it; the next epoch's link. */
  readonly fileChecksum: bigint;
}

export interface DecodedEpoch {
  readonly header: EpochHeader;
  /** In ascending order, the lock page never among them. */
  readonly pages: readonly Page[];
  readonly fileChecksum: bigint;
}

/** The page that holds byte 0x40000000, which SQLite never writes. */
export function lockPage(pageSize: number): number {
  return 0x40000000 / pageSize + 1;
}
