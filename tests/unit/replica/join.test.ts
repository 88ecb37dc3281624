import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { FETCHES_MAX } from "../../../src/base/limits.ts";
import { createImage } from "../../../src/database/image-builder.ts";
import type { Chain } from "../../../src/replica/chain.ts";
import { exportEpoch } from "../../../src/replica/export.ts";
import { joinChain, type Joined, type JoinProgress } from "../../../src/replica/join.ts";
import { Bench } from "./bench.ts";
import { EncodedChain } from "./encoded-chain.ts";
import { held } from "./scripted-store.ts";

let bench: Bench;
let made: EncodedChain;
let chain: Chain;
let files = 0;

beforeEach(() => {
  bench = new Bench();
  made = new EncodedChain(bench.store);
  chain = { store: bench.store, layout: "s3", name: "orders" };
});
afterEach(() => bench.close());

let progress: JoinProgress[] = [];

function join(until?: number): Promise<Joined | null> {
  progress = [];
  const { clock, directory } = bench;
  const path = `${directory}/joined-${++files}`;
  const build = (pageSize: number) =>
    createImage({ path, pageSize, clock, log: bench.node().parts.log });
  const onProgress = (now: JoinProgress) => void progress.push(now);
  const wish = until === undefined ? {} : { until };
  return joinChain(bench.node().parts, chain, { build, onProgress, ...wish });
}

/** The database that a join reads, and the epoch that it ends with. */
async function read(until?: number) {
  const joined = await bench.settle(join(until));
  if (!joined) return null;
  await bench.settle(joined.builder.finishFile(joined.head));
  const bytes = readFileSync(`${bench.directory}/joined-${files}`);
  return { ...joined, isEqual: bytes.equals(made.bytes(joined.head.epoch)) };
}

const gets = () =>
  bench.store.sent.filter((text) => text.startsWith("get ")).map((text) => text.slice(-37, -4));

describe("joining", () => {
  test("a chain without objects is none", async () => {
    expect(await bench.settle(join())).toBeNull();
  });

  test("tells how far it has come, in bytes of what it reads", async () => {
    await made.appendMany(4);
    await made.snapshot(2);
    await read();
    expect(progress.length).toBe(3);
    const total = progress[0]?.bytesTotal;
    expect(progress.every(({ bytesTotal }) => bytesTotal === total)).toBe(true);
    expect(progress.at(-1)?.bytes).toBe(total!);
    expect(progress[0]?.bytes).toBeLessThan(progress[1]?.bytes ?? 0);
  });

  test("reads the newest snapshot, then compacted objects, then single epochs", async () => {
    await made.appendMany(9);
    await made.snapshot(3);
    await made.snapshot(5);
    await made.compact(1, 4, 6);
    await made.compact(2, 6, 8);
    const joined = await read();
    expect(joined).toMatchObject({ isEqual: true, snapshot: 5, kind: "data", pageSize: 512 });
    expect(joined?.head).toMatchObject({
      epoch: 9,
      fileChecksum: made.state(9).fileChecksum,
      databaseChecksum: made.state(9).header.databaseChecksum,
      timestampMs: 9_000,
    });
    expect(gets().map((name) => name.replace(/\b0+(?=\w)/g, ""))).toEqual(["1-5", "6-8", "9-9"]);
  });

  test("counts the bytes since the snapshot", async () => {
    await made.appendMany(4);
    const plain = await read();
    await made.snapshot(3);
    const joined = await read();
    const last = await bench.store.memory.head(made.key(0, 4));
    expect(joined?.chainBytes).toBe(last!.size);
    expect(plain!.chainBytes).toBeGreaterThan(last!.size * 3);
  });

  test("goes on from a compacted object by the link that it carries [I9]", async () => {
    await made.appendMany(6);
    await made.compact(1, 1, 4);
    expect(await read()).toMatchObject({ isEqual: true, snapshot: 0, head: { epoch: 6 } });
  });

  test("a database that shrank has no page too many", async () => {
    await made.append({ pages: { 9: 1 } });
    await made.append({ commit: 3 });
    await made.append({ pages: { 5: 2 } });
    expect(await read()).toMatchObject({ isEqual: true, head: { commit: 5 } });
  });

  test("says how the chain ends: with a tombstone the database is dropped", async () => {
    await made.appendMany(2);
    await made.append({ kind: "tombstone" });
    expect(await read()).toMatchObject({ kind: "tombstone" });
  });

  test("reads an earlier moment when it is told until when", async () => {
    await made.appendMany(8);
    await made.snapshot(6);
    await made.compact(1, 2, 5);
    for (const epoch of [1, 3, 5, 6, 7]) {
      expect(await read(epoch)).toMatchObject({ isEqual: true, head: { epoch } });
    }
  });

  test("a moment that was pruned is missing; a hole in the chain is corrupt", async () => {
    await made.appendMany(6);
    await made.snapshot(5);
    await bench.store.memory.remove([made.key(0, 3)]);
    const { kind, message } = await bench.failure(join(4));
    expect([kind, message]).toEqual([
      "missing",
      "Cannot read orders up to epoch 4: no object holds epoch 3",
    ]);
    await bench.store.memory.remove([made.snapshotKey(5)]);
    expect((await bench.failure(join())).kind).toBe("corrupt");
  });
});

