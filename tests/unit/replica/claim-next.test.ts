/** Claims behind which nothing can lie, so that nothing is looked for (decision 0018). */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { Failure } from "../../../src/base/failure.ts";
import { decodeHeader } from "../../../src/epoch/header.ts";
import { objectKey } from "../../../src/epoch/key.ts";
import { pruneBelow } from "../../../src/replica/prune.ts";
import type { ClaimWish } from "../../../src/replica/claims.ts";
import type { Replica } from "../../../src/replica/replica.ts";
import { Bench, type Node } from "./bench.ts";
import { held } from "./scripted-store.ts";

let bench: Bench;
let ownerNode: Node;
let owner: Replica;
let told: Map<number, Uint8Array | null>;

/** The claim of `system` by which the owner leads, and that of whoever comes after it. */
const LED = 5;
const NEXT = 7;

beforeEach(async () => {
  bench = new Bench();
  told = new Map();
  ownerNode = bench.node("n1");
  ownerNode.systemClaim = LED;
  ownerNode.hooks.onDurable = (_, epoch, bytes) => void told.set(epoch, bytes);
  owner = await bench.create(ownerNode);
  await bench.execute(owner, "CREATE TABLE t(x)");
});
afterEach(() => bench.close());

const key = (epoch: number) => objectKey("s3", "orders", 0, epoch, epoch);
const stepping = new Failure("elsewhere", "the leader steps down");

/** A node that is about to lead, with a replica that is not pushed to yet. */
async function standby(): Promise<Replica> {
  const node = bench.node("n2");
  node.systemClaim = NEXT;
  return await bench.open(node);
}

/** Looks behind the claim that this claim made, and whether it was won. */
async function looks(replica: Replica, wish: ClaimWish): Promise<[number, boolean]> {
  const sent = bench.store.sent.length;
  const won = await bench.settle(replica.claim(NEXT, { currentSinceMs: -Infinity, ...wish }));
  const lists = bench.store.sent.slice(sent).filter((text) => text.startsWith("list"));
  return [lists.length, won];
}

describe("a claim", () => {
  test("is looked behind where data may have been pruned there [I5]", async () => {
    expect(await looks(await standby(), {})).toEqual([1, true]);
  });

  test("after a resignation is not: what comes next there is a claim, and stays [I4]", async () => {
    ownerNode.systemClaim = null;
    await bench.settle(owner.resign("n2", stepping));
    expect(await looks(await standby(), {})).toEqual([0, true]);
  });

  test("is lost after a resignation as ever, where another was faster", async () => {
    ownerNode.systemClaim = null;
    await bench.settle(owner.resign("n2", stepping));
    const [first, second] = [await standby(), await standby()];
    expect(await looks(first, {})).toEqual([0, true]);
    expect((await looks(second, {}))[1]).toBe(false);
    expect([second.state, second.ownership]).toEqual(["following", first.ownership]);
  });
});

describe("a claim of a chain whose owner has resigned, and told all that it had,", () => {
  /** Since it was pushed to it has looked into the store, as when a link was made. */
  async function fed(): Promise<Replica> {
    const replica = await standby();
    replica.isPushed = true;
    bench.pass(100);
    return replica;
  }

  test("is not looked behind by a node that was pushed to", async () => {
    const replica = await fed();
    const epoch = await bench.execute(owner, "INSERT INTO t VALUES (1)");
    replica.push(epoch, told.get(epoch) ?? null);
    bench.pass(100);
    // The link ends with the lead.
    replica.isPushed = false;
    expect(await looks(replica, { resigned: LED })).toEqual([0, true]);
    expect(await bench.read(replica, "SELECT x FROM t")).toEqual([1]);
  });

  test("is, where that was only pushed to before it could look", async () => {
    const replica = await standby();
    replica.isPushed = true;
    expect(await looks(replica, { resigned: LED })).toEqual([1, true]);
  });

  test("is, where an earlier leader owned the chain: that one may sleep", async () => {
    expect(await looks(await fed(), { resigned: LED + 1 })).toEqual([1, true]);
  });

  test("is never a stray one of a node that stood still, its clocks too, while all was pruned", async () => {
    const replica = await standby();
    for (let x = 0; x < 4; x++) await bench.execute(owner, "INSERT INTO t VALUES (?)", [x]);
    const snapshot = await bench.settle(owner.snapshotNow());
    await bench.settle(pruneBelow(owner.chain, snapshot));
    expect(await bench.store.memory.head(key(3))).toBeNull();
    replica.isPushed = true;
    bench.pass(100);
    expect(await bench.read(replica, "SELECT x FROM t")).toEqual([0, 1, 2, 3]);
    // What it has read anew is looked behind once more before it counts.
    bench.pass(3_000);
    expect(await looks(replica, { resigned: LED })).toEqual([0, true]);
    expect(replica.ownership?.claim.epoch).toBe(snapshot + 1);
  });

  test("reads first what it was told of and does not have", async () => {
    const replica = await fed();
    const epoch = await bench.execute(owner, "INSERT INTO t VALUES (1)");
    // As when the link ends before what it brought is in the image.
    replica.push(epoch, told.get(epoch) ?? null);
    replica.isPushed = false;
    expect((await looks(replica, { resigned: LED }))[1]).toBe(true);
    expect(replica.ownership?.claim.epoch).toBe(epoch + 1);
    expect(await bench.read(replica, "SELECT x FROM t")).toEqual([1]);
  });
});

