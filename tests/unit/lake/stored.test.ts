/** Rows that are answered when they are stored: each becomes visible exactly once. */
import { expect, test } from "bun:test";
import { addColumn } from "../../../src/lake/catalog/alter-table.ts";
import { dropTable } from "../../../src/lake/catalog/create-table.ts";
import { ADOPTIONS_WAITING_MAX } from "../../../src/base/lake-limits.ts";
import { Failure } from "../../../src/base/failure.ts";
import { LAKE, StagedLake } from "../../support/staged-lake.ts";
import { wish } from "../../support/lake-catalog.ts";

async function lakeWithTable(): Promise<StagedLake> {
  const lake = await StagedLake.open();
  lake.catalog.createTable("events", wish("id", "int64"));
  return lake;
}

test("rows are stored while nobody leads, and adopted when somebody does", async () => {
  await using lake = await lakeWithTable();
  const node = lake.node();
  lake.databases.isLed = false;
  const answer = await lake.send(node, [1, 2, 3]);
  expect(answer).toEqual({
    rows: 3,
    epoch: 1,
    stored: expect.stringMatching(/^0{15}1-[0-9a-f-]+$/),
  });
  expect(await lake.counts()).toEqual({ rows: 0, staged: 1 });
  lake.databases.isLed = true;
  await lake.settled(node);
  expect(await lake.counts()).toEqual({ rows: 3, staged: 0 });
});

test("requests without keys share a staged object, and each with a key has its own", async () => {
  await using lake = await lakeWithTable();
  lake.databases.isLed = false;
  const node = lake.node({ adopts: false });
  // As many jobs as may run begin at once; the rest wait for them and go together.
  const answers = await Promise.all(Array.from({ length: 20 }, (_, id) => lake.send(node, [id])));
  const objects = new Set(answers.map((answer) => "stored" in answer && answer.stored));
  expect(objects.size).toBeLessThan(10);
  const before = (await lake.names()).length;
  await Promise.all([1, 2, 3, 4, 5, 6].map((id) => lake.send(node, [id], { key: `k${id}` })));
  expect(await lake.names()).toHaveLength(before + 6);
  lake.databases.isLed = true;
  await lake.node({ leads: true }).adopter.look();
  expect(await lake.counts()).toEqual({ rows: 26, staged: 0 });
});

test("a new leader adopts what a node stored that died when it had answered", async () => {
  await using lake = await lakeWithTable();
  for (let id = 0; id < 5; id++) await lake.send(lake.node({ adopts: false }), [id]);
  expect(await lake.counts()).toEqual({ rows: 0, staged: 5 });
  await lake.node({ leads: true }).adopter.look();
  expect(await lake.counts()).toEqual({ rows: 5, staged: 0 });
});

test("a node that does not lead lists nothing", async () => {
  await using lake = await lakeWithTable();
  await lake.send(lake.node({ adopts: false }), [1]);
  await lake.node({ leads: false }).adopter.look();
  expect(await lake.counts()).toEqual({ rows: 0, staged: 1 });
});

test("the leader looks when a process has gone or come, and for nothing else", async () => {
  await using lake = await lakeWithTable();
  const { adopter } = lake.node({ leads: true });
  adopter.onMembers(["a 1", "b 1"]);
  await Bun.sleep(0);
  let lists = 0;
  const { list } = lake.store;
  lake.store.list = (...of) => {
    lists++;
    return list.apply(lake.store, of);
  };
  adopter.onMembers(["b 1", "a 1"]);
  expect(lists).toBe(0);
  adopter.onMembers(["a 1"]);
  expect(lists).toBe(1);
  await Bun.sleep(0);
  adopter.onMembers(["a 1", "b 2"]);
  expect(lists).toBe(2);
});

test("data files without a staged object are nobody's rows", async () => {
  await using lake = await lakeWithTable();
  const { create } = lake.store;
  lake.store.create = (key, ...of) => {
    if (key.includes("/staged/")) return new Promise(() => {});
    return create.call(lake.store, key, ...of);
  };
  // The node dies between the two: nobody is answered.
  void lake.send(lake.node(), [1, 2]).catch(() => {});
  for (let turn = 0; turn < 200 && (await dataFiles(lake)) === 0; turn++) await Bun.sleep(5);
  expect(await dataFiles(lake)).toBe(1);
  await lake.node({ leads: true }).adopter.look();
  expect(await lake.counts()).toEqual({ rows: 0, staged: 0 });
});

