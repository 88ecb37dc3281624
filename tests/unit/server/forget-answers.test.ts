/** Answers of idempotency keys are forgotten a day later, by the store's time (I11). */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { silentLog } from "../../../src/base/log.ts";
import type { Replica } from "../../../src/replica/replica.ts";
import type { Catalog } from "../../../src/server/catalog.ts";
import type { BrokerRecord } from "../../../src/server/broker-record.ts";
import { Maintenance } from "../../../src/server/maintenance.ts";
import type { Retention } from "../../../src/server/retention.ts";
import { Bench } from "../replica/bench.ts";

const HOUR_MS = 3600 * 1000;

let bench: Bench;
beforeEach(() => void (bench = new Bench()));
afterEach(() => bench.close());

/** Keys that are left when this much time has passed, on a node whose clock is off. */
async function keysAfter(ms: number, offsetMs: number): Promise<unknown[]> {
  const replica = await bench.create(bench.node());
  await bench.execute(replica, "CREATE TABLE t (a)");
  const write = { ...bench.write("INSERT INTO t VALUES (1)"), idempotencyKey: "once" };
  await bench.settle(replica.execute(write));
  const maintenance = new Maintenance({
    clock: bench.clock,
    log: silentLog,
    catalog: { replicas: (): Replica[] => [replica] } as unknown as Catalog,
    leads: () => true,
    clockOffsetMs: () => offsetMs,
    pruneEveryMs: 1_000 * HOUR_MS,
    retention: { prune: () => Promise.resolve(0) } as unknown as Retention,
    record: { write: () => Promise.resolve() } as unknown as BrokerRecord,
    isAway: () => false,
    recordEveryMs: 1_000 * HOUR_MS,
    facts: () => ({}) as never,
    onReplaced: () => {},
  });
  maintenance.start();
  for (let passedMs = 0; passedMs < ms; passedMs += HOUR_MS) {
    bench.pass(HOUR_MS);
    await bench.settle(replica.prove());
  }
  maintenance.close();
  await bench.settle(replica.image.reached(replica.tip, bench.clock.monotonicMs() + HOUR_MS));
  return await bench.read(replica, "SELECT key FROM _headgate_requests");
}

test("an answer is kept for a day and then forgotten", async () => {
  expect(await keysAfter(23 * HOUR_MS, 0)).toEqual(["once"]);
  bench.close();
  bench = new Bench();
  expect(await keysAfter(27 * HOUR_MS, 0)).toEqual([]);
});

test("nothing is forgotten by a clock that is not the store's [I11]", async () => {
  expect(await keysAfter(27 * HOUR_MS, -10 * 60 * 1000)).toEqual(["once"]);
});
