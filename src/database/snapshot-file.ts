/** The words of an encoded snapshot: an LTX object in a local file, its length known. */
import type { EpochHeader } from "../epoch/epoch.ts";

export type SnapshotHeader = EpochHeader;

export interface EncodedFile {
  readonly path: string;
  readonly size: number;
  readonly fileChecksum: bigint;
}
