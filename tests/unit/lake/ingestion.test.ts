import { afterEach, beforeEach, expect, test } from "bun:test";
import { Failure } from "../../../src/base/failure.ts";
import { silentLog } from "../../../src/base/log.ts";
import { seededRandom } from "../../../src/base/random.ts";
import { Ingestion } from "../../../src/lake/ingestion.ts";
import type { RowsAnswer, RowsRequest } from "../../../src/lake/rows-request.ts";
import { StagedFiles } from "../../../src/lake/staged-files.ts";
import { wish } from "../../support/lake-catalog.ts";
import { LakeWorkshop } from "../../support/lake-workshop.ts";
import { SimulatedClock, Timeline } from "../../support/simulated-clock.ts";

let timeline: Timeline;
let shop: LakeWorkshop;
let ingestion: Ingestion;
beforeEach(() => {
  timeline = new Timeline();
  const clock = new SimulatedClock(timeline);
  shop = new LakeWorkshop(clock);
  shop.stored.createTable("events", wish("id", "int64"));
  ingestion = new Ingestion({
    ...{ clock, loaders: shop.loaders, files: shop.files, tables: shop.tables, uuid: shop.uuid },
    catalog: () => shop.catalog,
    ...{
      staged: new StagedFiles({
        store: shop.store,
        clock,
        random: seededRandom(1),
        log: silentLog,
      }),
      adopter: { add: () => {} },
    },
  });
});
afterEach(() => shop.close());

const store = (body: string, more: Partial<RowsRequest> = {}) =>
  ingestion.store(shop.request(body, more));
const outcome = (answer: Promise<unknown>) =>
  answer.then(() => "stored", (error) => (error as Failure).kind);
const keyed = (key: string, hash = "h") => ({ key: { subject: "ann", key, hash } });

/** A change that waits until it is let go on; `reached` resolves when it is there. */
function holdChanges(): { reached: Promise<void>; release: (failure?: Failure) => void } {
  const reached = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  shop.beforeChange = () => {
    reached.resolve();
    return released.promise;
  };
  return {
    reached: reached.promise,
    release: (failure) => failure ? released.reject(failure) : released.resolve(),
  };
}

/** Until this time of the simulated clock. */
function passUntil(ms: number): void {
  while (timeline.nowMs < ms && timeline.step());
}

test("who is not answered by the deadline hears that nothing is stored, and nothing is", async () => {
  const find = Promise.withResolvers<void>();
  const { query } = shop;
  shop.query = async (name, request) => {
    await find.promise;
    return query.call(shop, name, request);
  };
  const late = store('{"id":1}', { deadlineMs: 1_000 });
  const told = outcome(late);
  passUntil(2_000);
  expect(await told).toBe("unavailable");
  const soon = outcome(store('{"id":2}', { deadlineMs: 1e9 }));
  find.resolve();
  expect(await soon).toBe("stored");
  expect(shop.rows()).toEqual([2]);
});

test("who is not answered while the rows are being stored hears that they may be there", async () => {
  const { reached, release } = holdChanges();
  const told = outcome(store('{"id":1}', { deadlineMs: 1_000 }));
  await reached;
  passUntil(2_000);
  expect(await told).toBe("uncertain");
  release();
});

test("a key that is being stored is answered as the first, and with other rows is a conflict", async () => {
  const { reached, release } = holdChanges();
  const first = store('{"id":1}', keyed("k"));
  const same = store('{"id":1}', keyed("k"));
  expect(await outcome(store('{"id":2}', keyed("k", "other")))).toBe("conflict");
  const others = [
    store('{"id":3}', keyed("other")),
    store('{"id":4}', { key: { subject: "bob", key: "k", hash: "h" } }),
  ];
  await reached;
  release();
  expect(await same).toBe(await first);
  await Promise.all(others);
  expect(shop.rows().sort()).toEqual([1, 3, 4]);
  const again = await store('{"id":1}', keyed("k"));
  expect(again).toMatchObject({ rows: 1, snapshot: (await first as RowsAnswer).snapshot });
  expect(shop.rows().sort()).toEqual([1, 3, 4]);
});

test("who joins a request that has longer to wait is answered at the own deadline", async () => {
  const { reached, release } = holdChanges();
  const first = outcome(store('{"id":1}', { ...keyed("k"), deadlineMs: 1e9 }));
  const second = outcome(store('{"id":1}', { ...keyed("k"), deadlineMs: 1_000 }));
  await reached;
  passUntil(2_000);
  expect(await second).toBe("uncertain");
  release();
  expect(await first).toBe("stored");
  expect(shop.rows()).toEqual([1]);
});

test("a key whose first request failed is free for the next", async () => {
  const { reached, release } = holdChanges();
  const told = [1, 2].map(() => outcome(store('{"id":1}', keyed("k"))));
  await reached;
  release(new Failure("busy", "full"));
  expect(await Promise.all(told)).toEqual(["busy", "busy"]);
  shop.beforeChange = () => {};
  expect(await outcome(store('{"id":1}', keyed("k")))).toBe("stored");
});

test("closing answers everybody: in doubt are those whose rows are on their way", async () => {
  const { reached, release } = holdChanges();
  const sent = outcome(store('{"id":1}'));
  await reached;
  const waiting = outcome(store('{"id":2}'));
  ingestion.close(new Failure("unavailable", "the node is closing"));
  expect(await Promise.all([sent, waiting])).toEqual(["uncertain", "unavailable"]);
  release();
});

test("tables do not wait for one another", async () => {
  shop.stored.createTable("clicks", wish("id", "int64"));
  const { reached, release } = holdChanges();
  const held = store('{"id":1}');
  await reached;
  shop.beforeChange = () => {};
  expect(await outcome(store('{"id":2}', { table: { schema: "main", name: "clicks" } })))
    .toBe("stored");
  release();
  await held;
});