test("what was adopted before its object was removed is not adopted again", async () => {
  await using lake = await lakeWithTable();
  await lake.send(lake.node({ adopts: false }), [1, 2]);
  const { remove } = lake.store;
  lake.store.remove = () => Promise.reject(new Error("the node is gone"));
  await lake.node({ leads: true }).adopter.look();
  expect(await lake.counts()).toEqual({ rows: 2, staged: 1 });
  lake.store.remove = remove;
  await lake.node({ leads: true }).adopter.look();
  expect(await lake.counts()).toEqual({ rows: 2, staged: 0 });
});

test("an adoption whose answer was lost is found to be made", async () => {
  await using lake = await lakeWithTable();
  await lake.send(lake.node({ adopts: false }), [1, 2]);
  lake.databases.lost = 1;
  await lake.node({ leads: true }).adopter.look();
  expect(await lake.counts()).toEqual({ rows: 2, staged: 0 });
});

test("several that adopt the same at the same time adopt it once", async () => {
  await using lake = await lakeWithTable();
  for (let id = 0; id < 40; id++) await lake.send(lake.node({ adopts: false }), [id]);
  const nodes = [1, 2, 3].map(() => lake.node({ leads: true }));
  await Promise.all(nodes.map(({ adopter }) => adopter.look()));
  expect(await lake.counts()).toEqual({ rows: 40, staged: 0 });
});

test("many objects are adopted with few changes of the catalog", async () => {
  await using lake = await lakeWithTable();
  const node = lake.node({ adopts: false });
  for (let id = 0; id < 40; id++) await lake.send(node, [id]);
  const before = lake.databases.changes;
  await lake.node({ leads: true }).adopter.look();
  expect(await lake.counts()).toEqual({ rows: 40, staged: 0 });
  expect(lake.databases.changes - before).toBe(2);
});

test("what happens while the leader looks is found by its next look", async () => {
  await using lake = await lakeWithTable();
  const { adopter } = lake.node({ leads: true });
  await lake.send(lake.node({ adopts: false }), [1]);
  const looking = adopter.look();
  await lake.send(lake.node({ adopts: false }), [2]);
  await adopter.look();
  await looking;
  expect(await lake.counts()).toEqual({ rows: 2, staged: 0 });
});

test("a list that fails is tried again", async () => {
  await using lake = await lakeWithTable();
  await lake.send(lake.node({ adopts: false }), [1]);
  const { list } = lake.store;
  lake.store.list = () => {
    lake.store.list = list;
    return Promise.reject(new Failure("unavailable", "the store is away"));
  };
  await lake.node({ leads: true }).adopter.look();
  expect(await lake.counts()).toEqual({ rows: 1, staged: 0 });
});

test("a staged object whose create was answered by nothing is found to be there", async () => {
  await using lake = await lakeWithTable();
  const { create } = lake.store;
  let lost = 0;
  lake.store.create = async (key, ...of) => {
    const made = await create.call(lake.store, key, ...of);
    if (!key.includes("/staged/") || lost++ > 0) return made;
    throw new Failure("uncertain", "the answer was lost");
  };
  const node = lake.node();
  expect(await lake.send(node, [1])).toMatchObject({ rows: 1, stored: expect.any(String) });
  await lake.settled(node);
  expect(await lake.counts()).toEqual({ rows: 1, staged: 0 });
});

test("what is more than a node keeps in memory is found by a list, also when that fails", async () => {
  await using lake = await lakeWithTable();
  await lake.send(lake.node({ adopts: false }), [1, 2]);
  const [id] = await lake.names();
  const real = (await lake.staged.read(LAKE, id!))!;
  const { adopter } = lake.node();
  const end = ADOPTIONS_WAITING_MAX;
  for (let count = 0; count < end; count++) {
    adopter.add(LAKE, { ...real, id: `${count}`, lakeId: "another", files: [] });
  }
  adopter.add(LAKE, real);
  expect(adopter.waiting).toBe(end);
  const { list } = lake.store;
  lake.store.list = () => {
    lake.store.list = list;
    return Promise.reject(new Failure("unavailable", "the store is away"));
  };
  for (let turn = 0; adopter.waiting > 0 || (await lake.counts()).staged > 0; turn++) {
    if (turn === 5_000) throw new Error("it is not adopted");
    await Bun.sleep(1);
  }
  expect(await lake.counts()).toEqual({ rows: 2, staged: 0 });
});

