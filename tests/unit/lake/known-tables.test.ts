import { afterEach, beforeEach, expect, test } from "bun:test";
import { LAKE_TABLES_KNOWN_MAX } from "../../../src/base/lake-limits.ts";
import { dropTable } from "../../../src/lake/catalog/create-table.ts";
import { LakeCatalog, wish } from "../../support/lake-catalog.ts";
import { EVENTS, LakeWorkshop } from "../../support/lake-workshop.ts";

let shop: LakeWorkshop;
beforeEach(() => {
  shop = new LakeWorkshop();
});
afterEach(() => shop.close());

const find = (name = "events") => shop.tables.find(shop.catalog, { ...EVENTS, name }, Infinity);
const LINEARIZABLE = { level: "linearizable", deadlineMs: Infinity } as const;

test("a table that is known is not asked for again, in whatever case its name is", async () => {
  shop.stored.createTable("Events", wish("id", "int64"));
  const table = await find();
  expect(table).toMatchObject({ name: "Events", version: 1 });
  expect(await find("EVENTS")).toBe(table);
  expect(shop.asked).toEqual(["local"]);
  shop.tables.forget(shop.catalog, EVENTS);
  await find();
  expect(shop.asked).toEqual(["local", "local"]);
});

test("a table that this node has not heard of is asked for at the leader", async () => {
  shop.local = new LakeCatalog();
  expect(await find()).toBeNull();
  shop.stored.createTable("events", wish("id", "int64"));
  expect(await find()).toMatchObject({ name: "events" });
  expect(shop.asked).toEqual(["local", "linearizable", "local", "linearizable"]);
});

test("a refreshed table is as it is now, or is not known any more", async () => {
  const { id } = shop.stored.createTable("events", wish("id", "int64"));
  await find();
  shop.stored.change(dropTable(id));
  expect(await find()).toMatchObject({ id });
  expect(await shop.tables.refresh(shop.catalog, EVENTS, LINEARIZABLE)).toBeNull();
  expect(await find()).toBeNull();
});

test("so many tables are known, and the one that was learned first makes room", async () => {
  for (let index = 0; index <= LAKE_TABLES_KNOWN_MAX; index++) {
    const { uuid } = shop;
    const id = index + 1;
    shop.stored.execute([
      {
        sql: `INSERT INTO ducklake_table VALUES (${id}, '${uuid()}', 0, NULL, 0, 't${id}', '', 1)`,
      },
      { sql: `INSERT INTO ducklake_schema_versions VALUES (0, 0, ${id})` },
      {
        sql:
          `INSERT INTO ducklake_column VALUES (1, 0, NULL, ${id}, 0, 'a', 'int64', NULL, NULL, ` +
          "1, NULL, NULL, NULL)",
      },
    ]);
    await find(`t${id}`);
  }
  shop.asked.length = 0;
  await find("t2");
  expect(shop.asked).toEqual([]);
  await find("t1");
  expect(shop.asked).toEqual(["local"]);
});
