/**
 * Lakes of a cluster of three: whatever is stored by one node is there at every other, once,
 * whichever way it came and whoever leads.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { tableFromIPC } from "apache-arrow";
import { ClusterNodes } from "../support/cluster-nodes.ts";
import { eventually } from "../support/eventually.ts";
import {
  ARROW,
  CSV,
  type LakeAnswer,
  LakeClient,
  lines,
  must,
  NDJSON,
} from "../support/lake-client.ts";
import { column } from "../support/lake-columns.ts";
import { arrowStream } from "../support/lake-writers.ts";
import { NodeFolder } from "../support/node-process.ts";

const LATENCY_MS = 10;

const folder = new NodeFolder();
const set = { "storage.simulate_latency_ms": LATENCY_MS };
const cluster = new ClusterNodes(folder, { store: folder.fileStore(), set }, 3);
/** One at each node. */
let clients: LakeClient[] = [];
/** At a node that does not lead. */
let broker: LakeClient;

beforeAll(async () => {
  await cluster.start();
  const { leader, others } = await cluster.settled();
  clients = [leader, ...others].map(({ url }) => new LakeClient(url));
  broker = clients[1]!;
}, 60_000);
afterAll(async () => {
  for (const client of clients) client.close();
  await cluster.stop();
  await folder.remove();
});

let lakes = 0;
/** A lake of a test's own. */
async function newLake(): Promise<string> {
  const name = `lake-${++lakes}`;
  must(await broker.create(name));
  return name;
}

const row = (id: number) => ({ id, text: `row ${id}` });
const rowsFrom = (first: number, count: number) =>
  Array.from({ length: count }, (_, index) => row(first + index));
/** More than may stand in a catalog. */
const LARGE_ROWS = 30_000;
const large = (first: number) =>
  lines(rowsFrom(first, LARGE_ROWS).map((one) => ({ ...one, pad: "x".repeat(20) })));

const COUNT = "SELECT count(*), count(DISTINCT id) FROM events";

async function countsAt(client: LakeClient, lake: string, epoch: number): Promise<unknown> {
  const [counts] = await client.select(lake, COUNT, { min_epoch: epoch, level: "session" });
  return counts;
}

function kindOf({ status, body }: LakeAnswer): unknown[] {
  return [status, body.error?.kind];
}

describe("a lake", () => {
  test("is made by the leader, where every other node sends its client", async () => {
    const redirected = await broker.json("POST", "/v1/lakes", { name: "web" });
    expect(redirected.status).toBe(307);
    expect(redirected.headers["location"]).toBe(`${clients[0]!.url}/v1/lakes`);
    const made = await broker.create("web");
    expect([made.status, made.body.name]).toEqual([201, "web"]);
    expect(made.body.data_path).toEndWith("/lakes/web/");
    await Promise.all(clients.map((client) =>
      eventually("the lake in every list", async () => {
        const { body } = await client.get("/v1/lakes");
        return body.lakes.some(({ name }: { name: string }) => name === "web");
      })
    ));
  }, 60_000);

  test("that three ask for at the same time is made once", async () => {
    const answers = await Promise.all(clients.map((client) => client.create("contested")));
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 409, 409]);
    for (const answer of answers) {
      if (answer.status === 409) expect(answer.body.error.message).toContain("lake contested");
    }
    must(await broker.rows("contested", "events", lines([row(1)]), { create: true }));
  }, 60_000);

  test("is nothing but a lake to whoever asks for one that is not there", async () => {
    const answers = [
      await broker.rows("nowhere", "events", lines([row(1)]), { create: true }),
      await broker.query("nowhere", "SELECT 1"),
      await broker.get("/v1/lakes/nowhere/tables"),
      await broker.get("/v1/lakes/nowhere/tables/events"),
      await broker.get("/v1/lakes/nowhere/snapshots"),
      await broker.get("/v1/lakes/nowhere/catalog"),
      await broker.createTable("nowhere", "events", [{ name: "id", type: "int64" }]),
      await broker.atLeader("DELETE", "/v1/lakes/nowhere/tables/events"),
      await broker.atLeader("DELETE", "/v1/lakes/nowhere"),
    ];
    const told = answers.map(({ status, body }) => [status, body.error?.message]);
    expect(told).toEqual(answers.map(() => [404, "There is no lake nowhere"]));
  }, 60_000);

  test("that was made again under its name has nothing of the one before", async () => {
    const lake = await newLake();
    for (const client of clients) {
      must(await client.rows(lake, "events", lines([row(1)]), { create: true }));
    }
    must(await broker.atLeader("DELETE", `/v1/lakes/${lake}`));
    must(await broker.create(lake));
    const columns = [{ name: "other", type: "varchar" }, { name: "id", type: "int32" }];
    must(await broker.createTable(lake, "events", columns));
    const wrong = await Promise.all(
      clients.map((client) => client.rows(lake, "events", lines([{ id: 1, text: "old" }]))),
    );
    expect(wrong.map(kindOf)).toEqual(wrong.map(() => [400, "invalid"]));
    let epoch = 0;
    for (const [id, client] of clients.entries()) {
      epoch = must(await client.rows(lake, "events", lines([{ other: "new", id }]))).epoch;
    }
    for (const client of clients) {
      const more = { min_epoch: epoch, level: "session" };
      expect(await client.select(lake, "SELECT * FROM events ORDER BY id", more))
        .toEqual([["new", 0], ["new", 1], ["new", 2]]);
    }
  }, 60_000);
});

