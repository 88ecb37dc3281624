/** Changes of a table's columns, and rows that come before, after and meanwhile. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  LAKE_COLUMNS_CHANGE_ATTEMPTS_MAX,
  LAKE_COLUMNS_MAX,
} from "../../../src/base/lake-limits.ts";
import { addColumn } from "../../../src/lake/catalog/alter-table.ts";
import { dropTable } from "../../../src/lake/catalog/create-table.ts";
import { changeColumns, type ColumnChange } from "../../../src/lake/change-columns.ts";
import { wish } from "../../support/lake-catalog.ts";
import { EVENTS, LakeWorkshop } from "../../support/lake-workshop.ts";

let shop: LakeWorkshop;
beforeEach(() => {
  shop = new LakeWorkshop();
  shop.stored.createTable("events", wish("id", "int64"), wish("text", "varchar"));
});
afterEach(() => shop.close());

const change = (wanted: ColumnChange, name = EVENTS) =>
  changeColumns(shop.catalog, name, wanted, shop.clock.monotonicMs() + 10_000);
const add = (name: string, type = "int32") => change({ kind: "add", column: wish(name, type) });
const rename = (column: string, to: string) => change({ kind: "rename", column, to });
const drop = (column: string) => change({ kind: "drop", column });

const columns = () => shop.stored.table("events").columns.map(({ name }) => name);
const snapshots = () => Number(shop.stored.rows("SELECT count(*) FROM ducklake_snapshot")[0]![0]);
const other = (name: string) => {
  const { id: table, version } = shop.stored.table("events");
  shop.stored.change(addColumn({ table, version }, wish(name, "int8")));
};

describe("a change of columns", () => {
  test("is one snapshot with a new version of the table", async () => {
    const before = shop.stored.table("events");
    const answer = await add("more");
    expect(answer).toEqual({ snapshot: 2, epoch: 2 });
    expect(await rename("TEXT", "words")).toEqual({ snapshot: 3, epoch: 3 });
    expect(await drop("Id")).toEqual({ snapshot: 4, epoch: 4 });
    expect([columns(), snapshots()]).toEqual([["words", "more"], 5]);
    expect(shop.stored.table("events").version).toBe(before.version + 3);
    expect(shop.stored.rows("SELECT changes_made FROM ducklake_snapshot_changes").slice(-3))
      .toEqual([["altered_table:1"], ["altered_table:1"], ["altered_table:1"]]);
  });

  test("may give a column its name in another case, and a name that was dropped to another", async () => {
    await rename("text", "TEXT");
    await drop("id");
    await add("id", "varchar");
    expect(columns()).toEqual(["TEXT", "id"]);
    expect(shop.stored.table("events").columns.map(({ id }) => id)).toEqual([2, 3]);
  });

  test("that does not fit is refused in words, and changes nothing", async () => {
    const nested = wish("at", "struct", wish("x", "int8"));
    await change({ kind: "add", column: nested });
    const before = snapshots();
    const title = "the table main.events";
    const has = 'which has "id, text, at"';
    await expect(drop("no")).rejects.toMatchObject({
      ...{ kind: "missing", message: `There is no column "no" in ${title}, ${has}` },
    });
    await expect(rename("at.x", "y")).rejects.toMatchObject({
      kind: "missing",
      message: `There is no column "at.x" in ${title}, ${has}; ` +
        "what is inside of a column stays as it is",
    });
    const taken = { kind: "conflict", message: `There is a column "ID" in ${title} already` };
    await expect(add("ID")).rejects.toMatchObject(taken);
    await expect(rename("text", "ID")).rejects.toMatchObject(taken);
    const strict = { ...wish("more", "int8"), nullable: false };
    await expect(change({ kind: "add", column: strict })).rejects.toMatchObject({
      kind: "invalid",
      message: 'Cannot add the column "more": rows without a value need it nullable',
    });
    await expect(rename("text", "a\0")).rejects.toMatchObject({ kind: "invalid" });
    await expect(change({ kind: "add", column: wish("l", "list") }))
      .rejects.toMatchObject({ kind: "invalid" });
    await expect(change({ kind: "drop", column: "id" }, { schema: "main", name: "no" }))
      .rejects.toMatchObject({
        ...{ kind: "missing", message: "There is no table main.no in the lake web" },
      });
    expect(snapshots()).toBe(before);
  });

  test("leaves a table one column at least", async () => {
    await drop("text");
    await expect(drop("id")).rejects.toMatchObject({
      kind: "conflict",
      message: 'Cannot drop the column "id": it is the last one of the table main.events',
    });
    expect(columns()).toEqual(["id"]);
  });

  test("gives no table more columns than one may have, nested ones too", async () => {
    const fields = Array.from({ length: LAKE_COLUMNS_MAX - 4 }, (_, id) => wish(`f${id}`, "int8"));
    await change({ kind: "add", column: wish("s", "struct", ...fields) });
    await add("last");
    await expect(add("more")).rejects.toMatchObject({
      kind: "invalid",
      message: expect.stringContaining(`allowed: ${LAKE_COLUMNS_MAX}`),
    });
  });

  test("is made for the table as others have changed it meanwhile", async () => {
    shop.beforeChange = () => {
      shop.beforeChange = () => {};
      other("theirs");
    };
    await add("ours");
    expect(columns()).toEqual(["id", "text", "theirs", "ours"]);
    shop.beforeChange = () => {
      shop.beforeChange = () => {};
      other("more");
    };
    await expect(add("more")).rejects.toMatchObject({ kind: "conflict" });
  });

  test("is given up where others change the table again and again", async () => {
    let times = 0;
    shop.beforeChange = () => other(`theirs${++times}`);
    await expect(add("ours")).rejects.toMatchObject({ details: { refusal: "columns_changed" } });
    expect(times).toBe(LAKE_COLUMNS_CHANGE_ATTEMPTS_MAX);
    expect(columns()).not.toContain("ours");
  });

  test("is never made to another table of a lake that was made anew", async () => {
    shop.beforeChange = () => {
      shop.beforeChange = () => {};
      shop.makeAnew();
      shop.stored.createTable("events", wish("alien", "int64"), wish("text", "varchar"));
      const uuid = "11111111-1111-4111-8111-111111111111";
      shop.stored.database.run(`UPDATE ducklake_table SET table_uuid = '${uuid}'`);
    };
    await expect(drop("id")).rejects.toMatchObject({ kind: "missing" });
    expect(columns()).toEqual(["alien", "text"]);
  });

  test("of a table that is dropped meanwhile finds none", async () => {
    shop.beforeChange = () => {
      shop.beforeChange = () => {};
      shop.stored.change(dropTable(1));
    };
    await expect(add("more")).rejects.toMatchObject({ kind: "missing" });
  });
});

describe("rows at a node that knew the table before", () => {
  const rows = async (...all: object[]) => {
    const body = all.map((row) => JSON.stringify(row)).join("\n");
    const [settled] = await shop.job([shop.request(body)]);
    return settled!.status === "fulfilled"
      ? settled!.value
      : (settled as PromiseRejectedResult).reason;
  };

  test("fit the columns as they are, whichever they name", async () => {
    expect(await rows({ id: 1, text: "a" })).toMatchObject({ rows: 1 });
    await add("more");
    expect(await rows({ id: 2, more: 20 })).toMatchObject({ rows: 1 });
    await rename("more", "most");
    expect(await rows({ id: 3, most: 30 })).toMatchObject({ rows: 1 });
    await drop("text");
    expect(await rows({ id: 4, text: "gone" })).toMatchObject({
      ...{ kind: "invalid", details: { row: 1, column: "text" } },
    });
    expect(await rows({ id: 5 })).toMatchObject({ rows: 1 });
    await drop("most");
    await add("most", "varchar");
    expect(await rows({ id: 6, most: "words" })).toMatchObject({ rows: 1 });
    expect(shop.rows()).toEqual([1, 2, 3, 5, 6]);
  });
});
