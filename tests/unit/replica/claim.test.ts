import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { Failure } from "../../../src/base/failure.ts";
import { decodeHeader } from "../../../src/epoch/header.ts";
import { objectKey } from "../../../src/epoch/key.ts";
import { pruneBelow } from "../../../src/replica/prune.ts";
import { Replica } from "../../../src/replica/replica.ts";
import { Bench } from "./bench.ts";
import { answerLost, fails, held } from "./scripted-store.ts";

let bench: Bench;
beforeEach(() => bench = new Bench());
afterEach(() => bench.close());

const key = (epoch: number) => objectKey("s3", "orders", 0, epoch, epoch);

describe("a claim", () => {
  test("makes a chain: its first epoch is a claim that names node, address and leader", async () => {
    const node = bench.node("n1");
    node.systemClaim = 17;
    const replica = await bench.create(node);
    expect([replica.state, replica.tip, replica.ownership?.term]).toEqual(["owning", 1, 1]);
    expect(replica.ownership?.claim).toEqual({
      epoch: 1,
      node: "n1",
      address: "http://n1",
      systemClaim: 17,
      successor: null,
    });
    const stored = await bench.store.memory.get(key(1));
    expect(decodeHeader(stored!.bytes, key(1)).kind).toBe("claim");
  });

  test("is announced only after level 0 was listed behind it [I5]", async () => {
    const node = bench.node();
    const listing = held();
    bench.store.next("list", listing.fate, { key: "0000/" });
    const created = Replica.create(node.parts, "orders", 4096, node.hooks);
    await bench.settle(listing.arrived);
    bench.pass(5_000);
    expect(bench.store.count(`create ${key(1)}`)).toBe(1);
    expect(await Promise.race([created, "pending"])).toBe("pending");
    listing.release();
    expect((await bench.settle(created))?.state).toBe("owning");
  });

  test("of an owner's chain takes it over, and the old owner learns of it at its next append [I8]", async () => {
    const [first, second] = [bench.node("n1"), bench.node("n2")];
    const old = await bench.create(first);
    await bench.execute(old, "CREATE TABLE t(x)");
    const replica = await bench.open(second);
    second.systemClaim = 9;
    expect(await bench.settle(replica.claim(9))).toBe(true);
    expect([replica.tip, replica.ownership?.term, replica.ownership?.claim.node]).toEqual([
      3,
      2,
      "n2",
    ]);
    first.systemClaim = null;
    const refused = await bench.failure(old.execute(bench.write("INSERT INTO t VALUES (1)")));
    expect(refused.kind).toBe("elsewhere");
    expect(first.fenced).toEqual(["orders"]);
    expect(old.state).toBe("following");
    // The loser applies what fenced it, and follows.
    bench.pass(20_000);
    expect([old.tip, old.ownership?.claim.node]).toEqual([3, "n2"]);
  });

  test("that was created on a pruned part does not own: the image is rebuilt [I4, I5, I9]", async () => {
    const [first, sleeper] = [bench.node("n1"), bench.node("n2")];
    const owner = await bench.create(first);
    await bench.execute(owner, "CREATE TABLE t(x)");
    const replica = await bench.open(sleeper);
    expect(replica.tip).toBe(2);
    for (let x = 0; x < 4; x++) await bench.execute(owner, "INSERT INTO t VALUES (?)", [x]);
    const snapshot = await bench.settle(owner.snapshotNow());
    await bench.settle(pruneBelow(owner.chain, snapshot));
    await bench.execute(owner, "INSERT INTO t VALUES (4)");
    expect(await bench.store.memory.head(key(3))).toBeNull();
    const won = await bench.settle(replica.claim(sleeper.systemClaim));
    // Whether it claimed at 3 or noticed before: it may own only behind everything there is.
    if (won) expect(replica.ownership?.claim.epoch).toBe(8);
    else expect([replica.state, replica.tip]).toEqual(["following", 7]);
    expect(await bench.read(replica, "SELECT x FROM t")).toEqual([0, 1, 2, 3, 4]);
  });

  test("made ahead of that of `system` owns nothing, and serves no write, before that is won", async () => {
    const [first, second] = [bench.node("n1"), bench.node("n2")];
    await bench.create(first);
    const replica = await bench.open(second);
    const lead = Promise.withResolvers<boolean>();
    const won = replica.claim(9, { lead: lead.promise, currentSinceMs: -Infinity });
    await bench.settle(bench.store.memory.get(key(2)));
    bench.pass(2_000);
    expect(bench.store.count(`create ${key(2)}`)).toBe(1);
    expect([replica.state, replica.tip]).toEqual(["claiming", 1]);
    second.systemClaim = 9;
    lead.resolve(true);
    expect(await bench.settle(won)).toBe(true);
    expect([replica.state, replica.ownership?.claim.systemClaim]).toEqual(["owning", 9]);
  });

  test("made ahead of that of `system` is given up where that is lost, and claimed over", async () => {
    const [first, second] = [bench.node("n1"), bench.node("n2")];
    first.systemClaim = 8;
    const old = await bench.create(first);
    const replica = await bench.open(second);
    expect(await bench.settle(replica.claim(9, { lead: Promise.resolve(false) }))).toBe(false);
    expect([replica.state, replica.tip]).toEqual(["following", 2]);
    // Whoever won `system` by that number takes the chain.
    await bench.settle(old.release(new Failure("elsewhere", "resigned")));
    first.systemClaim = 9;
    expect(await bench.settle(old.claim(9))).toBe(true);
    expect([old.tip, old.ownership?.claim.node]).toEqual([3, "n1"]);
  });

  test("that many writes wait for is one", async () => {
    const [first, second] = [bench.node("n1"), bench.node("n2")];
    await bench.execute(await bench.create(first), "CREATE TABLE t(x)");
    const replica = await bench.open(second);
    bench.store.next("list", fails("unavailable"), { key: "0000/", times: 1 });
    const writes = Array.from(
      { length: 50 },
      () =>
        replica.execute(bench.write("INSERT INTO t VALUES (1)")).then(
          () => "done",
          (failure) => failure.kind,
        ),
    );
    const kinds = new Set(await bench.settle(Promise.all(writes)));
    expect([...kinds]).toEqual(["unavailable"]);
    expect([3, 4].map((epoch) => bench.store.count(`create ${key(epoch)}`))).toEqual([1, 0]);
  });

  test("with a lost answer is won by reading back [I7]", async () => {
    bench.store.next("create", answerLost);
    const replica = await bench.create(bench.node());
    expect(replica.state).toBe("owning");
    expect(await bench.execute(replica, "CREATE TABLE t(x)")).toBe(2);
  });

  test("that cannot be listed behind is no ownership, and the next claim follows it [I5]", async () => {
    const node = bench.node("n2");
    await bench.create(bench.node("n1"));
    const replica = await bench.open(node);
    bench.store.next("list", fails("unavailable"), { key: "0000/", times: 1 });
    const first = await bench.failure(replica.claim(1));
    expect([first.kind, replica.state]).toEqual(["unavailable", "following"]);
    expect(await bench.settle(replica.claim(1))).toBe(true);
    expect([replica.tip, replica.ownership?.term]).toEqual([3, 3]);
  });

  test("two nodes claim at once: one owns, the other follows what it lost to", async () => {
    const owner = await bench.create(bench.node("n0"));
    await bench.execute(owner, "CREATE TABLE t(x)");
    const [a, b] = [await bench.open(bench.node("n1")), await bench.open(bench.node("n2"))];
    const won = await bench.settle(Promise.all([a.claim(1), b.claim(1)]));
    const [winner, loser] = won[0] ? [a, b] : [b, a];
    expect([won[0] || won[1], won[0] && won[1], winner.state]).toEqual([true, false, "owning"]);
    expect([loser.state, loser.tip]).toEqual(["following", winner.tip]);
    expect(loser.ownership).toEqual(winner.ownership);
  });

  test("is not made over a tombstone, except by a create", async () => {
    const [first, second] = [bench.node("n1"), bench.node("n2")];
    const owner = await bench.create(first);
    const follower = await bench.open(second);
    await bench.settle(owner.rewrite({ source: "empty", keepRequests: false, kind: "tombstone" }));
    // It learns of the tombstone only when it wants to claim.
    expect((await bench.failure(follower.execute(bench.write("CREATE TABLE t(x)")))).kind)
      .toBe("missing");
    expect(follower.dropped).toBe(true);
    expect(await bench.store.memory.head(key(3))).toBeNull();
  });
});
