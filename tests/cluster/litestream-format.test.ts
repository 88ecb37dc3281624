/**
 * Litestream restores what the codec wrote: real SQLite databases, one epoch a transaction, laid out
 * as a filesystem store lays them out.
 */
import { Database } from "bun:sqlite";
import { afterAll, describe, expect, test } from "bun:test";
import { mkdir, mkdtemp, rm, utimes } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { PageHashes } from "../../src/epoch/checksum.ts";
import { decodeEpoch } from "../../src/epoch/decode.ts";
import { encodeEpoch } from "../../src/epoch/encode.ts";
import type { EpochHeader, Page } from "../../src/epoch/epoch.ts";
import { databasePrefix, objectKey } from "../../src/epoch/key.ts";
import { readPage1, stampPage1 } from "../../src/epoch/page1.ts";
import { findLitestream, litestreamRestore } from "../support/litestream.ts";

const found = await findLitestream();
if ("missing" in found) console.warn(`skipped: ${found.missing}`);
const litestream = "path" in found ? found.path : "";
const NAME = "orders";
const START_MS = 1_700_000_000_000;

const STEPS = [
  "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO t VALUES (1, 'one')",
  "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i+1 FROM n WHERE i < 3000) " +
  "INSERT INTO t SELECT i, 'name ' || i FROM n",
  "CREATE INDEX t_name ON t (name)",
  "INSERT INTO t VALUES (100000, hex(randomblob(150000)))",
  "UPDATE t SET name = name || '!' WHERE id % 7 = 0",
  "DELETE FROM t WHERE id > 200",
  "DROP INDEX t_name",
  "VACUUM",
  "CREATE TABLE u (x BLOB); INSERT INTO u VALUES (randomblob(200000))",
];

const folders: string[] = [];
afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
});

for (const pageSize of [512, 4096, 65_536]) {
  describe.skipIf(litestream === "")(`litestream restore, pages of ${pageSize} bytes`, () => {
    test("gives every epoch of a chain page by page, by -txid and at the head", async () => {
      const chain = await makeChain(pageSize);
      for (const epoch of chain.epochs) await chain.put(0, epoch.header, epoch.pages);
      for (const [index, epoch] of chain.epochs.entries()) {
        const options = { epoch: epoch.header.maxEpoch };
        const restored = await litestreamRestore(litestream, chain.url, options);
        expectSameContent(restored, chain.contents[index]!, pageSize);
      }
      const restored = await litestreamRestore(litestream, chain.url);
      expectSameContent(restored, chain.contents.at(-1)!, pageSize);
      const database = Database.deserialize(restored);
      expect(database.query("PRAGMA integrity_check").values()).toEqual([["ok"]]);
      expect(database.query("SELECT count(*) FROM t").values()).toEqual([[200]]);
      database.close();
    }, 120_000);

    test("reads snapshots and compacted objects, and restores by time", async () => {
      const chain = await makeChain(pageSize);
      const [, , , , fifth, , , , last] = chain.epochs;
      const whole = pagesOf(chain.contents[4]!, pageSize);
      const snapshot: EpochHeader = { ...fifth!.header, minEpoch: 1, link: fifth!.fileChecksum };
      await chain.put(9, snapshot, whole);
      // Epochs 5 to 7 as one object of level 1, overlapping the snapshot; 8 and 9 on level 0.
      const seventh = chain.epochs[6]!;
      const { commit } = seventh.header;
      const merged = new Map<number, Page>();
      for (const { pages } of chain.epochs.slice(4, 7)) {
        for (const page of pages) if (page.number <= commit) merged.set(page.number, page);
      }
      const compacted = { ...seventh.header, minEpoch: 5, link: seventh.fileChecksum };
      const ascending = [...merged.values()].sort((a, b) => a.number - b.number);
      await chain.put(1, compacted, ascending);
      for (const { header, pages } of chain.epochs.slice(7)) await chain.put(0, header, pages);

      for (const [epoch, index] of [[5, 4], [7, 6], [8, 7], [9, 8]] as const) {
        const restored = await litestreamRestore(litestream, chain.url, { epoch });
        expectSameContent(restored, chain.contents[index]!, pageSize);
      }
      const timestamp = new Date(last!.header.timestampMs - 500).toISOString();
      const restored = await litestreamRestore(litestream, chain.url, { timestamp });
      expectSameContent(restored, chain.contents[7]!, pageSize);
    }, 120_000);

    test("refuses an object with a damaged page, so it does check what we write", async () => {
      const chain = await makeChain(pageSize);
      const [first, second] = chain.epochs;
      await chain.put(0, first!.header, first!.pages);
      await chain.put(0, second!.header, second!.pages, (bytes) => bytes[bytes.length - 1]! ^= 1);
      await expect(litestreamRestore(litestream, chain.url)).rejects.toThrow("checksum mismatch");
    });
  });
}

