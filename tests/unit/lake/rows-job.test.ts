import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { Failure } from "../../../src/base/failure.ts";
import { LOAD_INLINED_BYTES_MAX } from "../../../src/base/lake-limits.ts";
import { addColumn } from "../../../src/lake/catalog/alter-table.ts";
import { dropTable } from "../../../src/lake/catalog/create-table.ts";
import type { RowsRequest } from "../../../src/lake/rows-request.ts";
import { LakeCatalog, wish } from "../../support/lake-catalog.ts";
import { LakeWorkshop } from "../../support/lake-workshop.ts";
import { WaitingRows } from "../../../src/lake/waiting-rows.ts";
import { RowsJob } from "../../../src/lake/rows-job.ts";
import { EVENTS, FEW } from "../../support/lake-workshop.ts";

let shop: LakeWorkshop;
beforeEach(() => {
  shop = new LakeWorkshop();
});
afterEach(() => shop.close());

const makeTable = () => shop.stored.createTable("events", wish("id", "int64"));
const ids = (...all: number[]) => all.map((id) => `{"id":${id}}\n`).join("");
/** Happens once, before the next change. */
function meanwhile(happen: () => void): void {
  shop.beforeChange = () => {
    shop.beforeChange = () => {};
    happen();
  };
}
const keyed = (key: string, hash: string) => ({ key: { subject: "ann", key, hash } });
const kinds = (settled: readonly PromiseSettledResult<unknown>[]) =>
  settled.map((one) => one.status === "fulfilled" ? "stored" : (one.reason as Failure).kind);
const job = (...requests: RowsRequest[]) => shop.job(requests);

describe("a large request that is sent again with its key", () => {
  const large = `{"id":1,"text":"${"x".repeat(LOAD_INLINED_BYTES_MAX)}"}`;

  test("is answered by what this node knows, and stores no file again", async () => {
    shop.stored.createTable("events", wish("id", "int64"), wish("text", "varchar"));
    const once = shop.request(large, keyed("k", "one"));
    const [first] = await job(once);
    const stored = await shop.store.list("");
    const again = await job(once);
    expect(again).toMatchObject([{ value: { rows: 1, snapshot: 2 } }]);
    expect([first!.status, stored.objects.length, shop.changes]).toEqual(["fulfilled", 1, 1]);
    expect(await shop.store.list("")).toEqual(stored);
  });

  test("is not answered by what this node knows of a lake that was dropped and made anew", async () => {
    shop.stored.createTable("events", wish("id", "int64"), wish("text", "varchar"));
    await job(shop.request(large, keyed("k", "one")));
    shop.local = shop.stored;
    shop.makeAnew();
    shop.stored.createTable("events", wish("id", "int64"), wish("text", "varchar"));
    shop.tables.forget(shop.catalog, EVENTS);
    expect(kinds(await job(shop.request(large, keyed("k", "one"))))).toEqual(["stored"]);
    expect(shop.stored.rows("SELECT record_count FROM ducklake_data_file")).toEqual([[1n]]);
  });

  test("with other rows is refused", async () => {
    shop.stored.createTable("events", wish("id", "int64"), wish("text", "varchar"));
    await job(shop.request(large, keyed("k", "one")));
    expect(kinds(await job(shop.request(large, keyed("k", "two"))))).toEqual(["conflict"]);
  });

  test("is stored once by whoever leads, where this node does not know it yet", async () => {
    shop.stored.createTable("events", wish("id", "int64"), wish("text", "varchar"));
    const behind = shop.stored;
    await job(shop.request(large, keyed("k", "one")));
    shop.local = new LakeCatalog();
    expect(kinds(await job(shop.request(large, keyed("k", "one"))))).toEqual(["stored"]);
    expect([behind === shop.stored, shop.changes]).toEqual([true, 1]);
  });
});

