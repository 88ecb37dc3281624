/** When the leader merges files by itself. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import type { Clock } from "../../../src/base/clock.ts";
import {
  LOADING_QUIET_MS,
  MERGE_EVERY_MS,
  MERGE_FILES_MIN,
} from "../../../src/base/lake-limits.ts";
import { silentLog } from "../../../src/base/log.ts";
import { CatalogCopies } from "../../../src/lake/catalog-copies.ts";
import { Upkeep } from "../../../src/lake/upkeep.ts";
import { wish } from "../../support/lake-catalog.ts";
import { LAKE, LakeWorkshop } from "../../support/lake-workshop.ts";

let nowMs: number;
const clock: Clock = {
  nowMs: () => nowMs,
  monotonicMs: () => nowMs,
  sleep: () => Promise.resolve(),
  turn: () => Promise.resolve(),
  after: () => () => {},
};

let shop: LakeWorkshop;
let upkeep: Upkeep;
beforeEach(async () => {
  nowMs = Date.UTC(2026, 0, 1);
  shop = new LakeWorkshop(clock);
  shop.stored.createTable("events", wish("id", "int64"));
  const { store, files, loaders, uuid, catalog } = shop;
  const common = { clock, log: silentLog, files, loaders, uuid };
  upkeep = new Upkeep({
    ...common,
    copies: new CatalogCopies({ ...common, store, export: () => Promise.reject(new Error()) }),
    leads: () => true,
    lakes: () => [LAKE],
    catalog: () => catalog,
    tip: () => shop.changes,
    staged: { list: async function* () {} },
    windowMs: 7 * 86_400_000,
    clockOffsetMs: () => 0,
    epochAt: () => Promise.resolve(null),
  });
  // What it has seen before is not new to it.
  await upkeep.look();
});
afterEach(() => shop.close());

async function addFiles(): Promise<void> {
  for (let id = 0; id < MERGE_FILES_MIN; id++) {
    await shop.job([shop.request(`{"id":${id}}`)], { isBulk: true, onLoaded: () => {} });
  }
}

const files = () => shop.stored.rows("SELECT * FROM ducklake_data_file WHERE end_snapshot IS NULL");

test("files are merged as soon as no rows come in", async () => {
  await addFiles();
  await upkeep.look();
  expect(files()).toHaveLength(MERGE_FILES_MIN);
  nowMs += LOADING_QUIET_MS;
  await upkeep.look();
  expect(files()).toHaveLength(1);
});

test("while rows come in they are merged, but not often", async () => {
  nowMs += MERGE_EVERY_MS - 1;
  await addFiles();
  await upkeep.look();
  expect(files()).toHaveLength(MERGE_FILES_MIN);
  nowMs += 1;
  await upkeep.look();
  expect(files()).toHaveLength(1);
  await addFiles();
  await upkeep.look();
  expect(files()).toHaveLength(MERGE_FILES_MIN + 1);
});