interface Made {
  readonly header: EpochHeader;
  readonly pages: readonly Page[];
  readonly fileChecksum: bigint;
}

/** One epoch a step, as an owner would make them, and the database's content after each. */
async function makeChain(pageSize: number) {
  const root = await mkdtemp(join(tmpdir(), "headgate-format-"));
  folders.push(root);
  const database = new Database(":memory:");
  database.run(`PRAGMA page_size=${pageSize}`);
  const hashes = new PageHashes(pageSize);
  const epochs: Made[] = [];
  const contents: Uint8Array[] = [];
  let before: readonly Page[] = [];
  for (const [index, step] of STEPS.entries()) {
    database.run(step);
    const number = index + 1;
    const content = new Uint8Array(database.serialize());
    const commit = content.length / pageSize;
    const stamped = stampPage1(content.subarray(0, pageSize), { epoch: number, commit });
    content.set(stamped);
    const all = pagesOf(content, pageSize);
    const pages = all.filter(({ number, bytes }, at) =>
      number === 1 || before[at] === undefined || Buffer.compare(before[at].bytes, bytes) !== 0
    );
    for (const { number, bytes } of pages) hashes.setPage(number, bytes);
    hashes.truncate(commit);
    const header: EpochHeader = {
      pageSize,
      commit,
      minEpoch: number,
      maxEpoch: number,
      timestampMs: START_MS + 1000 * number,
      nodeId: 0xfeedn,
      databaseChecksum: hashes.sum,
      link: epochs.at(-1)?.fileChecksum ?? 0n,
      kind: index === 0 ? "claim" : "data",
    };
    const { bytes, fileChecksum } = encodeEpoch(header, pages);
    expect(decodeEpoch(bytes, "own").pages).toEqual(pages);
    epochs.push({ header, pages, fileChecksum });
    contents.push(content);
    before = all;
  }
  database.close();
  const put = async (
    level: number,
    header: EpochHeader,
    pages: readonly Page[],
    damage: (bytes: Uint8Array) => void = () => {},
  ) => {
    const { minEpoch, maxEpoch, timestampMs } = header;
    const { bytes } = encodeEpoch(header, pages);
    damage(bytes);
    const path = join(root, objectKey("filesystem", NAME, level, minEpoch, maxEpoch));
    await mkdir(dirname(path), { recursive: true });
    await Bun.write(path, bytes);
    await utimes(path, timestampMs / 1000, timestampMs / 1000);
  };
  return { epochs, contents, put, url: `file://${join(root, databasePrefix(NAME))}` };
}

function pagesOf(content: Uint8Array, pageSize: number): Page[] {
  return Array.from({ length: content.length / pageSize }, (_, index) => ({
    number: index + 1,
    bytes: content.slice(index * pageSize, (index + 1) * pageSize),
  }));
}

function expectSameContent(restored: Uint8Array, content: Uint8Array, pageSize: number): void {
  const [found, wanted] = [pagesOf(restored, pageSize), pagesOf(content, pageSize)];
  expect(found.length).toBe(wanted.length);
  const differing = found.filter(({ bytes }, at) => Buffer.compare(bytes, wanted[at]!.bytes) !== 0);
  expect(differing.map(({ number }) => number)).toEqual([]);
  expect(readPage1(restored).commit).toBe(wanted.length);
}