describe("requests of one job", () => {
  test("make one snapshot, and each is told its own rows", async () => {
    makeTable();
    const settled = await job(shop.request(ids(1, 2)), shop.request(ids(3)));
    expect(settled).toMatchObject([
      { value: { rows: 2, snapshot: 2 } },
      { value: { rows: 1, snapshot: 2 } },
    ]);
    expect([shop.rows(), shop.changes]).toEqual([[1, 2, 3], 1]);
  });

  test("that do not fit fail alone", async () => {
    makeTable();
    const settled = await job(
      shop.request(ids(1)),
      shop.request('{"id":"x"}'),
      shop.request(ids(2)),
      shop.request(""),
      shop.request('{"id":'),
    );
    expect(kinds(settled)).toEqual(["stored", "invalid", "stored", "invalid", "invalid"]);
    expect([shop.rows(), shop.changes]).toEqual([[1, 2], 1]);
  });

  test("without a single row change nothing", async () => {
    makeTable();
    expect(kinds(await job(shop.request(""), shop.request("\n\n")))).toEqual([
      "invalid",
      "invalid",
    ]);
    expect(shop.changes).toBe(0);
  });

  test("make their table where one of them says so; the others hear that it is missing", async () => {
    const settled = await job(shop.request(ids(1)), shop.request(ids(2), { create: true }));
    expect(kinds(settled)).toEqual(["missing", "stored"]);
    expect(shop.rows()).toEqual([2]);
  });

  test("from which no table can be made keep none from it, however many they are", async () => {
    const bad = Array.from({ length: 12 }, () => shop.request("{", { create: true }));
    const settled = await job(...bad, shop.request(ids(1), { create: true }));
    expect(kinds(settled)).toEqual([...bad.map(() => "invalid" as const), "stored"]);
    expect(shop.rows()).toEqual([1]);
  });

  test("are all answered when there is no room for their bodies", async () => {
    makeTable();
    shop.files.temporary = () => Promise.reject(new Failure("unavailable", "memory_dir is full"));
    expect(kinds(await job(shop.request(ids(1)), shop.request(ids(2))))).toEqual([
      "unavailable",
      "unavailable",
    ]);
  });

  test("that were answered at their deadline are left out, and the rest is stored", async () => {
    makeTable();
    const waiting = [1, 2].map((id) => new WaitingRows(shop.request(ids(id))));
    const late = waiting[0]!.answer.catch((error) => error.kind);
    const rows = new RowsJob(shop, shop.catalog, EVENTS, waiting, FEW).run();
    waiting[0]!.failed(new Failure("unavailable", "late"));
    await rows;
    expect(await late).toBe("unavailable");
    expect(await waiting[1]!.answer).toMatchObject({ rows: 1 });
    expect(shop.rows()).toEqual([2]);
  });
});

describe("a table that changes meanwhile", () => {
  test("takes the rows with its new columns", async () => {
    const { id, version } = makeTable();
    await job(shop.request(ids(1)));
    meanwhile(() => shop.stored.change(addColumn({ table: id, version }, wish("more", "int32"))));
    expect(kinds(await job(shop.request(ids(2))))).toEqual(["stored"]);
    expect(shop.rows()).toEqual([1, 2]);
  });

  test("takes rows that did not fit the columns that were known here", async () => {
    const { id, version } = makeTable();
    await job(shop.request(ids(1)));
    shop.stored.change(addColumn({ table: id, version }, wish("more", "int32")));
    expect(kinds(await job(shop.request('{"id":2,"more":3}')))).toEqual(["stored"]);
    expect(shop.rows()).toEqual([1, 2]);
  });

  test("is asked for at the leader where this node's own notion was refused", async () => {
    const { id, version } = makeTable();
    shop.local = new LakeCatalog();
    shop.local.createTable("events", wish("id", "int64"));
    shop.local.database.run(
      "UPDATE ducklake_table SET table_uuid = (SELECT 'x' || table_uuid FROM ducklake_table)",
    );
    shop.stored.change(addColumn({ table: id, version }, wish("more", "int32")));
    shop.asked.length = 0;
    expect(kinds(await job(shop.request(ids(2))))).toEqual(["stored"]);
    expect(shop.asked).toContain("linearizable");
  });

  test("and is dropped is missing, or made again for those who want it", async () => {
    const { id } = makeTable();
    await job(shop.request(ids(1)));
    meanwhile(() => shop.stored.change(dropTable(id)));
    const settled = await job(shop.request(ids(2)), shop.request(ids(3), { create: true }));
    expect(kinds(settled)).toEqual(["missing", "stored"]);
    expect(shop.rows()).toEqual([1, 3]);
  });

  test("and is another of a lake that was made anew never takes rows of the old one", async () => {
    shop.stored.createTable("events", wish("old", "int64"));
    expect(kinds(await job(shop.request('{"old":1}')))).toEqual(["stored"]);
    shop.makeAnew();
    const uuid = "11111111-1111-4111-8111-111111111111";
    shop.stored.createTable("events", wish("id", "int64"));
    shop.stored.database.run(`UPDATE ducklake_table SET table_uuid = '${uuid}'`);
    shop.stored.insert("events", [5]);
    expect(kinds(await job(shop.request('{"old":2}')))).toEqual(["invalid"]);
    expect(kinds(await job(shop.request(ids(3))))).toEqual(["stored"]);
    expect(shop.rows()).toEqual([5, 3]);
  });

  test("again and again is given up, and nothing is stored", async () => {
    const { id } = makeTable();
    shop.beforeChange = () => {
      const { version } = shop.stored.table("events");
      shop.stored.change(addColumn({ table: id, version }, wish(`c${version}`, "int32")));
    };
    const [one] = await job(shop.request(ids(1)));
    expect(one).toMatchObject({ reason: { kind: "unavailable", retryAfterMs: 100 } });
    expect(shop.rows()).toEqual([]);
  });
});

