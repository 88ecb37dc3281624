import { afterEach, beforeEach, expect, test } from "bun:test";
import type { Failure } from "../../../src/base/failure.ts";
import { silentLog } from "../../../src/base/log.ts";
import { seededRandom } from "../../../src/base/random.ts";
import { brokerKey } from "../../../src/epoch/key.ts";
import { BrokerRecord } from "../../../src/server/broker-record.ts";
import { Maintenance } from "../../../src/server/maintenance.ts";
import type { Retention } from "../../../src/server/retention.ts";
import { fails } from "../replica/scripted-store.ts";
import { CatalogBench, type Member } from "./catalog-harness.ts";

let bench: CatalogBench;
beforeEach(() => void (bench = new CatalogBench()));
afterEach(() => bench.close());

function maintained(member: Member, nonce: string) {
  const { store, clock } = bench;
  const replaced: Failure[] = [];
  const maintenance = new Maintenance({
    clock,
    log: silentLog,
    catalog: member.catalog,
    leads: () => member.claim !== null,
    clockOffsetMs: () => 0,
    retention: { prune: () => Promise.resolve(0) } as unknown as Retention,
    pruneEveryMs: 60_000,
    record: new BrokerRecord({
      store,
      clock,
      random: seededRandom(1),
      isSelfAt: () => Promise.resolve(false),
    }),
    isAway: () => false,
    recordEveryMs: 600_000,
    facts: () => ({
      node: "n1",
      address: `http://${nonce}`,
      peer_address: "",
      zone: "",
      roles: [],
      state: "active",
      version: "1",
      nonce,
    }),
    onReplaced: (failure) => void replaced.push(failure),
  });
  return { maintenance, replaced };
}

const writes = () => bench.store.count(`replace ${brokerKey("n1")}`);

test("a node writes its file at its rhythm, also after the store has failed", async () => {
  const { maintenance } = maintained(await bench.leader(), "a");
  await bench.settle(maintenance.record());
  maintenance.start();
  bench.pass(1_200_001);
  expect(writes()).toBe(3);
  bench.store.next("replace", fails("denied"), { key: brokerKey("n1") });
  bench.pass(600_001);
  bench.pass(600_001);
  expect(writes()).toBe(5);
});

test("a process that a newer one with its id has replaced says so", async () => {
  const leader = await bench.leader();
  const [old, young] = [maintained(leader, "old"), maintained(leader, "new")];
  await bench.settle(old.maintenance.record());
  await bench.settle(young.maintenance.record());
  old.maintenance.start();
  bench.pass(600_001);
  expect(old.replaced.map(({ kind }) => kind)).toEqual(["conflict"]);
  expect(young.replaced).toEqual([]);
});

test("a follower learns of databases by itself, and an idle leader asks the store for nothing", async () => {
  const leader = await bench.leader();
  const follower = await bench.member("n2");
  const { maintenance } = maintained(follower, "b");
  maintenance.start();
  await bench.settle(leader.catalog.create("orders", 4096));
  bench.pass(20_000);
  expect(bench.names(follower)).toEqual(["orders"]);
  maintenance.close();
  await bench.stop(follower);
  maintained(leader, "a").maintenance.start();
  const before = bench.store.sent.length;
  bench.pass(599_000);
  expect(bench.store.sent.slice(before)).toEqual([]);
});

test("nothing of it goes on when it is closed", async () => {
  const { maintenance } = maintained(await bench.leader(), "a");
  maintenance.start();
  bench.pass(1_000);
  maintenance.close();
  // The workspace's own timers end by themselves.
  bench.pass(120_000);
  const before = bench.timeline.events;
  bench.pass(3_600_000);
  expect(writes()).toBe(0);
  // The one that ends this wait.
  expect(bench.timeline.events - before).toBe(1);
});
