/**
 * A chain walked object by object, and what many claimants were told held against it: at every epoch
 * one owner, every acknowledged write there once, nothing there that was refused.
 */
import { join } from "node:path";
import { systemClock } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import type { Image } from "../../src/database/image.ts";
import { createImage } from "../../src/database/image-builder.ts";
import { decodeEpoch } from "../../src/epoch/decode.ts";
import type { DecodedEpoch } from "../../src/epoch/epoch.ts";
import { type Chain, epochKey } from "../../src/replica/chain.ts";
import { type ClaimantReport, hashOf, type RacedWrite } from "./claimant.ts";

export interface WalkedEpoch {
  readonly epoch: number;
  readonly kind: string;
  readonly nodeId: bigint;
  readonly hash: string;
  /** Node in the row of the claim that this epoch is; null for others. */
  readonly claimedBy: string | null;
  /** Rows of the ledger that it brought. */
  readonly rows: readonly { readonly id: string; readonly payload: string }[];
}

/**
 * Reads every epoch in order into an image, which checks links and checksums as a follower does.
 * Throws when the chain is broken.
 */
export async function walkChain(chain: Chain, directory: string): Promise<WalkedEpoch[]> {
  const walked: WalkedEpoch[] = [];
  let image: Image | null = null;
  let rowid = 0;
  for (let epoch = 1;; epoch++) {
    const key = epochKey(chain, epoch);
    const stored = await chain.store.get(key);
    if (stored === null) break;
    const decoded = decodeEpoch(stored.bytes, key);
    checkLink(decoded, epoch, image);
    if (image) await image.apply(decoded);
    else image = await firstImage(decoded, join(directory, "walked"));
    const { header } = decoded;
    const rows = await ledgerAfter(image, rowid);
    rowid += rows.length;
    walked.push({
      epoch,
      kind: header.kind,
      nodeId: header.nodeId,
      hash: hashOf(stored.bytes),
      claimedBy: await claimant(image, epoch),
      rows,
    });
  }
  await image?.close();
  return walked;
}

function checkLink({ header }: DecodedEpoch, epoch: number, before: Image | null): void {
  const link = before?.head.fileChecksum ?? 0n;
  if (header.minEpoch === epoch && header.maxEpoch === epoch && header.link === link) return;
  throw new Error(`epoch ${epoch} does not follow the one before it: ${JSON.stringify(header)}`);
}

async function firstImage(decoded: DecodedEpoch, path: string): Promise<Image> {
  const { header, pages, fileChecksum } = decoded;
  const { pageSize, commit, databaseChecksum, timestampMs } = header;
  const builder = await createImage({ path, pageSize, clock: systemClock, log: silentLog });
  await builder.write(pages, commit);
  return await builder.finish({ epoch: 1, commit, databaseChecksum, fileChecksum, timestampMs });
}

function ledgerAfter(image: Image, rowid: number): Promise<WalkedEpoch["rows"]> {
  return image.read((database) => {
    const hasLedger = database.query("SELECT 1 FROM sqlite_schema WHERE name = 'ledger'").values();
    if (hasLedger.length === 0) return [];
    const sql = "SELECT id, payload FROM ledger WHERE rowid > ? ORDER BY rowid";
    const rows = database.query(sql).values(rowid);
    return rows.map(([id, payload]) => ({ id: String(id), payload: String(payload) }));
  });
}

function claimant(image: Image, epoch: number): Promise<string | null> {
  return image.read((database) => {
    const sql = "SELECT node FROM _headgate_claims WHERE epoch = ?";
    const [node] = database.query(sql).values(epoch)[0] ?? [];
    return typeof node === "string" ? node : null;
  });
}

/** What is wrong between the chain and the reports, the first of it; empty when all is right. */
export function judgeRace(
  walked: readonly WalkedEpoch[],
  reports: readonly ClaimantReport[],
): string[] {
  return [
    ...judgeOwners(walked, reports),
    ...reports.flatMap((report) => judgeReport(walked, report)),
    ...judgeRows(walked, reports.flatMap(({ writes }) => writes)),
  ].slice(0, 20);
}

/** Between two claims all is the first one's, and only whoever was told so has appended. */
function judgeOwners(
  walked: readonly WalkedEpoch[],
  reports: readonly ClaimantReport[],
): string[] {
  const problems: string[] = [];
  const nodeIds = new Set<bigint>();
  let claim: WalkedEpoch | null = null;
  for (const one of walked) {
    const { epoch, kind, nodeId } = one;
    const isClaim = kind === "claim";
    if (isClaim !== (one.claimedBy !== null)) problems.push(`${epoch}: a row and no claim, or so`);
    if (isClaim && nodeIds.has(nodeId)) problems.push(`${epoch}: node id ${nodeId} is used twice`);
    if (isClaim) claim = one;
    nodeIds.add(nodeId);
    if (claim === null || nodeId !== claim.nodeId) problems.push(`${epoch}: not the owner's`);
    const senders = reports.filter(({ sent }) =>
      sent.some((object) => object.epoch === epoch && object.hash === one.hash)
    );
    const [sender] = senders;
    if (senders.length !== 1 || sender?.node !== claim?.claimedBy) {
      problems.push(
        `${epoch}: sent by ${senders.map(({ node }) => node)}, not ${claim?.claimedBy}`,
      );
    }
    if (!isClaim && !sender?.won.includes(claim?.epoch ?? 0)) {
      problems.push(`${epoch}: appended by ${sender?.node}, which was not told that it owned`);
    }
  }
  return problems;
}

/** What one claimant was told is so. */
function judgeReport(
  walked: readonly WalkedEpoch[],
  { node, won, writes, sent }: ClaimantReport,
): string[] {
  const problems: string[] = [];
  for (const epoch of won) {
    if (walked[epoch - 1]?.claimedBy !== node) problems.push(`${node} did not win claim ${epoch}`);
  }
  for (const { id, payload, outcome, epoch } of writes) {
    if (outcome !== "acknowledged") continue;
    const found = walked[epoch - 1];
    const row = found?.rows.find((one) => one.id === id);
    if (row?.payload !== payload) problems.push(`${id}, acknowledged with ${epoch}, is not in it`);
    if (!sent.some((object) => object.epoch === epoch && object.hash === found?.hash)) {
      problems.push(`${epoch}, acknowledged to ${node}, has other bytes than it sent`);
    }
  }
  return problems;
}

/** Each row of the chain was written, once, and was not refused. */
function judgeRows(walked: readonly WalkedEpoch[], writes: readonly RacedWrite[]): string[] {
  const written = new Map(writes.map((write) => [write.id, write]));
  const seen = new Set<string>();
  return walked.flatMap(({ epoch, rows }) =>
    rows.flatMap(({ id }) => {
      const outcome = written.get(id)?.outcome;
      const isTwice = seen.has(id);
      seen.add(id);
      if (outcome === undefined) return [`${epoch}: nobody wrote ${id}`];
      if (outcome === "refused") return [`${epoch}: ${id} was refused`];
      return isTwice ? [`${epoch}: ${id} is there twice`] : [];
    })
  );
}