describe("rows", () => {
  test(
    "that any node has stored are seen at once by every node that waits for their epoch",
    async () => {
      const lake = await newLake();
      let stored = 0;
      for (let round = 0; round < 4; round++) {
        for (const client of clients) {
          const isLarge = round === 3;
          const count = isLarge ? LARGE_ROWS : 10;
          const first = stored;
          const body = isLarge
            ? large(first)
            : lines(rowsFrom(first, count).map((one) => ({ ...one, pad: "" })));
          const { rows, epoch } = must(await client.rows(lake, "events", body, { create: true }));
          expect(rows).toBe(count);
          stored += count;
          for (const reader of clients) {
            expect(await countsAt(reader, lake, epoch)).toEqual([stored, stored]);
            const found = must(
              await reader.get(`/v1/lakes/${lake}/tables/events?min_epoch=${epoch}`),
            );
            expect(found.rows).toBe(stored);
          }
        }
      }
    },
    120_000,
  );

  test(
    "that make their table at every node at the same moment make one, and are all there",
    async () => {
      const lake = await newLake();
      const answers = await Promise.all(
        Array.from(
          { length: 12 },
          (_, index) =>
            clients[index % 3]!.rows(lake, "events", lines(rowsFrom(index * 10, 10)), {
              create: true,
            }),
        ),
      );
      const epoch = Math.max(...answers.map((answer) => must(answer).epoch));
      for (const client of clients) expect(await countsAt(client, lake, epoch)).toEqual([120, 120]);
      const { tables } = must(await broker.get(`/v1/lakes/${lake}/tables?min_epoch=${epoch}`));
      expect(tables.map(({ name }: { name: string }) => name)).toEqual(["events"]);
    },
    60_000,
  );

  test(
    "for a table that is dropped meanwhile are stored in it, or refused as a whole",
    async () => {
      const lake = await newLake();
      const columns = [{ name: "id", type: "int64" }, { name: "text", type: "varchar" }];
      must(await broker.createTable(lake, "events", columns));
      let isOver = false;
      const answers: LakeAnswer[] = [];
      const writing = clients.map(async (client, index) => {
        for (let number = 0; !isOver; number++) {
          answers.push(
            await client.rows(lake, "events", lines(rowsFrom(index * 1e6 + number * 10, 10))),
          );
        }
      });
      await eventually("some rows", () => answers.length > 20);
      const dropped = must(await broker.atLeader("DELETE", `/v1/lakes/${lake}/tables/events`));
      await Bun.sleep(200);
      isOver = true;
      await Promise.all(writing);
      const stored = answers.filter(({ status }) => status === 200);
      expect(answers.filter(({ status }) => status === 404).length).toBeGreaterThan(0);
      expect(answers.filter(({ status }) => status !== 200 && status !== 404)).toEqual([]);
      expect(Math.max(...stored.map(({ body }) => body.snapshot))).toBeLessThan(dropped.snapshot);
      const before = { snapshot: dropped.snapshot - 1, min_epoch: dropped.epoch };
      for (const client of clients) {
        expect(await client.select(lake, COUNT, before))
          .toEqual([[stored.length * 10, stored.length * 10]]);
        const now = await client.query(lake, COUNT, { min_epoch: dropped.epoch });
        expect(kindOf(now)).toEqual([400, "invalid"]);
      }
    },
    60_000,
  );

  test("of a table that was dropped and made anew fit the new one at every node", async () => {
    const lake = await newLake();
    for (let round = 0; round < 4; round++) {
      const name = `column_${round}`;
      const made = await broker.createTable(lake, "events", [{ name, type: "int64" }]);
      const { epoch } = must(made);
      const answers = await Promise.all(
        clients.map((client, id) => client.rows(lake, "events", lines([{ [name]: id }]))),
      );
      const last = Math.max(epoch, ...answers.map((answer) => must(answer).epoch));
      for (const client of clients) {
        const sql = `SELECT sum(${name})::INT FROM events`;
        expect(await client.select(lake, sql, { min_epoch: last })).toEqual([[3]]);
      }
      must(await broker.atLeader("DELETE", `/v1/lakes/${lake}/tables/events`));
    }
  }, 60_000);

  test("come as NDJSON, JSON, CSV and Arrow, plain and compressed, and are the same", async () => {
    const lake = await newLake();
    const columns = [column("id", "int64"), column("text", "varchar")];
    const bodies = (id: number) =>
      [
        [NDJSON, lines([row(id)])],
        ["application/json", JSON.stringify([row(id)])],
        [CSV, `id,text\r\n${id},row ${id}\r\n`],
        [ARROW, arrowStream(columns, [[id, `row ${id}`]])],
      ] as const;
    const encodings = [
      [undefined, (body: Uint8Array) => body],
      ["gzip", (body: Uint8Array) => gzipSync(body)],
      ["zstd", (body: Uint8Array) => zstdCompressSync(body)],
    ] as const;
    const wanted = [{ name: "id", type: "int64" }, { name: "text", type: "varchar" }];
    must(await broker.createTable(lake, "events", wanted));
    let id = 0;
    let epoch = 0;
    for (const [encoding, encode] of encodings) {
      for (let index = 0; index < 4; index++) {
        const [type, body] = bodies(++id)[index]!;
        const sent = encode(Buffer.from(body));
        const options = { type, ...(encoding && { encoding }) };
        const answer = must(await clients[id % 3]!.rows(lake, "events", sent, options));
        expect(answer.rows).toBe(1);
        epoch = answer.epoch;
      }
    }
    expect(await broker.select(lake, "SELECT * FROM events ORDER BY id", { min_epoch: epoch }))
      .toEqual(rowsFrom(1, id).map((one) => [one.id, one.text]));
  }, 60_000);
});

