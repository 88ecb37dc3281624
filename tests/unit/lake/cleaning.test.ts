import { afterAll, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "../../../src/base/clock.ts";
import { CLEAN_MARGIN_MS, ORPHAN_AGE_MS } from "../../../src/base/lake-limits.ts";
import { CLOCK_OFFSET_MS_MAX, KEPT_ANSWER_MS } from "../../../src/base/limits.ts";
import { silentLog } from "../../../src/base/log.ts";
import { seededRandom } from "../../../src/base/random.ts";
import { KeysByDatabase } from "../../../src/database/answered-keys.ts";
import { moveLake } from "../../../src/lake/catalog/create-lake.ts";
import { type DataFile, registerFiles } from "../../../src/lake/catalog/data-files.ts";
import { mergeFiles } from "../../../src/lake/catalog/merge.ts";
import { listCondemned, listFiles } from "../../../src/lake/catalog/read-files.ts";
import {
  type CleaningParts,
  condemnStrays,
  dateFiles,
  deleteFiles,
  forgetOldKeys,
} from "../../../src/lake/cleaning.ts";
import { LakeCatalog } from "../../../src/lake/lake-catalog.ts";
import { createKeysTable, findKeys, keepKeys } from "../../../src/lake/kept-keys.ts";
import { LakeFiles } from "../../../src/lake/lake-files.ts";
import { MemoryStore } from "../../../src/store/memory.ts";
import { wish } from "../../support/lake-catalog.ts";
import { MemoryCatalogs } from "../../support/memory-catalogs.ts";

const WINDOW_MS = 7 * 86_400_000;
const DEADLINE_MS = Number.POSITIVE_INFINITY;
const START_MS = Date.UTC(2024, 0, 15, 12);

const folder = mkdtempSync(join(tmpdir(), "headgate-cleaning-"));
afterAll(() => rmSync(folder, { recursive: true }));

let nowMs: number;
let offsetMs: number;
/** What the newest epoch was at the edge of the restore window; null: it is pruned. */
let left: number | null;
let store: MemoryStore;
let databases: MemoryCatalogs;
let catalog: LakeCatalog;
let parts: CleaningParts;
let askedEpochs: number;
/** Ids of what is stored and not adopted yet. */
let staged: readonly string[];

const clock: Clock = {
  nowMs: () => nowMs,
  monotonicMs: () => nowMs,
  sleep: () => Promise.resolve(),
  turn: () => Promise.resolve(),
  after: () => () => {},
};

function file(path: string, rows: number): DataFile {
  return { path, rows, bytes: 3, footerBytes: 1, statistics: [] };
}

/** Two files that were merged into a third, at the first moment. */
beforeEach(async () => {
  [nowMs, offsetMs, left, askedEpochs] = [START_MS, 0, null, 0];
  store = new MemoryStore(clock);
  const random = seededRandom(1);
  const files = new LakeFiles({
    ...{ store, clock, random, folder },
    log: silentLog,
  });
  staged = [];
  databases = new MemoryCatalogs(files.dataPath("web"));
  const keys = new KeysByDatabase(random);
  catalog = new LakeCatalog({ databases, clock, keys, clockOffsetMs: () => offsetMs }, "web");
  parts = {
    ...{ clock, files, windowMs: WINDOW_MS },
    staged: {
      list: async function* () {
        await Promise.resolve();
        yield staged;
      },
    },
    clockOffsetMs: () => offsetMs,
    epochAt: () => {
      askedEpochs++;
      return Promise.resolve(left);
    },
  };
  for (const name of ["a", "b", "c"]) {
    await store.create(`lakes/web/data/${name}`, Buffer.from("abc"));
  }
  const { columns } = databases.catalog.createTable("t", wish("a", "int32"));
  const few = [file("data/a", 1), file("data/b", 1)];
  await catalog.change([registerFiles({ table: 1, columns, files: few })], { deadlineMs: 0 });
  const replaced = databases.catalog.ask(listFiles(1, null)).map(({ id }) => id);
  const merge = mergeFiles({ table: 1, columns, replaced, file: file("data/c", 2) });
  await catalog.change([merge], { deadlineMs: 0 });
});

async function stored(): Promise<string[]> {
  const { objects } = await store.list("lakes/");
  return objects.map(({ key }) => key.slice("lakes/web/data/".length));
}

/** The window has passed since, and the epoch of the condemnation with it. */
async function passWindow(): Promise<void> {
  await dateFiles(catalog, DEADLINE_MS);
  nowMs += WINDOW_MS + CLEAN_MARGIN_MS + 5_000;
  left = databases.epoch;
}

test("a file that was merged goes once its epoch has left the restore window [I15]", async () => {
  await passWindow();
  expect(await deleteFiles(parts, catalog, DEADLINE_MS)).toEqual(["data/a", "data/b"]);
  expect(await stored()).toEqual(["c"]);
  expect(databases.catalog.ask(listCondemned())).toEqual([]);
  expect(databases.asked.at(-1)).toBe("linearizable");
});

test("a file stays while its epoch is in the window, and the store is not even asked [I15]", async () => {
  await dateFiles(catalog, DEADLINE_MS);
  nowMs += WINDOW_MS;
  expect(await deleteFiles(parts, catalog, DEADLINE_MS)).toEqual([]);
  expect([await stored(), askedEpochs]).toEqual([["a", "b", "c"], 0]);
});

test("a file stays where an older epoch is the oldest that can be restored [I15]", async () => {
  await passWindow();
  const epochs = databases.catalog.ask(listCondemned()).map(({ epoch }) => epoch);
  left = epochs[0]! - 1;
  expect(await deleteFiles(parts, catalog, DEADLINE_MS)).toEqual([]);
  left = null;
  expect(await deleteFiles(parts, catalog, DEADLINE_MS)).toEqual([]);
  expect([await stored(), askedEpochs]).toEqual([["a", "b", "c"], 2]);
});

test("a file that has no epoch yet stays, however old it is [I15]", async () => {
  await passWindow();
  databases.catalog.execute([{ sql: "UPDATE _headgate_condemned SET epoch = NULL" }]);
  expect(await deleteFiles(parts, catalog, DEADLINE_MS)).toEqual([]);
});

test("a file that the last look finds to be condemned anew stays, or not at all condemned [I15]", async () => {
  await passWindow();
  let reads = 0;
  databases.before["linearizable"] = () => {
    if (++reads !== 2) return;
    databases.catalog.database.run(
      "UPDATE _headgate_condemned SET epoch = epoch - 1 WHERE path = 'data/a'",
    );
    databases.catalog.database.run("DELETE FROM _headgate_condemned WHERE path = 'data/b'");
  };
  expect(await deleteFiles(parts, catalog, DEADLINE_MS)).toEqual([]);
  expect([await stored(), reads]).toEqual([["a", "b", "c"], 2]);
});

test("nothing is deleted or condemned while this clock is not the store's [I11]", async () => {
  await passWindow();
  await store.create("lakes/web/data/stray", Buffer.from("abc"));
  nowMs += ORPHAN_AGE_MS + 1_000;
  for (offsetMs of [CLOCK_OFFSET_MS_MAX + 1, -CLOCK_OFFSET_MS_MAX - 1]) {
    expect(await deleteFiles(parts, catalog, DEADLINE_MS)).toEqual([]);
    expect(await condemnStrays(parts, catalog, DEADLINE_MS)).toBe(0);
  }
});

test("nothing is deleted or condemned of a lake whose files are elsewhere", async () => {
  await passWindow();
  databases.catalog.execute([moveLake("s3://other/lake/")]);
  expect(await deleteFiles(parts, catalog, DEADLINE_MS)).toEqual([]);
  await store.create("lakes/web/data/stray", Buffer.from("abc"));
  nowMs += ORPHAN_AGE_MS + 1_000;
  expect(await condemnStrays(parts, catalog, DEADLINE_MS)).toBe(0);
});

test("a path that another writer made absolute, or that leads out of the folder, is never deleted", async () => {
  await passWindow();
  const { database } = databases.catalog;
  database.run(
    "UPDATE ducklake_files_scheduled_for_deletion SET path_is_relative = 0 WHERE path = 'data/a'",
  );
  database.run("UPDATE _headgate_condemned SET path = '../web/data/b' WHERE path = 'data/b'");
  expect(await deleteFiles(parts, catalog, DEADLINE_MS)).toEqual([]);
  expect(await stored()).toEqual(["a", "b", "c"]);
});

test("a condemned file that the catalog names all the same stays", async () => {
  await passWindow();
  databases.catalog.database.run("UPDATE ducklake_data_file SET path = 'data/a'");
  expect(await deleteFiles(parts, catalog, DEADLINE_MS)).toEqual(["data/b"]);
});

test("no file is condemned for being in no catalog while something stored is not adopted", async () => {
  await store.create("lakes/web/data/stray", Buffer.from("abc"));
  nowMs += ORPHAN_AGE_MS + 1_000;
  staged = ["0000000000000007-abc"];
  expect(await condemnStrays(parts, catalog, DEADLINE_MS)).toBe(0);
  staged = [];
  expect(await condemnStrays(parts, catalog, DEADLINE_MS)).toBe(1);
});

test("keys stay while something stored is not adopted: it may have been stored again by its key", async () => {
  const keep = { subject: "ann", key: "k", hash: "h", rows: 1 };
  databases.catalog.execute([{ sql: createKeysTable() }]);
  databases.catalog.execute([keepKeys([keep], catalog.storeMs)]);
  nowMs += KEPT_ANSWER_MS + 1_000;
  const isKept = async () =>
    (await catalog.ask(findKeys([keep]), { level: "local", deadlineMs: DEADLINE_MS })).value.length;
  staged = ["0000000000000007-abc"];
  await forgetOldKeys(parts, catalog, DEADLINE_MS);
  expect(await isKept()).toBe(1);
  staged = [];
  await forgetOldKeys(parts, catalog, DEADLINE_MS);
  expect(await isKept()).toBe(0);
});

test("a file in no catalog is condemned a day after it came, and cannot be registered then [I15]", async () => {
  await store.create("lakes/web/data/stray", Buffer.from("abc"));
  nowMs += ORPHAN_AGE_MS;
  await store.create("lakes/web/data/young", Buffer.from("abc"));
  expect(await condemnStrays(parts, catalog, DEADLINE_MS)).toBe(0);
  nowMs += 1;
  expect(await condemnStrays(parts, catalog, DEADLINE_MS)).toBe(1);
  const paths = databases.catalog.ask(listCondemned()).map(({ path }) => path);
  expect(paths).toEqual(["data/a", "data/b", "data/stray"]);
  const { columns } = databases.catalog.table("t");
  const late = registerFiles({ table: 1, columns, files: [file("data/stray", 1)] });
  expect(databases.catalog.refusal(late)).toBe("path_condemned");
});
