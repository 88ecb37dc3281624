/**
 * Columns of a table of a cluster of three come, change their names and go, while rows come in at
 * every node: whatever the answer to a change says, holds at every node from then on.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { ClusterNodes } from "../support/cluster-nodes.ts";
import { eventually } from "../support/eventually.ts";
import { type LakeAnswer, LakeClient, lines, must } from "../support/lake-client.ts";
import { NodeFolder } from "../support/node-process.ts";

const folder = new NodeFolder();
const set = { "storage.simulate_latency_ms": 10 };
const cluster = new ClusterNodes(folder, { store: folder.fileStore(), set }, 3);
/** One at each node, the leader's first. */
let clients: LakeClient[] = [];

beforeAll(async () => {
  await cluster.start();
  const { leader, others } = await cluster.settled();
  clients = [leader, ...others].map(({ url }) => new LakeClient(url));
}, 60_000);
afterAll(async () => {
  for (const client of clients) client.close();
  await cluster.stop();
  await folder.remove();
});

let lakes = 0;
/** A lake with a table of these columns. */
async function newLake(...columns: { name: string; type: string }[]): Promise<string> {
  const lake = `lake-${++lakes}`;
  must(await clients[0]!.create(lake));
  must(await clients[0]!.createTable(lake, "events", columns));
  return lake;
}

const ID = { name: "id", type: "int64" };
const TEXT = { name: "text", type: "varchar" };

/** One node takes it, whether it leads or not. */
function change(client: LakeClient, lake: string, body: object): Promise<LakeAnswer> {
  return client.json("PATCH", `/v1/lakes/${lake}/tables/events`, body);
}

function kindOf({ status, body }: LakeAnswer): unknown[] {
  return [status, body.error?.kind];
}

const large = (first: number, more: (id: number) => object) =>
  lines(Array.from({ length: 30_000 }, (_, index) => {
    const id = first + index;
    return { id, ...more(id), text: `${id}`.padStart(40, "x") };
  }));

test("rows with a new column are taken at every node at once, whichever has added it", async () => {
  const lake = await newLake(ID);
  let id = 0;
  let epoch = 0;
  for (let round = 0; round < 6; round++) {
    const name = `c${round}`;
    // Every node knows the columns of before.
    for (const client of clients) {
      epoch = must(await client.rows(lake, "events", lines([{ id: id++ }]))).epoch;
    }
    const added = await change(clients[round % 3]!, lake, { add: { name, type: "int32" } });
    expect(must(added)).toEqual({
      ...{ schema: "main", name: "events" },
      ...{ snapshot: expect.any(Number), epoch: expect.any(Number) },
    });
    expect(added.body.epoch).toBeGreaterThan(epoch);
    const answers = await Promise.all(clients.flatMap((client) => [
      client.rows(lake, "events", lines([{ id: id++, [name]: 1 }])),
      client.rows(lake, "events", `id,${name}\r\n${id++},1\r\n`, { type: "text/csv" }),
      client.rows(lake, "events", lines([{ id: id++, [name]: 1 }]), { ack: "stored" }),
    ]));
    expect(answers.map(({ status }) => status))
      .toEqual(clients.flatMap(() => [200, 200, 202]));
    for (const client of clients) {
      const sum = () => client.select(lake, `SELECT sum(${name})::INT FROM events`);
      await eventually("all rows of the round", async () => Bun.deepEquals(await sum(), [[9]]));
    }
  }
}, 120_000);