describe("an idempotency key", () => {
  test("that comes twenty times at three nodes stores once and is answered alike", async () => {
    const lake = await newLake();
    for (const [index, body] of [lines(rowsFrom(0, 5)), large(100)].entries()) {
      const table = `events_${index}`;
      const send = (client: LakeClient) =>
        client.rows(lake, table, body, { create: true, key: table });
      const answers = await Promise.all(
        Array.from({ length: 20 }, (_, number) => send(clients[number % 3]!)),
      );
      const told = answers.map((answer) => {
        const { rows, snapshot } = must(answer);
        return `${rows} rows in snapshot ${snapshot}`;
      });
      expect(new Set(told).size).toBe(1);
      const later = await Promise.all(clients.map(send));
      const { rows, snapshot } = must(answers[0]!);
      for (const answer of later) expect(must(answer)).toMatchObject({ rows, snapshot });
      const { epoch } = must(later[0]!);
      for (const client of clients) {
        const sql = `SELECT count(*) FROM ${table}`;
        expect(await client.select(lake, sql, { min_epoch: epoch })).toEqual([[rows]]);
      }
    }
  }, 120_000);

  test(
    "with other rows is a conflict, at the same node and at others, and stores nothing",
    async () => {
      const lake = await newLake();
      const first = must(
        await broker.rows(lake, "events", lines([row(1)]), { create: true, key: "one" }),
      );
      const others = await Promise.all(
        clients.map((client) => client.rows(lake, "events", lines([row(2)]), { key: "one" })),
      );
      expect(others.map(kindOf)).toEqual(others.map(() => [409, "conflict"]));
      const sameTime = await Promise.all(
        rowsFrom(10, 6).map((one, index) =>
          clients[index % 3]!.rows(lake, "events", lines([one]), { key: "two" })
        ),
      );
      expect(sameTime.map(({ status }) => status).sort()).toEqual([200, 409, 409, 409, 409, 409]);
      const { epoch } = must(sameTime.find(({ status }) => status === 200)!);
      expect(epoch).toBeGreaterThan(first.epoch);
      for (const client of clients) expect(await countsAt(client, lake, epoch)).toEqual([2, 2]);
    },
    60_000,
  );
});