test("one of many that is not to be adopted keeps none of the others", async () => {
  await using lake = await lakeWithTable();
  const node = lake.node({ adopts: false });
  await lake.send(node, [1]);
  await lake.send(node, [2], { key: "k" });
  await lake.send(node, [3]);
  await lake.send(lake.node(), [2], { key: "k", ack: "visible" });
  await lake.node({ leads: true }).adopter.look();
  expect(await lake.counts()).toEqual({ rows: 3, staged: 0 });
});

for (const first of ["stored", "visible"] as const) {
  for (const second of ["stored", "visible"] as const) {
    for (const adopts of [true, false]) {
      const when = adopts ? "after its adoption" : "before its adoption";
      test(`a key that was ${first} is stored once when it is ${second} ${when}`, async () => {
        await using lake = await lakeWithTable();
        const node = lake.node({ adopts });
        await lake.send(node, [1, 2], { key: "k", ack: first });
        await lake.settled(node);
        const again = await lake.send(lake.node({ adopts: false }), [1, 2], {
          ...{ key: "k", ack: second },
        });
        expect(again.rows).toBe(2);
        await lake.node({ leads: true }).adopter.look();
        expect(await lake.counts()).toEqual({ rows: 2, staged: 0 });
      });
    }
  }
}

test("a key that was used for other rows is a conflict where this node can know", async () => {
  await using lake = await lakeWithTable();
  const dying = lake.node({ adopts: false });
  await lake.send(dying, [1], { key: "k" });
  const problem = { kind: "conflict", message: expect.stringContaining('"k"') };
  // By the name of the staged object.
  await expect(lake.send(dying, [2], { key: "k" })).rejects.toMatchObject(problem);
  await lake.node({ leads: true }).adopter.look();
  // By the key in the catalog.
  await expect(lake.send(dying, [2], { key: "k" })).rejects.toMatchObject(problem);
  expect(await lake.counts()).toEqual({ rows: 1, staged: 0 });
});

test("a key that two nodes staged at different epochs is adopted once", async () => {
  await using lake = await lakeWithTable();
  await lake.send(lake.node({ adopts: false }), [1], { key: "k" });
  await lake.send(lake.node(), [7], { ack: "visible" });
  await lake.send(lake.node({ adopts: false }), [1], { key: "k" });
  expect(await lake.counts()).toEqual({ rows: 1, staged: 2 });
  await lake.node({ leads: true }).adopter.look();
  expect(await lake.counts()).toEqual({ rows: 2, staged: 0 });
});

test("a lake that was dropped and made again adopts nothing that was stored before", async () => {
  await using lake = await lakeWithTable();
  await lake.send(lake.node({ adopts: false }), [1]);
  lake.drop();
  lake.make();
  lake.catalog.createTable("events", wish("id", "int64"));
  await lake.node({ leads: true }).adopter.look();
  expect(await lake.counts()).toEqual({ rows: 0, staged: 1 });
  expect(lake.logged.join()).toContain("a lake that was dropped");
});

test("rows go with their table when it is dropped before they are adopted", async () => {
  await using lake = await lakeWithTable();
  await lake.send(lake.node({ adopts: false }), [1]);
  lake.catalog.change(dropTable(lake.catalog.table("events").id));
  await lake.node({ leads: true }).adopter.look();
  expect(await lake.counts()).toEqual({ rows: 0, staged: 0 });
});

test("rows of older columns are adopted when the table has others", async () => {
  await using lake = await lakeWithTable();
  await lake.send(lake.node({ adopts: false }), [1]);
  const { id: table, version } = lake.catalog.table("events");
  lake.catalog.change(addColumn({ table, version }, wish("more", "varchar")));
  await lake.node({ leads: true }).adopter.look();
  expect(await lake.counts()).toEqual({ rows: 1, staged: 0 });
});

test("a staged object that cannot be read is logged and left, and the others are adopted", async () => {
  await using lake = await lakeWithTable();
  const key = `lakes/${LAKE}/staged/${"0".repeat(16)}-bad.json`;
  await lake.store.create(key, Buffer.from('{"format":1}'));
  await lake.send(lake.node({ adopts: false }), [1]);
  await lake.node({ leads: true }).adopter.look();
  expect(await lake.counts()).toEqual({ rows: 1, staged: 1 });
  expect(lake.logged.join()).toContain("cannot be read");
});

