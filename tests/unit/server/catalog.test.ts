import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { databasePrefix, objectKey } from "../../../src/epoch/key.ts";
import { claimAll } from "../../../src/server/claim-chains.ts";
import { held } from "../replica/scripted-store.ts";
import { CatalogBench, type Member } from "./catalog-harness.ts";

let bench: CatalogBench;
beforeEach(() => bench = new CatalogBench());
afterEach(() => bench.close());

const create = (member: Member, name = "orders", pageSize = 4096) =>
  member.catalog.create(name, pageSize);
const drop = (member: Member, name = "orders") => member.catalog.drop(name);
const rowsOf = async (member: Member, name = "orders") =>
  await bench.read(await bench.settle(member.catalog.wait(name)), "SELECT x FROM t");

async function fill(member: Member, name = "orders"): Promise<void> {
  const replica = await bench.settle(create(member, name));
  await bench.execute(replica, "CREATE TABLE t(x)");
  await bench.execute(replica, "INSERT INTO t VALUES (1)");
}

describe("creating a database", () => {
  test("makes the chain first and the row second, and serves it", async () => {
    const leader = await bench.leader();
    const before = bench.store.sent.length;
    await fill(leader);
    const creates = bench.store.sent.slice(before).filter((text) => text.startsWith("create "));
    expect(creates.map((text) => text.split("/")[1])).toEqual([
      "orders",
      "system",
      "orders",
      "orders",
    ]);
    expect([bench.names(leader), await rowsOf(leader)]).toEqual([["orders"], [1]]);
  });

  test("twice is a conflict, also at the same time", async () => {
    const leader = await bench.leader();
    const [a, b] = [create(leader), create(leader)];
    await bench.settle(a);
    expect((await bench.failure(b)).kind).toBe("conflict");
    expect((await bench.failure(create(leader))).kind).toBe("conflict");
  });

  test("is for leaders, and for good names", async () => {
    const leader = await bench.leader();
    expect(() => create(leader, "Orders!")).toThrow(expect.objectContaining({ kind: "invalid" }));
    const follower = await bench.member("n2");
    expect((await bench.failure(create(follower))).kind).toBe("elsewhere");
  });

  for (const place of ["claim.before_append", "claim.after_append", "create.before_row"]) {
    test(`after a crash at ${place} a next one makes an empty database`, async () => {
      const leader = await bench.leader();
      bench.crashAt = place;
      await bench.failure(create(leader));
      expect(bench.crashAt).toBeNull();
      const next = await bench.leader("n2");
      expect(bench.names(next)).toEqual([]);
      await fill(next);
      expect(await rowsOf(next)).toEqual([1]);
    });
  }

  test("over a chain that was left with content begins empty, and terms go on", async () => {
    const leader = await bench.leader();
    await fill(leader);
    await bench.settle(leader.catalog.system.database.remove("orders"));
    const next = await bench.leader("n2");
    expect(bench.names(next)).toEqual([]);
    const replica = await bench.settle(create(next));
    expect(await bench.read(replica, "SELECT name FROM sqlite_schema WHERE name = 't'")).toEqual(
      [],
    );
    expect([replica.tip, replica.ownership?.term]).toEqual([5, 2]);
  });

  test("keeps a name's page size for ever", async () => {
    const leader = await bench.leader();
    await bench.settle(create(leader));
    await bench.settle(drop(leader));
    expect((await bench.failure(create(leader, "orders", 8192))).kind).toBe("conflict");
    expect((await bench.settle(create(leader))).pageSize).toBe(4096);
  });
});