describe("a query", () => {
  test("sees a lake as it was in a snapshot and at a time, at every node", async () => {
    const lake = await newLake();
    const made = must(
      await broker.rows(lake, "events", lines(rowsFrom(0, 3)), { create: true }),
    );
    await Bun.sleep(5);
    must(await clients[2]!.rows(lake, "events", lines(rowsFrom(3, 3))));
    const last = must(await clients[0]!.rows(lake, "events", lines(rowsFrom(6, 3))));
    const { snapshots } = must(
      await broker.get(`/v1/lakes/${lake}/snapshots?min_epoch=${last.epoch}`),
    );
    const timeOf = (snapshot: number) =>
      snapshots.find((one: { snapshot: number }) => one.snapshot === snapshot).at;
    for (const client of clients) {
      const asOf = async (moment: object) =>
        (await client.select(lake, COUNT, { min_epoch: last.epoch, ...moment }))[0]![0];
      expect(await asOf({ snapshot: made.snapshot })).toBe(3);
      expect(await asOf({ time: timeOf(made.snapshot) })).toBe(3);
      expect(await asOf({ snapshot: made.snapshot + 1 })).toBe(6);
      expect(await asOf({})).toBe(9);
      const none = [{ snapshot: 0 }, { time: timeOf(0) }];
      for (const moment of none) {
        expect(kindOf(await client.query(lake, COUNT, { min_epoch: last.epoch, ...moment })))
          .toEqual([400, "invalid"]);
      }
      for (const moment of [{ snapshot: 999 }, { time: "2001-01-01T00:00:00Z" }]) {
        expect(kindOf(await client.query(lake, COUNT, { min_epoch: last.epoch, ...moment })))
          .toEqual([404, "missing"]);
      }
    }
  }, 60_000);

  test("is answered in the format that its client accepts, and says what it shows", async () => {
    const lake = await newLake();
    const { epoch, snapshot } = must(
      await broker.rows(lake, "events", lines(rowsFrom(1, 2)), { create: true }),
    );
    const ask = async (accept?: string) => {
      const sql = "SELECT * FROM events WHERE id > ? ORDER BY id";
      const answer = await broker.query(lake, sql, { params: [0], min_epoch: epoch }, accept);
      expect(answer.status).toBe(200);
      expect(answer.headers["headgate-snapshot"]).toBe(`${snapshot}`);
      expect(Number(answer.headers["headgate-epoch"])).toBeGreaterThanOrEqual(epoch);
      return answer;
    };
    const columns = ["id", "text"];
    const rows = [[1, "row 1"], [2, "row 2"]];
    expect((await ask()).body).toEqual({ columns, types: ["BIGINT", "VARCHAR"], rows });
    const ndjson: string = (await ask(NDJSON)).body;
    const [head, ...rest] = ndjson.trim().split("\n").map((line) => JSON.parse(line));
    expect(head.columns).toEqual(columns);
    expect(rest).toEqual([...rows, { rows: 2 }]);
    expect((await ask(CSV)).body).toBe("id,text\r\n1,row 1\r\n2,row 2\r\n");
    const table = tableFromIPC((await ask(ARROW)).bytes);
    expect(table.toArray().map((one) => [Number(one.id), one.text])).toEqual(rows);
    expect(kindOf(await broker.query(lake, "SELECT 1", {}, "text/html"))).toEqual([400, "invalid"]);
  }, 60_000);
});

test("a key that was used before the leader was killed is known to the next leader", async () => {
  const lake = await newLake();
  const keys = Array.from({ length: 6 }, (_, index) => `key-${index}`);
  const body = (index: number) => index % 2 === 0 ? lines([row(index)]) : large(1e6 * index);
  must(
    await broker.createTable(lake, "events", [
      { name: "id", type: "int64" },
      { name: "text", type: "varchar" },
      { name: "pad", type: "varchar" },
    ]),
  );
  const send = (client: LakeClient, index: number) =>
    client.rows(lake, "events", body(index), { key: keys[index]! });
  const first = await Promise.all(
    keys.slice(0, 4).map(async (_, index) => must(await send(clients[index % 3]!, index))),
  );
  const { leader } = await cluster.settled();
  // Two more are on their way when it dies.
  const open = [4, 5].map((index) => send(broker, index));
  await leader.kill();
  for (const [index, answer] of (await Promise.all(open)).entries()) {
    first[index + 4] = must(answer);
  }
  const living = clients.filter(({ url }) => url !== leader.url);
  for (const client of living) {
    const again = await Promise.all(keys.map(async (_, index) => must(await send(client, index))));
    for (const [index, { rows, snapshot }] of again.entries()) {
      expect({ rows, snapshot }).toEqual({
        rows: first[index].rows,
        snapshot: first[index].snapshot,
      });
    }
    const wrong = await client.rows(lake, "events", lines([row(-1)]), { key: keys[0]! });
    expect(kindOf(wrong)).toEqual([409, "conflict"]);
    const stored = 3 + 3 * LARGE_ROWS;
    expect(await countsAt(client, lake, again[0].epoch)).toEqual([stored, stored]);
  }
  await leader.start();
  await cluster.settled();
}, 120_000);
