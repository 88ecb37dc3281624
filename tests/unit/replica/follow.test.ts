import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { FETCHES_MAX } from "../../../src/base/limits.ts";
import { createImage } from "../../../src/database/image-builder.ts";
import type { Image } from "../../../src/database/image.ts";
import type { Chain } from "../../../src/replica/chain.ts";
import { catchUp, checkNextNotPruned } from "../../../src/replica/follow.ts";
import { joinChain } from "../../../src/replica/join.ts";
import { Bench } from "./bench.ts";
import { held } from "./scripted-store.ts";
import { EncodedChain } from "./encoded-chain.ts";
import { fails } from "./scripted-store.ts";

let bench: Bench;
let made: EncodedChain;
let chain: Chain;
let image: Image;
/** How far the chain is said to go. */
let known: number;
let applied: string[];

beforeEach(async () => {
  bench = new Bench();
  made = new EncodedChain(bench.store);
  chain = { store: bench.store, layout: "s3", name: "orders" };
  applied = [];
  known = 0;
  await made.appendMany(3);
  image = await joined();
});
afterEach(() => bench.close());

/** An image of the chain as it is now. */
async function joined(): Promise<Image> {
  const { parts } = bench.node();
  const path = parts.temporaryPath("image");
  const build = (pageSize: number) =>
    createImage({ path, pageSize, clock: bench.clock, log: parts.log });
  const read = await bench.settle(joinChain(parts, chain, { build }));
  const made = await bench.settle(read!.builder.finish(read!.head));
  bench.images.push(made);
  return made;
}

function follow(): Promise<void> {
  const { parts } = bench.node();
  return catchUp(parts, { chain, image, known: () => known }, (kind, bytes) => {
    expect(bytes).toBeGreaterThan(100);
    applied.push(`${image.head.epoch} ${kind}`);
  });
}

describe("following", () => {
  test("applies what comes after the head, in order, each with its kind [I6, I9]", async () => {
    await made.append({ pages: { 9: 4 } });
    await made.append({ kind: "claim" });
    await made.append({ commit: 2, kind: "tombstone" });
    await bench.settle(follow());
    expect(applied).toEqual(["4 data", "5 claim", "6 tombstone"]);
    expect(image.head).toMatchObject({ epoch: 6, commit: 2 });
    expect(image.head.fileChecksum).toBe(made.state(6).fileChecksum);
  });

  test("costs one request when there is nothing new", async () => {
    const before = bench.store.sent.length;
    await bench.settle(follow());
    expect(bench.store.sent.slice(before)).toEqual([`get ${made.key(0, 4)}`]);
    expect(applied).toEqual([]);
  });

  test("goes on from where it was when the store failed halfway", async () => {
    await made.appendMany(3);
    bench.store.next("get", fails("unavailable"), { key: made.key(0, 6) });
    expect((await bench.failure(follow())).kind).toBe("unavailable");
    expect(applied).toEqual(["4 data", "5 data"]);
    await bench.settle(follow());
    expect(applied).toEqual(["4 data", "5 data", "6 data"]);
  });

  test("refuses an epoch whose link is not the last one's checksum, and names both [I9]", async () => {
    await made.append({ link: 77n });
    const { kind, message } = await bench.failure(follow());
    expect(kind).toBe("corrupt");
    expect(message).toContain(`${made.key(0, 4)}: its link is 000000000000004d`);
    expect([image.head.epoch, applied]).toEqual([3, []]);
  });

  test("refuses an epoch whose content is not what its header says [I6]", async () => {
    await made.append({ databaseChecksum: 5n });
    const refused = { kind: "corrupt", message: `Cannot apply ${made.key(0, 4)}` };
    expect(await bench.failure(follow())).toEqual(refused);
    expect([image.head.epoch, applied]).toEqual([3, []]);
  });

  test("refuses an object that holds another epoch than its name says", async () => {
    const stored = await bench.store.memory.get(made.key(0, 3));
    await bench.store.memory.create(made.key(0, 4), stored!.bytes);
    expect((await bench.failure(follow())).message).toContain("another epoch than its name says");
  });

  test("refuses a claim below the end of a snapshot: it may be a stray one [I9]", async () => {
    await made.append({ kind: "claim" });
    await made.appendMany(2);
    await made.snapshot(5);
    const { kind, message } = await bench.failure(follow());
    expect(kind).toBe("corrupt");
    expect(message).toContain(
      `Cannot apply the claim 4 of orders: the snapshot ${made.snapshotKey(5)}`,
    );
    expect(image.head.epoch).toBe(3);
  });

  test("applies a claim at which a snapshot ends, and asks for snapshots after reading it [I9]", async () => {
    await made.append({ kind: "claim" });
    await made.snapshot(4);
    const before = bench.store.sent.length;
    await bench.settle(follow());
    expect(applied).toEqual(["4 claim"]);
    expect(bench.store.sent.slice(before).map((text) => text.split(" ")[0]))
      .toEqual(["get", "get", "list"]);
  });

  test("reads what is known to be there many at a time, and applies it in order", async () => {
    await made.appendMany(30);
    known = 33;
    const fifth = held();
    bench.store.next("get", fifth.fate, { key: made.key(0, 8) });
    const before = bench.store.sent.length;
    const followed = follow();
    await bench.settle(fifth.arrived);
    bench.pass(100);
    // It begins with few; by now there are as many under way as may be.
    expect(bench.store.sent.length - before).toBe(4 + FETCHES_MAX);
    fifth.release();
    await bench.settle(followed);
    expect(applied).toEqual(Array.from({ length: 30 }, (_, index) => `${index + 4} data`));
  });

  test("data below a snapshot is applied without asking", async () => {
    await made.appendMany(2);
    await made.snapshot(5);
    await bench.settle(follow());
    expect(applied).toEqual(["4 data", "5 data"]);
  });
});

describe("a follower that was away", () => {
  test("finds out that what comes next was pruned [I9]", async () => {
    await made.appendMany(3);
    await made.snapshot(6);
    await bench.store.memory.remove([made.key(0, 4), made.key(0, 5)]);
    await bench.settle(follow());
    const { kind, message } = await bench.failure(checkNextNotPruned(chain, image));
    expect(kind).toBe("corrupt");
    expect(message).toContain(`${made.key(0, 4)} was pruned`);
  });

  test("at the tip nothing was, also when the next epoch comes this moment", async () => {
    await bench.settle(checkNextNotPruned(chain, image));
    await made.append();
    await bench.settle(checkNextNotPruned(chain, image));
  });
});