describe("a key that was used", () => {
  test("is answered as then, and its rows are not stored again", async () => {
    makeTable();
    const [first] = await job(shop.request(ids(1), keyed("k", "h")));
    const settled = await job(
      shop.request(ids(1), keyed("k", "h")),
      shop.request(ids(2)),
      shop.request(ids(3), keyed("new", "h")),
    );
    const { rows, snapshot } = (first as PromiseFulfilledResult<{ rows: number; snapshot: number }>)
      .value;
    expect(settled[0]).toMatchObject({ value: { rows, snapshot } });
    expect(kinds(settled)).toEqual(["stored", "stored", "stored"]);
    expect(shop.rows()).toEqual([1, 2, 3]);
  });

  test("is answered as then even where its rows would not fit any more", async () => {
    const { id } = makeTable();
    const [first] = await job(shop.request(ids(1), keyed("k", "h")));
    shop.stored.change(dropTable(id));
    const again = shop.request(ids(1), { ...keyed("k", "h"), create: true });
    const { rows, snapshot } = (first as PromiseFulfilledResult<{ rows: number; snapshot: number }>)
      .value;
    expect(await job(again)).toMatchObject([{ value: { rows, snapshot } }]);
    expect(kinds(await job(shop.request(ids(1), keyed("new", "h"))))).toEqual(["missing"]);
    shop.stored.createTable("events", wish("other", "varchar"));
    expect(await job(again)).toMatchObject([{ value: { rows, snapshot } }]);
    expect(kinds(await job(shop.request(ids(1), keyed("new", "h"))))).toEqual(["invalid"]);
    expect(shop.rows("begin_snapshot")).toEqual([snapshot]);
  });

  test("for other rows is a conflict, of the same subject alone", async () => {
    makeTable();
    await job(shop.request(ids(1), keyed("k", "h")));
    const other = { key: { subject: "bob", key: "k", hash: "other" } };
    const settled = await job(
      shop.request(ids(2), keyed("k", "other")),
      shop.request(ids(3), other),
    );
    expect(kinds(settled)).toEqual(["conflict", "stored"]);
    expect(shop.rows()).toEqual([1, 3]);
  });
});

test("a change in doubt leaves its requests in doubt, and one that was refused does not", async () => {
  makeTable();
  for (const kind of ["unavailable", "busy"] as const) {
    shop.beforeChange = () => {
      throw new Failure(kind, "no");
    };
    expect(kinds(await job(shop.request(ids(1))))).toEqual([kind]);
  }
  shop.beforeChange = () => {
    throw new Failure("uncertain", "perhaps");
  };
  const soon = shop.clock.monotonicMs() + 20;
  expect(kinds(await job(shop.request(ids(1), { deadlineMs: soon })))).toEqual(["uncertain"]);
});

test("a job leaves no file behind, large or small, done or refused", async () => {
  makeTable();
  const large = ids(...Array.from({ length: 120_000 }, (_, id) => id));
  const settled = await job(shop.request(large), shop.request('{"id":"x"}'), shop.request(ids(1)));
  expect(kinds(settled)).toEqual(["stored", "invalid", "stored"]);
  const { objects } = await shop.store.list("lakes/web/data/");
  expect(objects.length).toBe(1);
  const [files] = shop.stored.rows("SELECT count(*), sum(record_count) FROM ducklake_data_file");
  expect(files!.map(Number)).toEqual([1, 120_001]);
  const left = [...new Bun.Glob("**").scanSync(shop.folder)];
  expect(left).toEqual([]);
});
