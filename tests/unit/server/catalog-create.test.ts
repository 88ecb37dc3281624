/** Creating a database where there is one already, known to this node or not (PROTOCOL section 7). */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { Replica } from "../../../src/replica/replica.ts";
import { Catalog } from "../../../src/server/catalog.ts";
import { SystemDatabase } from "../../../src/server/system-database.ts";
import { Bench, type Node } from "../replica/bench.ts";

let bench: Bench;
beforeEach(() => void (bench = new Bench()));
afterEach(() => bench.close());

/** A node's catalog over the chain of `system`. */
async function catalogOf(node: Node, system: Replica): Promise<Catalog> {
  const { parts, hooks } = node;
  const catalog = new Catalog({ parts, hooks, clock: bench.clock, log: parts.log });
  await bench.settle(catalog.start(system, new SystemDatabase(system, bench.clock, parts.node.id)));
  return catalog;
}

/** A leader with the tables of `system`, and a follower that has read them. */
async function twoNodes() {
  const first = bench.node("n1");
  const system = await bench.create(first, "system");
  await bench.settle(new SystemDatabase(system, bench.clock, "n1").prepare());
  const leader = await catalogOf(first, system);
  const second = bench.node("n2");
  const followed = await bench.open(second, "system");
  return { first, leader, second, followed, follower: await catalogOf(second, followed) };
}

test("a new leader that has not read the catalog yet empties no database that a create names", async () => {
  const { leader, second, followed, follower } = await twoNodes();
  const orders = await bench.settle(leader.create("orders", 4096));
  await bench.execute(orders, "CREATE TABLE items (name)");
  await bench.execute(orders, "INSERT INTO items VALUES ('lamp')");
  await bench.settle(followed.claim(null));
  second.systemClaim = followed.ownership?.claim.epoch ?? 0;
  const again = await bench.failure(follower.create("orders", 4096));
  expect(again).toMatchObject({ kind: "conflict" });
  const replica = await bench.settle(follower.wait("orders"));
  expect(await bench.read(replica, "SELECT name FROM items")).toEqual(["lamp"]);
});

test("a new leader that has not read the catalog yet finds what was created before its claim", async () => {
  const { leader, second, followed, follower } = await twoNodes();
  const orders = await bench.settle(leader.create("orders", 4096));
  await bench.execute(orders, "CREATE TABLE items (name)");
  await bench.settle(followed.claim(null));
  second.systemClaim = null;
  expect(await bench.failure(follower.wait("orders"))).toMatchObject({ kind: "missing" });
  second.systemClaim = followed.ownership?.claim.epoch ?? 0;
  const replica = await bench.settle(follower.wait("orders"));
  expect([replica.name, replica.tip]).toEqual(["orders", 2]);
  expect(await bench.failure(follower.wait("other"))).toMatchObject({ kind: "missing" });
});

test("a database that is created while the catalog is read stays", async () => {
  const { leader } = await twoNodes();
  const [created] = await bench.settle(
    Promise.all([leader.create("orders", 4096), leader.refresh()]),
  );
  expect(leader.peek("orders")).toBe(created);
});