test("nothing but a claim follows a resignation, whatever the owner was still asked", async () => {
  ownerNode.systemClaim = null;
  const others = Promise.withResolvers<boolean>();
  const resigned = owner.resign("n2", stepping, others.promise);
  const during = bench.failure(owner.execute(bench.write("INSERT INTO t VALUES (1)")));
  bench.pass(1_000);
  const after = bench.failure(owner.execute(bench.write("INSERT INTO t VALUES (2)")));
  // Between the end of the resignation and that of the owner.
  const turn = owner.follow();
  others.resolve(true);
  const between = bench.failure(owner.execute(bench.write("INSERT INTO t VALUES (3)")));
  await bench.settle(Promise.all([resigned, turn]));
  const kinds = [await during, await after, await between].map(({ kind }) => kind);
  expect(kinds).toEqual(["elsewhere", "elsewhere", "elsewhere"]);
  bench.pass(12_000);
  const last = await bench.store.memory.get(key(3));
  expect(decodeHeader(last!.bytes, key(3)).kind).toBe("resignation");
  expect(await bench.store.memory.head(key(4))).toBeNull();
});

describe("a resignation", () => {
  const told3 = () => told.get(3);

  test("is told with its bytes where all other chains have told what they had", async () => {
    ownerNode.systemClaim = null;
    await bench.settle(owner.resign("n2", stepping, Promise.resolve(true)));
    expect(told3()).toBeInstanceOf(Uint8Array);
  });

  test("is left to be read from the store where one of them may have more", async () => {
    ownerNode.systemClaim = null;
    await bench.settle(owner.resign("n2", stepping, Promise.resolve(false)));
    expect(told3()).toBeNull();
  });

  test("finds an owner unresolved whose last append had no outcome", async () => {
    const put = held();
    bench.store.next("create", put.fate, { key: key(3) });
    const write = bench.failure(owner.execute(bench.write("INSERT INTO t VALUES (1)")));
    await bench.settle(put.arrived);
    const released = owner.release(stepping);
    bench.pass(11_000);
    expect(await bench.settle(released)).toBe(false);
    expect((await write).kind).toBe("uncertain");
    put.release();
  });

  test("finds one resolved that has ended in order, or never was", async () => {
    await bench.execute(owner, "INSERT INTO t VALUES (1)");
    expect(await bench.settle(owner.release(stepping))).toBe(true);
    expect(await bench.settle((await standby()).release(stepping))).toBe(true);
  });

  test("is the last that its owner does, also alone", async () => {
    ownerNode.systemClaim = null;
    const others = Promise.withResolvers<boolean>();
    const resigned = owner.resign("n2", stepping, others.promise);
    const job = { source: "empty", keepRequests: true, kind: "data" } as const;
    const rewritten = bench.failure(owner.rewrite(job));
    bench.pass(1_000);
    others.resolve(true);
    await bench.settle(resigned);
    expect((await rewritten).kind).toBe("elsewhere");
    bench.pass(12_000);
    expect(await bench.store.memory.head(key(4))).toBeNull();
  });
});
