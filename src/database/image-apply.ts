/** How one epoch goes into a page file: what must hold before, the bytes, and what holds after. */
import { assert } from "../base/assert.ts";
import { Failure } from "../base/failure.ts";
import { pageHash } from "../epoch/checksum.ts";
import type { DecodedEpoch } from "../epoch/epoch.ts";
import type { ImageHead } from "./image.ts";
import type { ImageCopy } from "./image-copy.ts";
import type { PageFile, Slices } from "./page-file.ts";

const U64 = 0xffff_ffff_ffff_ffffn;

/** Throws `corrupt` unless the epoch follows the head (I9). */
export function checkNext(
  head: ImageHead,
  pageSize: number,
  epoch: DecodedEpoch,
  level: number,
): void {
  const { header } = epoch;
  const refuse = (why: string): never => {
    throw new Failure(
      "corrupt",
      `Cannot apply epochs ${header.minEpoch} to ${header.maxEpoch} to an image at ${head.epoch}: ${why}`,
    );
  };
  if (header.minEpoch > head.epoch + 1 || header.maxEpoch <= head.epoch) {
    refuse("they do not follow it");
  }
  if (header.pageSize !== pageSize) {
    refuse(`their pages have ${header.pageSize} bytes, the image's ${pageSize}`);
  }
  if (level === 0 && header.link !== head.fileChecksum) {
    refuse(
      `they follow an epoch with file checksum ${header.link.toString(16)}, the image's last has ${
        head.fileChecksum.toString(16)
      }`,
    );
  }
}

/** The head once the epoch is in. */
export function headAfter(epoch: DecodedEpoch, level: number): ImageHead {
  const { header } = epoch;
  return {
    epoch: header.maxEpoch,
    commit: header.commit,
    databaseChecksum: header.databaseChecksum,
    fileChecksum: level === 0 ? epoch.fileChecksum : header.link,
    timestampMs: header.timestampMs,
  };
}

/**
 * Hashes the epoch's pages, in slices. Throws `corrupt` unless the database checksum after it will
 * be the header's; nothing has been written then.
 */
export async function hashPages(
  file: PageFile,
  epoch: DecodedEpoch,
  slices: Slices,
): Promise<BigUint64Array> {
  const { pages, header } = epoch;
  const hashes = new BigUint64Array(pages.length);
  let sum = file.hashes.sum;
  for (let page = header.commit + 1; page <= file.pages; page++) {
    if (page !== file.lockPage) sum -= file.hashes.get(page);
    if ((page & 0xfff) === 0 && slices.over) await slices.turn();
  }
  let last = 0;
  for (const [at, page] of pages.entries()) {
    assert(page.number > last && page.number !== file.lockPage, "pages ascend");
    assert(page.number <= header.commit, `page ${page.number} is within ${header.commit}`);
    last = page.number;
    const hash = pageHash(page.bytes, page.number);
    hashes[at] = hash;
    sum += hash - (page.number <= file.pages ? file.hashes.get(page.number) : 0n);
    if ((at & 0xff) === 0 && slices.over) await slices.turn();
  }
  if ((sum & U64) !== header.databaseChecksum) {
    throw new Failure(
      "corrupt",
      `Cannot apply epoch ${header.maxEpoch}: the database checksum after it would be ${
        (sum & U64).toString(16)
      }, its header says ${header.databaseChecksum.toString(16)}`,
    );
  }
  return hashes;
}

/** Writes the epoch's pages and their hashes, in slices, giving old bytes to copies first. */
export async function writeEpoch(
  file: PageFile,
  epoch: DecodedEpoch,
  hashes: BigUint64Array,
  copies: ReadonlySet<ImageCopy>,
  slices: Slices,
): Promise<void> {
  const { pages, header } = epoch;
  for (let at = 0; at < pages.length;) {
    const first = pages[at]?.number ?? 0;
    if (copies.size > 0) {
      const count = file.runLength(pages, at);
      for (const copy of copies) copy.keep(first, first + count - 1);
    }
    const count = file.writeRun(pages, at);
    for (let i = 0; i < count; i++) file.hashes.set(first + i, hashes[at + i] ?? 0n);
    at += count;
    if (slices.over) await slices.turn();
  }
  if (header.commit < file.pages) {
    for (const copy of copies) copy.keep(header.commit + 1, file.pages);
    file.hashes.truncate(header.commit);
  }
  file.resize(header.commit);
  assert(
    file.hashes.sum === header.databaseChecksum,
    `the image's checksum is epoch ${header.maxEpoch}'s [I6]`,
  );
}