describe("dropping a database", () => {
  test("leaves a tombstone, a snapshot that ends at it, and the claims [I4]", async () => {
    const leader = await bench.leader();
    await fill(leader);
    expect(await bench.settle(drop(leader))).toBe(4);
    expect(bench.names(leader)).toEqual([]);
    expect((await bench.failure(leader.catalog.wait("orders"))).kind).toBe("missing");
    const { objects } = await bench.store.memory.list(databasePrefix("orders"));
    expect(objects.map(({ key }) => key)).toEqual([
      objectKey("s3", "orders", 0, 1, 1),
      objectKey("s3", "orders", 0, 4, 4),
      objectKey("s3", "orders", 9, 1, 4),
    ]);
  });

  test("and creating it again goes on with numbers, claims and term", async () => {
    const leader = await bench.leader();
    await fill(leader);
    await bench.settle(drop(leader));
    const replica = await bench.settle(create(leader));
    expect([replica.tip, replica.ownership?.term]).toEqual([5, 2]);
    await bench.execute(replica, "CREATE TABLE t(x)");
    expect(await rowsOf(leader)).toEqual([]);
  });

  test("answers writes that come behind it with missing", async () => {
    const leader = await bench.leader();
    await fill(leader);
    const replica = leader.catalog.peek("orders")!;
    const tombstone = held("before");
    bench.store.next("create", tombstone.fate, { key: objectKey("s3", "orders", 0, 4, 4) });
    const dropping = drop(leader);
    await bench.settle(tombstone.arrived);
    const write = replica.execute(bench.write("INSERT INTO t VALUES (2)"));
    write.catch(() => {});
    tombstone.release();
    expect(await bench.settle(dropping)).toBe(4);
    expect((await bench.failure(write)).kind).toBe("missing");
    expect((await bench.failure(replica.execute(bench.write("SELECT 1")))).kind).toBe("missing");
  });

  const places = [
    "rewrite.tombstone.before_append",
    "rewrite.tombstone.after_append",
    "drop.after_tombstone",
    "snapshot.before_create",
    "snapshot.after_create",
    "drop.after_snapshot",
    "drop.after_row",
  ];
  for (const place of places) {
    test(`after a crash at ${place} is finished by whoever leads, or was never begun`, async () => {
      const leader = await bench.leader();
      await fill(leader);
      bench.crashAt = place;
      await bench.failure(drop(leader));
      expect(bench.crashAt).toBeNull();
      const next = await bench.leader("n2");
      await bench.settle(
        Promise.all([claimAll(next.catalog, () => next.claim), next.catalog.finishDrops()]),
      );
      if (place === "rewrite.tombstone.before_append") expect(await rowsOf(next)).toEqual([1]);
      else expect(bench.names(next)).toEqual([]);
      const replica = bench.names(next).length > 0 ? null : await bench.settle(create(next));
      if (replica) {
        expect(await bench.read(replica, "SELECT name FROM sqlite_schema WHERE name = 't'"))
          .toEqual([]);
      }
    });
  }

  test("that another leader had begun is finished by the next, which has not read that yet", async () => {
    const leader = await bench.leader();
    await fill(leader);
    const next = await bench.member("n2");
    await bench.settle(next.catalog.wait("orders"));
    bench.crashAt = "drop.after_tombstone";
    await bench.failure(drop(leader));
    await bench.lead(next);
    expect(next.catalog.peek("orders")?.dropped).toBe(false);
    expect(await bench.settle(drop(next))).toBe(4);
    expect(bench.names(next)).toEqual([]);
  });

  test("of the cluster's own database is denied", async () => {
    const leader = await bench.leader();
    expect(() => leader.catalog.drop("system")).toThrow(
      expect.objectContaining({ kind: "denied" }),
    );
  });
});

describe("a successor", () => {
  test("takes the chains of the leader before, but claims over no tombstone", async () => {
    const leader = await bench.leader();
    await fill(leader, "kept");
    await fill(leader, "gone");
    bench.crashAt = "drop.after_tombstone";
    await bench.failure(drop(leader, "gone"));
    const next = await bench.leader("n2");
    await bench.settle(claimAll(next.catalog, () => next.claim));
    const [kept, gone] = [next.catalog.peek("kept")!, next.catalog.peek("gone")!];
    expect([kept.state, kept.ownership?.claim.systemClaim]).toEqual(["owning", next.claim!]);
    expect([gone.state, gone.dropped]).toEqual(["following", true]);
    expect(leader.claim).not.toBeNull();
    // The old one learns of it when it writes.
    const old = leader.catalog.peek("kept")!;
    expect((await bench.failure(old.execute(bench.write("INSERT INTO t VALUES (2)")))).kind)
      .toBe("elsewhere");
  });
});

describe("a follower's catalog", () => {
  test("has what the leader made, and loses what it dropped", async () => {
    const leader = await bench.leader();
    const follower = await bench.member("n2");
    await fill(leader);
    bench.pass(12_000);
    await bench.settle(follower.catalog.refresh());
    expect(await rowsOf(follower)).toEqual([1]);
    await bench.settle(drop(leader));
    bench.pass(12_000);
    await bench.settle(follower.catalog.refresh());
    expect([bench.names(follower), follower.catalog.peek("orders")]).toEqual([[], undefined]);
  });

  test("keeps nothing open that was dropped while it was being opened", async () => {
    const leader = await bench.leader();
    const follower = await bench.member("n2");
    await fill(leader);
    bench.pass(12_000);
    const slow = held("before");
    bench.store.next("get", slow.fate, { key: objectKey("s3", "orders", 0, 1, 1) });
    await bench.settle(follower.catalog.refresh());
    const waiting = follower.catalog.wait("orders");
    waiting.catch(() => {});
    await bench.settle(slow.arrived);
    await bench.settle(leader.catalog.system.database.remove("orders"));
    bench.pass(12_000);
    await bench.settle(follower.catalog.refresh());
    slow.release();
    expect((await bench.failure(waiting)).kind).toBe("missing");
    expect(follower.catalog.peek("orders")).toBeUndefined();
  });

  test("tries again later what it could not open", async () => {
    const leader = await bench.leader();
    await fill(leader);
    bench.store.next("get", () => Promise.reject(new Error("no store")), { key: "/orders/" });
    const follower = await bench.member("n2");
    expect((await bench.failure(follower.catalog.wait("orders"))).message).toBe("no store");
    bench.pass(6_000);
    expect(await rowsOf(follower)).toEqual([1]);
  });
});
