/** What a flush and a view must not do when the lake changes under them. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { systemClock } from "../../../src/base/clock.ts";
import { findTable } from "../../../src/lake/catalog/read-tables.ts";
import { flushTable } from "../../../src/lake/flush-table.ts";
import { openView } from "../../../src/lake/lake-view.ts";
import { wish } from "../../support/lake-catalog.ts";
import { EVENTS, LakeWorkshop } from "../../support/lake-workshop.ts";

let shop: LakeWorkshop;
beforeEach(() => {
  shop = new LakeWorkshop();
  shop.stored.createTable("events", wish("id", "int64"));
});
afterEach(() => shop.close());

const freshness = {
  level: "linearizable",
  deadlineMs: systemClock.monotonicMs() + 60_000,
} as const;

test("rows of a lake that was dropped and made again are not replaced by those of the one before", async () => {
  await shop.job([shop.request('{"id":1}')]);
  const { value: table } = await shop.catalog.ask(findTable(EVENTS, null), freshness);
  const old = shop.stored;
  shop.makeAnew();
  shop.stored.createTable("events", wish("id", "int64"));
  shop.stored.database.run("UPDATE ducklake_table SET table_uuid = 'another'");
  shop.tables.forget(shop.catalog, EVENTS);
  await shop.job([shop.request('{"id":2}')]);
  const made = shop.stored;
  // Everything is as many as it was: the flush has read the old rows and now meets the new ones.
  shop.stored = old;
  shop.beforeChange = () => void (shop.stored = made);
  await expect(flushTable(shop, shop.catalog, table!, freshness)).rejects.toMatchObject({
    details: { refusal: "table_missing" },
  });
  expect(shop.rows()).toEqual([2]);
});

test("a snapshot that expires while it is read is missing, not empty", async () => {
  await shop.job([shop.request('{"id":1}')]);
  const { ask } = shop.catalog;
  let questions = 0;
  shop.catalog.ask = (...asked) => {
    // After the first, which finds the snapshot.
    if (questions++ === 1) {
      shop.stored.database.run("DELETE FROM ducklake_snapshot WHERE snapshot_id = 2");
    }
    return ask.apply(shop.catalog, asked) as never;
  };
  const options = { moment: { version: 2 }, freshness, names: [] } as const;
  await expect(openView(shop, shop.catalog, options)).rejects.toMatchObject({ kind: "missing" });
});