test("what was staged and could not be answered is adopted by its node, once with its key", async () => {
  await using lake = await lakeWithTable();
  const { get } = lake.store;
  lake.store.get = (key, ...of) =>
    key.endsWith("/horizon.json")
      ? Promise.reject(new Failure("denied", "not now"))
      : get.call(lake.store, key, ...of);
  const node = lake.node();
  await expect(lake.send(node, [1], { key: "k" })).rejects.toMatchObject({ kind: "uncertain" });
  lake.store.get = get;
  await lake.settled(node);
  expect(await lake.counts()).toEqual({ rows: 1, staged: 0 });
  await lake.send(node, [1], { key: "k", ack: "visible" });
  expect(await lake.counts()).toEqual({ rows: 1, staged: 0 });
});

test("a node below the horizon says nothing is stored", async () => {
  await using lake = await lakeWithTable();
  const key = `lakes/${LAKE}/staged/horizon.json`;
  await lake.store.create(key, Buffer.from('{"format":1,"epoch":2}'));
  await expect(lake.send(lake.node(), [1])).rejects.toMatchObject({ kind: "unavailable" });
  await lake.send(lake.node(), [1], { ack: "visible" });
  const { epoch } = await lake.send(lake.node(), [2]);
  expect(epoch).toBe(2);
});

test("a row that does not fit is refused while nobody leads", async () => {
  await using lake = await lakeWithTable();
  lake.databases.isLed = false;
  await expect(lake.send(lake.node(), [0.5])).rejects.toMatchObject({ kind: "invalid" });
  expect(await lake.counts()).toEqual({ rows: 0, staged: 0 });
});

/** Nodes do not know yet that the table has another column. */
async function lakeBehind(): Promise<StagedLake> {
  const lake = await StagedLake.open();
  const { id: table, version } = lake.catalog.createTable("events", wish("other", "int64"));
  lake.databases.behind = lake.copy();
  lake.catalog.change(addColumn({ table, version }, wish("id", "int64")));
  return lake;
}

test("rows with a column that a node has not heard of are stored when it has asked", async () => {
  await using lake = await lakeBehind();
  const node = lake.node();
  const [first, second] = await Promise.all([
    lake.send(node, [1, 2]),
    lake.send(node, [3], { key: "k" }),
  ]);
  expect([first.rows, second.rows]).toEqual([2, 1]);
  await lake.settled(node);
  expect(await lake.counts()).toEqual({ rows: 3, staged: 0 });
});

test("rows of a column that a node has not heard of do not fit while nobody leads", async () => {
  await using lake = await lakeBehind();
  lake.databases.isLed = false;
  await expect(lake.send(lake.node(), [1])).rejects.toMatchObject({ kind: "invalid" });
});

test("rows that do not fit keep none waiting of those that fit", async () => {
  await using lake = await lakeWithTable();
  const node = lake.node({ adopts: false });
  const hold = Promise.withResolvers<void>();
  const { query } = lake.databases;
  lake.databases.query = async (name, of) => {
    if (of.level !== "local") await hold.promise;
    return await query.call(lake.databases, name, of);
  };
  const bad = Array.from({ length: 20 }, () => lake.send(node, [0.5]));
  const refused = Promise.allSettled(bad);
  // In one job with some of the bad ones.
  const good = Array.from({ length: 20 }, (_, id) => lake.send(node, [id]));
  await Promise.any(good);
  hold.resolve();
  expect((await Promise.all(good)).map(({ rows }) => rows)).toEqual(good.map(() => 1));
  expect((await refused).map((one) => one.status === "rejected" && one.reason.kind))
    .toEqual(bad.map(() => "invalid"));
});

test("a table is made for stored rows by whoever leads, and missing without create", async () => {
  await using lake = await StagedLake.open();
  const node = lake.node();
  await expect(lake.send(node, [1])).rejects.toMatchObject({ kind: "missing" });
  lake.databases.isLed = false;
  const making = lake.send(node, [1], { create: true, timeoutMs: 500 });
  await expect(making).rejects.toMatchObject({ kind: "unavailable" });
  lake.databases.isLed = true;
  await lake.send(node, [1, 2], { create: true });
  await lake.settled(node);
  expect(await lake.counts()).toEqual({ rows: 2, staged: 0 });
});

async function dataFiles(lake: StagedLake): Promise<number> {
  return (await lake.store.list(`lakes/${LAKE}/data/`)).objects.length;
}