describe("joining refuses, and names the object,", () => {
  async function refused(): Promise<string> {
    const { kind, message } = await bench.failure(read());
    expect(kind).toBe("corrupt");
    return message;
  }

  test("another database's snapshot at the end of the chain [I9]", async () => {
    await made.appendMany(3);
    const other = new EncodedChain(bench.store, "invoices");
    await other.append({ pages: { 2: 77 } });
    await other.appendMany(2);
    const foreign = await bench.store.memory.get(await other.snapshot(3));
    await bench.store.memory.create(made.snapshotKey(3), foreign!.bytes);
    const message = await refused();
    expect(message).toContain(`Cannot use ${made.snapshotKey(3)}: its database checksum is `);
    expect(message).toContain(made.key(0, 3));
    // Its own is taken, and so is one whose epoch was pruned.
    await bench.store.memory.remove([made.snapshotKey(3)]);
    await made.snapshot(3);
    expect(await read()).toMatchObject({ isEqual: true, snapshot: 3 });
    await bench.store.memory.remove([made.key(0, 3)]);
    expect(await read()).toMatchObject({ isEqual: true, snapshot: 3 });
  });

  test("a wrong link [I9]", async () => {
    await made.appendMany(3);
    await made.append({ link: 12345n });
    await made.append();
    expect(await refused()).toContain(`Cannot use ${made.key(0, 4)}: its link is 0000000000003039`);
  });

  test("a wrong link right after a snapshot [I9]", async () => {
    await made.appendMany(3);
    await made.snapshot(3);
    await made.append({ link: made.state(2).fileChecksum });
    expect(await refused()).toContain(made.key(0, 4));
  });

  test("an object under another's name", async () => {
    await made.appendMany(3);
    const stored = await bench.store.memory.get(made.key(0, 2));
    await bench.store.memory.remove([made.key(0, 3)]);
    await bench.store.memory.create(made.key(0, 3), stored!.bytes);
    expect(await refused()).toContain(`${made.key(0, 3)}: it holds epochs 2 to 2`);
  });

  test("damaged and truncated bytes", async () => {
    await made.appendMany(3);
    const key = made.key(0, 2);
    const { bytes } = (await bench.store.memory.get(key))!;
    for (
      const damaged of [bytes.with(bytes.length - 40, bytes.at(-40)! ^ 1), bytes.slice(0, -20)]
    ) {
      await bench.store.memory.remove([key]);
      await bench.store.memory.create(key, damaged);
      expect(await refused()).toContain(key);
    }
  });

  test("content that has not the checksum at its end, and leaves no file behind [I6]", async () => {
    await made.appendMany(3);
    await made.append({ databaseChecksum: 7n });
    expect(await refused()).toContain("its checksum is");
    expect(readdirSync(bench.directory).filter((name) => name.startsWith("joined"))).toEqual([]);
  });

  test("another page size in the middle of a chain", async () => {
    await made.appendMany(1);
    const other = new EncodedChain(bench.store.memory, "other", 1024);
    await other.appendMany(2);
    const stored = await bench.store.memory.get(other.key(0, 2));
    await bench.store.memory.create(made.key(0, 2), stored!.bytes);
    expect(await refused()).toContain("pages of epoch 2 have 1024 bytes, those before it 512");
  });
});

describe("joining while others work", () => {
  test("an object that vanished is planned anew: pruning wrote something better before", async () => {
    await made.appendMany(6);
    bench.store.next("get", async () => {
      await made.snapshot(6);
      await bench.store.memory.remove([2, 3, 4, 5].map((epoch) => made.key(0, epoch)));
      return null;
    }, { key: made.key(0, 3) });
    expect(await read()).toMatchObject({ isEqual: true, snapshot: 6, head: { epoch: 6 } });
  });

  test("an object that is listed and never there is missing in the end, not a loop", async () => {
    await made.appendMany(3);
    bench.store.next("get", () => Promise.resolve(null), { key: made.key(0, 2), times: 1_000 });
    expect((await bench.failure(join())).kind).toBe("missing");
    expect(bench.store.count(`get ${made.key(0, 2)}`)).toBeLessThan(10);
  });

  test(`fetches ${FETCHES_MAX} objects at a time, and decodes them in order`, async () => {
    await made.appendMany(50);
    const first = held();
    bench.store.next("get", first.fate, { key: made.key(0, 1) });
    const joining = read();
    await bench.settle(first.arrived);
    bench.pass(100);
    expect(bench.store.count("get ")).toBe(FETCHES_MAX);
    first.release();
    expect(await bench.settle(joining)).toMatchObject({ isEqual: true, head: { epoch: 50 } });
  });

  test("a large object comes in pieces, and one that shrinks meanwhile is corrupt", async () => {
    bench.close();
    bench = new Bench();
    made = new EncodedChain(bench.store, "orders", 65_536);
    chain = { store: bench.store, layout: "s3", name: "orders" };
    const pages = Object.fromEntries(
      Array.from({ length: 150 }, (_, at) => [
        at + 2,
        crypto.getRandomValues(new Uint8Array(65_536)),
      ]),
    );
    await made.append({ pages });
    await made.append();
    expect(await read()).toMatchObject({ isEqual: true, head: { epoch: 2 } });
    expect(bench.store.count("getRange")).toBe(3);
    bench.store.next("getRange", async (apply) => {
      return (await apply() as Uint8Array).slice(1);
    });
    expect((await bench.failure(join())).message).toContain("its size was");
  });
});

describe("an export", () => {
  test("is the database of that epoch in a file of its own", async () => {
    await made.appendMany(5);
    const path = `${bench.directory}/export`;
    await bench.settle(exportEpoch(bench.node().parts, chain, 3, path));
    expect(readFileSync(path).equals(made.bytes(3))).toBe(true);
  });

  test("of an epoch that cannot be restored is missing, and leaves no file", async () => {
    await made.appendMany(5);
    await made.snapshot(4);
    await bench.store.memory.remove([made.key(0, 2)]);
    const path = `${bench.directory}/export`;
    const { parts } = bench.node();
    expect((await bench.failure(exportEpoch(parts, chain, 3, path))).kind).toBe("missing");
    expect(readdirSync(bench.directory)).toEqual([]);
  });
});
