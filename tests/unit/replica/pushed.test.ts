/** Followers to which the owner pushes, and owners that hand over. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { Failure } from "../../../src/base/failure.ts";
import { objectKey } from "../../../src/epoch/key.ts";
import type { Replica } from "../../../src/replica/replica.ts";
import { Bench, type Node } from "./bench.ts";
import { fails, held } from "./scripted-store.ts";

let bench: Bench;
let owner: Replica;
let ownerNode: Node;
let told: { epoch: number; bytes: Uint8Array | null }[];

beforeEach(async () => {
  bench = new Bench();
  told = [];
  ownerNode = bench.node("n1");
  const onDurable = (_: string, epoch: number, bytes: Uint8Array | null) =>
    void told.push({ epoch, bytes });
  ownerNode.hooks.onDurable = onDurable;
  owner = await bench.create(ownerNode);
  await bench.execute(owner, "CREATE TABLE t(x)");
});
afterEach(() => bench.close());

const key = (epoch: number) => objectKey("s3", "orders", 0, epoch, epoch);
const stepping = new Failure("elsewhere", "the leader steps down");

/** A follower that has looked into the store once, as when a link was made, and does no more. */
async function follower(): Promise<Replica> {
  const node = bench.node("n2");
  node.systemClaim = null;
  const replica = await bench.open(node);
  replica.isPushed = true;
  bench.pass(100);
  return replica;
}

const insert = (x: number) => bench.execute(owner, "INSERT INTO t VALUES (?)", [x]);
const shown = (replica: Replica) => bench.read(replica, "SELECT x FROM t");

function push(replica: Replica, ...epochs: number[]): void {
  for (const number of epochs) {
    const found = told.find(({ epoch }) => epoch === number);
    replica.push(number, found?.bytes ?? null);
  }
  bench.pass(200);
}

test("the owner tells each durable epoch, its claim included, before it is answered", async () => {
  expect(told.map(({ epoch }) => epoch)).toEqual([1, 2]);
  const stored = await bench.settle(bench.store.get(key(2)));
  expect(Buffer.from(told[1]!.bytes!).equals(stored!.bytes)).toBe(true);
});

describe("a follower that is pushed to", () => {
  test("applies what comes, and asks the store for nothing", async () => {
    const replica = await follower();
    await insert(1);
    await insert(2);
    const before = bench.store.sent.length;
    push(replica, 3, 4);
    bench.pass(60_000);
    expect([replica.tip, await shown(replica)]).toEqual([4, [1, 2]]);
    expect(bench.store.sent.length).toBe(before);
  });

  test("reads from the store what was not pushed, and what only a number was told of", async () => {
    const replica = await follower();
    await insert(1);
    await insert(2);
    push(replica, 4);
    expect([replica.tip, await shown(replica)]).toEqual([4, [1, 2]]);
    await insert(3);
    replica.push(5, null);
    bench.pass(200);
    expect(await shown(replica)).toEqual([1, 2, 3]);
  });

  test("tries again when the store fails just then", async () => {
    const replica = await follower();
    await insert(1);
    bench.store.next("get", fails("unavailable"), { key: key(3), times: 4 });
    replica.push(3, null);
    bench.pass(30_000);
    expect(await shown(replica)).toEqual([1]);
  });

  test("has one look that waits, however often it is asked for while the store is away", async () => {
    const replica = await follower();
    const get = held();
    bench.store.next("get", get.fate);
    const first = replica.follow();
    await bench.settle(get.arrived);
    const looks = Array.from({ length: 50 }, () => replica.follow());
    await insert(1);
    get.release();
    await bench.settle(Promise.all([first, ...looks]));
    bench.pass(10);
    expect(await shown(replica)).toEqual([1]);
    // Of the one that was under way, and of the one that waited for it.
    expect(bench.store.count(`get ${key(4)}`)).toBe(2);
  });

  test("passes over what it has already, in any order", async () => {
    const replica = await follower();
    await insert(1);
    await insert(2);
    push(replica, 3, 3, 4, 3, 2);
    expect([replica.tip, await shown(replica)]).toEqual([4, [1, 2]]);
  });

  test("is rebuilt by a pushed epoch of another history, and shows none of it [I9]", async () => {
    const replica = await follower();
    await insert(1);
    const bytes = told.at(-1)!.bytes!;
    const other = new Bench();
    const stranger = await other.create(other.node("n9"));
    for (let n = 0; n < 3; n++) await other.execute(stranger, `CREATE TABLE s${n} (a)`);
    const foreign = await other.settle(other.store.get(key(3)));
    other.close();
    replica.push(3, foreign!.bytes);
    bench.pass(1_000);
    expect(await shown(replica)).toEqual([1]);
    expect(await bench.read(replica, "SELECT name FROM sqlite_schema WHERE name LIKE 's_'"))
      .toEqual(
        [],
      );
    await insert(2);
    expect(bytes).not.toBe(told.at(-1)!.bytes);
    push(replica, 4);
    expect(await shown(replica)).toEqual([1, 2]);
  });

  test("polls again when the link is gone", async () => {
    const replica = await follower();
    replica.isPushed = false;
    await insert(1);
    bench.pass(12_000);
    expect(await shown(replica)).toEqual([1]);
  });

  test("takes in what came before the link ended, without the store", async () => {
    const replica = await follower();
    await insert(1);
    const reads = bench.store.count("get ");
    for (const { epoch, bytes } of told) replica.push(epoch, bytes);
    replica.isPushed = false;
    bench.pass(10);
    expect(await shown(replica)).toEqual([1]);
    expect(bench.store.count("get ")).toBe(reads);
  });

  test("hears of a new owner from the claim itself", async () => {
    const heard: string[] = [];
    const node = bench.node("n2");
    node.systemClaim = null;
    node.hooks.onOwnership = (_, { claim }) => void heard.push(claim.node);
    const replica = await bench.open(node);
    replica.isPushed = true;
    bench.pass(100);
    const next = bench.node("n3");
    next.systemClaim = 7;
    next.hooks.onDurable = ownerNode.hooks.onDurable!;
    expect(await bench.settle((await bench.open(next)).claim(7))).toBe(true);
    push(replica, 3);
    expect(heard).toEqual(["n1", "n3"]);
    expect(replica.ownership?.claim.node).toBe("n3");
  });
});

