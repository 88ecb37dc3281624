/** What is pruned by age, on whose word, and on whose clock. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { silentLog } from "../../../src/base/log.ts";
import type { Replica } from "../../../src/replica/replica.ts";
import { listLevel } from "../../../src/replica/chain.ts";
import { pruneEveryMs, Retention } from "../../../src/server/retention.ts";
import { fails } from "../replica/scripted-store.ts";
import { CatalogBench, type Member } from "./catalog-harness.ts";

const WINDOW_MS = 60_000;

let bench: CatalogBench;
let leader: Member;
let orders: Replica;
beforeEach(async () => {
  bench = new CatalogBench();
  leader = await bench.leader();
  orders = await bench.settle(leader.catalog.create("orders", 4096));
});
afterEach(() => bench.close());

function retention(facts: { offsetMs?: number; leads?: () => boolean } = {}): Retention {
  return new Retention({
    clock: bench.clock,
    log: silentLog,
    catalog: leader.catalog,
    windowMs: WINDOW_MS,
    leads: facts.leads ?? (() => leader.claim !== null),
    clockOffsetMs: () => facts.offsetMs ?? 0,
  });
}

async function write(times: number): Promise<void> {
  for (let i = 0; i < times; i++) {
    await bench.execute(orders, `CREATE TABLE t${orders.tip} (a)`);
  }
}

/** A snapshot whose proof is a row in `system`. */
async function verified(): Promise<number> {
  const epoch = await bench.settle(orders.snapshotNow());
  await bench.settle(leader.catalog.system.database.addSnapshot("orders", epoch));
  return epoch;
}

const epochs = async (level: number) =>
  (await bench.settle(listLevel(orders.chain, level))).map(({ max }) => max);

test("what lies before the newest old snapshot goes; claims and younger snapshots stay [I4, I10]", async () => {
  await write(3);
  const oldest = await verified();
  await write(3);
  const base = await verified();
  bench.pass(WINDOW_MS + 1);
  await write(2);
  const young = await verified();
  await write(1);
  expect(await bench.settle(retention().prune())).toBeGreaterThan(0);
  expect(await epochs(9)).toEqual([base, young]);
  const left = await epochs(0);
  expect(left[0]).toBe(1);
  expect(left.slice(1)).toEqual(
    Array.from({ length: orders.tip - base + 1 }, (_, index) => base + index),
  );
  expect(left).not.toContain(oldest);
  const rows = await bench.settle(leader.catalog.system.database.verifiedSnapshots("orders"));
  expect(rows.map(({ epoch }) => epoch)).toEqual([base, young]);
});

test("a snapshot that nobody verified is no reason to remove anything [I10]", async () => {
  await write(3);
  await bench.settle(orders.snapshotNow());
  bench.pass(2 * WINDOW_MS);
  await write(1);
  expect(await bench.settle(retention().prune())).toBe(0);
  expect((await epochs(0)).length).toBe(orders.tip);
});

test("one within the window is not, nor on a node that does not lead", async () => {
  await write(3);
  await verified();
  bench.pass(WINDOW_MS - 1_000);
  await write(1);
  expect(await bench.settle(retention().prune())).toBe(0);
  bench.pass(2_000);
  expect(await bench.settle(retention({ leads: () => false }).prune())).toBe(0);
  expect((await epochs(0)).length).toBe(orders.tip);
  expect(await bench.settle(retention().prune())).toBeGreaterThan(0);
});

test("nothing is removed by a clock that is not the store's [I11]", async () => {
  await write(3);
  await verified();
  bench.pass(2 * WINDOW_MS);
  expect(await bench.settle(retention({ offsetMs: 6 * 60_000 }).prune())).toBe(0);
  expect(await bench.settle(retention({ offsetMs: -6 * 60_000 }).prune())).toBe(0);
  expect((await epochs(0)).length).toBe(orders.tip);
});

test("nothing is listed while no snapshot has become old enough", async () => {
  await write(3);
  await verified();
  const kept = retention();
  const lists = () => bench.store.count("list ");
  const before = lists();
  await bench.settle(kept.prune());
  expect(lists()).toBe(before);
  bench.pass(2 * WINDOW_MS);
  await bench.settle(kept.prune());
  const after = lists();
  expect(after).toBeGreaterThan(before);
  await bench.settle(kept.prune());
  expect(lists()).toBe(after);
});

test("a store that fails meanwhile stops it, and the next look goes on", async () => {
  await write(3);
  await verified();
  bench.pass(2 * WINDOW_MS);
  bench.store.next("remove", fails("unavailable"));
  const kept = retention();
  expect(await bench.settle(kept.prune())).toBe(0);
  expect(await bench.settle(kept.prune())).toBeGreaterThan(0);
});

test("a short window is looked at more often", () => {
  expect(pruneEveryMs(32_000)).toBe(4_000);
  expect(pruneEveryMs(7 * 24 * 3600 * 1000)).toBe(60_000);
});