test(
  "rows in files and in the catalog are what they were, under the columns of today",
  async () => {
    const lake = await newLake(ID, TEXT);
    const [leader, one, two] = clients as [LakeClient, LakeClient, LakeClient];
    must(await one.rows(lake, "events", large(0, () => ({}))));
    must(await two.rows(lake, "events", lines([{ id: -1, text: "early" }])));
    const before = must(await change(one, lake, { add: { name: "kind", type: "int8" } }));
    must(await two.rows(lake, "events", large(30_000, () => ({ kind: 7 }))));
    must(await leader.rows(lake, "events", lines([{ id: -2, kind: 8 }])));
    must(await change(two, lake, { rename: { column: "TEXT", to: "words" } }));
    must(await change(leader, lake, { drop: { column: "kind" } }));
    // Another one of the same name: what the first one held is not its.
    must(await change(one, lake, { add: { name: "kind", type: "varchar" } }));
    const { epoch } = must(await two.rows(lake, "events", lines([{ id: -3, kind: "new" }])));
    const sql = "SELECT count(*), count(words), count(kind), max(kind), min(words) FROM events";
    const wanted = [[60_003, 60_001, 1, "new", "early"]];
    for (const client of clients) {
      expect(await client.select(lake, sql, { min_epoch: epoch })).toEqual(wanted);
      const moment = { snapshot: before.snapshot + 2, min_epoch: epoch };
      const then = "SELECT count(*), count(text), sum(kind)::INT FROM events";
      expect(await client.select(lake, then, moment)).toEqual([[60_002, 60_001, 30_000 * 7 + 8]]);
    }
    for (const what of ["flush", "merge"]) {
      must(await one.atLeader("POST", `/v1/lakes/${lake}/${what}`, {}));
      expect(await two.select(lake, sql, { level: "linearizable" })).toEqual(wanted);
    }
  },
  120_000,
);

test("what cannot be done is refused with its reason, at every node", async () => {
  const lake = await newLake(ID);
  for (const client of clients) {
    const answers = [
      await change(client, lake, { drop: { column: "id" } }),
      await change(client, lake, { drop: { column: "no" } }),
      await change(client, lake, { add: { name: "ID", type: "int8" } }),
      await change(client, lake, { add: { name: "a", type: "int8", nullable: false } }),
      await change(client, lake, { add: { name: "a", type: "int65" } }),
      await change(client, lake, { alter: { column: "id", type: "int8" } }),
      await client.json("PATCH", `/v1/lakes/${lake}/tables/no`, { drop: { column: "id" } }),
      await change(client, "nowhere", { drop: { column: "id" } }),
    ];
    expect(answers.map(kindOf)).toEqual([
      [409, "conflict"],
      [404, "missing"],
      [409, "conflict"],
      [400, "invalid"],
      [400, "invalid"],
      [400, "invalid"],
      [404, "missing"],
      [404, "missing"],
    ]);
    expect(answers.at(-1)!.body.error.message).toBe("There is no lake nowhere");
  }
}, 60_000);

test(
  "columns that all nodes add while rows come in are all there, and so is every row",
  async () => {
    const lake = await newLake(ID);
    let isOver = false;
    const answers: LakeAnswer[] = [];
    const writing = clients.map(async (client, node) => {
      for (let number = 0; !isOver; number++) {
        const ack = number % 5 === 0 ? "stored" : "visible";
        const body = lines([{ id: node * 1e6 + number }]);
        let answer = await client.rows(lake, "events", body, { ack });
        // Of a table that changes all the time, which is said to be worth another attempt.
        while (answer.status === 503) answer = await client.rows(lake, "events", body, { ack });
        answers.push(answer);
      }
    });
    await eventually("some rows", () => answers.length > 20);
    const names = Array.from({ length: 9 }, (_, index) => `c${index}`);
    const changed: LakeAnswer[] = [];
    for (let first = 0; first < names.length; first += 3) {
      changed.push(
        ...await Promise.all(
          clients.map((client, index) =>
            change(client, lake, { add: { name: names[first + index], type: "int8" } })
          ),
        ),
      );
    }
    isOver = true;
    await Promise.all(writing);
    expect(changed.map(({ status }) => status)).toEqual(names.map(() => 200));
    expect(answers.flatMap(({ status, body }) => status < 300 ? [] : [body.error])).toEqual([]);
    const [table] = must(await clients[0]!.get(`/v1/lakes/${lake}/tables`)).tables;
    expect(table.columns.map(({ name }: { name: string }) => name).sort()).toEqual(
      ["id", ...names].sort(),
    );
    const count = "SELECT count(*), count(DISTINCT id) FROM events";
    const wanted = [[answers.length, answers.length]];
    for (const client of clients) {
      await eventually(
        "every row",
        async () => Bun.deepEquals(await client.select(lake, count), wanted),
      );
    }
  },
  120_000,
);
