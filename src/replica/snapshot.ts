/**
 * Snapshots: the whole database as one object of level 9, written without blocking writers and
 * read back before anything relies on it (PROTOCOL section 10; "verified", I10).
 */
import { Failure } from "../base/failure.ts";
import type { Image, ImageHead } from "../database/image.ts";
import { settle } from "../store/settle.ts";
import type { EpochKind } from "../epoch/epoch.ts";
import { type Chain, epochKey, snapshotKey } from "./chain.ts";
import { decodePieces, fetchPieces } from "./fetch.ts";
import { hex } from "./join.ts";
import { decodeHeader, HEADER_BYTES } from "../epoch/header.ts";
import type { Parts } from "./parts.ts";

export interface Snapshot {
  readonly epoch: number;
  readonly size: number;
}

/** Writes and verifies a snapshot of the image as of its head. */
export async function writeSnapshot(
  parts: Parts,
  chain: Chain,
  image: Image,
  kind: EpochKind,
  signal: AbortSignal,
): Promise<Snapshot> {
  const source = parts.temporaryPath("snapshot");
  try {
    const head = await image.copy(source);
    const encoded = await parts.encodeSnapshot(source, {
      pageSize: image.pageSize,
      commit: head.commit,
      minEpoch: 1,
      maxEpoch: head.epoch,
      timestampMs: head.timestampMs,
      nodeId: parts.random.u64(),
      databaseChecksum: head.databaseChecksum,
      link: head.fileChecksum,
      kind,
    });
    try {
      parts.crashPoint("snapshot.before_create");
      const key = snapshotKey(chain, head.epoch);
      await settle(chain.store, key, { path: encoded.path, size: encoded.size }, {
        clock: parts.clock,
        random: parts.random,
        log: parts.log,
        signal,
      });
      parts.crashPoint("snapshot.after_create");
      await verifySnapshot(parts, chain, head);
      return { epoch: head.epoch, size: encoded.size };
    } finally {
      await parts.removeFile(encoded.path);
    }
  } finally {
    await parts.removeFile(source);
  }
}

/**
 * Reads a snapshot back from the store and compares its checksum with that in the level-0 epoch of
 * the same number. Rejects with `corrupt` naming both keys.
 */
export async function verifySnapshot(
  parts: Parts,
  chain: Chain,
  head: Pick<ImageHead, "epoch" | "databaseChecksum">,
): Promise<void> {
  const key = snapshotKey(chain, head.epoch);
  const epoch = epochKey(chain, head.epoch);
  const [info, start] = await Promise.all([
    chain.store.head(key),
    chain.store.getRange(epoch, { offset: 0, length: HEADER_BYTES }),
  ]);
  if (!info || !start) {
    throw new Failure("missing", `Cannot verify ${key}: ${info ? epoch : key} is not in the store`);
  }
  const wanted = decodeHeader(start, epoch).databaseChecksum;
  const { header } = await decodePieces(
    fetchPieces(chain.store, key, info.size),
    key,
    parts.clock,
    async () => {},
  );
  if (header.databaseChecksum !== wanted || head.databaseChecksum !== wanted) {
    throw new Failure(
      "corrupt",
      `Cannot use ${key}: its database checksum is ${hex(header.databaseChecksum)}, that of ` +
        `${epoch} is ${hex(wanted)}`,
    );
  }
}

/** When a chain is due for a snapshot: it outgrew the database, or the last one is old. */
export function snapshotDue(
  facts: { chainBytes: number; databaseBytes: number; snapshotAgeMs: number; epochs: number },
  options: { snapshotChainBytesMin: number; snapshotAgeMsMax: number },
): boolean {
  if (facts.epochs === 0) return false;
  return facts.chainBytes > Math.max(facts.databaseBytes, options.snapshotChainBytesMin) ||
    facts.snapshotAgeMs > options.snapshotAgeMsMax;
}