describe("an owner that hands over", () => {
  test("names its successor in its own claim, and follows in the same process", async () => {
    ownerNode.systemClaim = null;
    await bench.settle(owner.resign("n2", stepping));
    expect(owner.state).toBe("following");
    expect(owner.ownership?.claim).toMatchObject({ node: "n1", successor: "n2" });
    expect(told.map(({ epoch }) => epoch)).toEqual([1, 2, 3]);
    const replica = await follower();
    expect(replica.ownership?.claim.successor).toBe("n2");
    const next = bench.node("n2");
    next.systemClaim = 7;
    const successor = await bench.open(next);
    expect(await bench.settle(successor.claim(7))).toBe(true);
    bench.pass(12_000);
    expect(owner.ownership).toMatchObject({ term: 2, claim: { node: "n2", successor: null } });
  });

  test("tells nobody before all other chains have told what they had", async () => {
    ownerNode.systemClaim = null;
    const others = Promise.withResolvers<boolean>();
    const resigned = owner.resign("n2", stepping, others.promise);
    bench.pass(1_000);
    const durable = await bench.store.memory.head(key(3));
    expect([durable !== null, told.map(({ epoch }) => epoch)]).toEqual([true, [1, 2]]);
    others.resolve(true);
    await bench.settle(resigned);
    expect(told.map(({ epoch }) => epoch)).toEqual([1, 2, 3]);
  });

  test("tells nothing of it to a chain that another node has taken meanwhile [I6]", async () => {
    ownerNode.systemClaim = null;
    const others = Promise.withResolvers<boolean>();
    const resigned = bench.failure(owner.resign("n2", stepping, others.promise));
    bench.pass(1_000);
    const next = bench.node("n2");
    next.systemClaim = 7;
    const successor = await bench.open(next);
    expect(await bench.settle(successor.claim(7))).toBe(true);
    await bench.failure(bench.settle(owner.prove()));
    bench.pass(12_000);
    expect([owner.state, owner.tip]).toEqual(["following", 4]);
    others.resolve(true);
    expect((await bench.settle(resigned)).kind).toBe("elsewhere");
    bench.pass(12_000);
    expect([owner.state, owner.tip, await shown(owner)]).toEqual(["following", 4, []]);
    expect(told.map(({ epoch }) => epoch)).toEqual([1, 2]);
  });

  test("answers what is under way when it is durable, and refuses what waits [I3, I7]", async () => {
    const kindOf = (n: number) =>
      owner.execute(bench.write("INSERT INTO t VALUES (?)", [n])).then(
        () => "done",
        (error) => error.kind,
      );
    const put = held();
    bench.store.next("create", put.fate, { key: key(3) });
    const first = kindOf(0);
    await bench.settle(put.arrived);
    const rest = [1, 2, 3].map(kindOf);
    ownerNode.systemClaim = null;
    const released = owner.release(stepping);
    put.release();
    await bench.settle(released);
    const outcomes = await bench.settle(Promise.all([first, ...rest]));
    expect(outcomes[0]).toBe("done");
    expect(outcomes).toContain("elsewhere");
    bench.pass(12_000);
    const rows = await shown(owner);
    expect(outcomes.filter((outcome) => outcome === "done").length).toBe(rows.length);
    expect(outcomes.every((outcome) => ["done", "elsewhere"].includes(outcome))).toBe(true);
  });

  test("that is not owner cannot resign", async () => {
    const replica = await follower();
    expect(await bench.failure(replica.resign("", stepping))).toMatchObject({ kind: "elsewhere" });
  });
});
