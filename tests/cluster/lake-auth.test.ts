/** Who may do what with lakes, by the binary: every scope opens its own routes and no other. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { ClusterNodes } from "../support/cluster-nodes.ts";
import { LakeClient, lines, must } from "../support/lake-client.ts";
import { NodeFolder, type NodeProcess } from "../support/node-process.ts";
import { mintedByBucket } from "../support/minted-token.ts";

const folder = new NodeFolder();
const store = folder.fileStore();
const cluster = new ClusterNodes(folder, { store, set: { "auth.required": "true" } }, 2);
let leader: NodeProcess;
let broker: NodeProcess;
let admin: LakeClient;

beforeAll(async () => {
  await cluster.nodes[0]!.start();
  cluster.token = await mintedByBucket(store);
  await cluster.nodes[1]!.start();
  const settled = await cluster.settled();
  leader = settled.leader;
  broker = settled.others[0]!;
  admin = new LakeClient(leader.url, cluster.token);
  for (const lake of ["web", "shop-eu"]) {
    must(await admin.create(lake));
    must(await admin.rows(lake, "events", lines([{ id: 1 }]), { create: true }));
  }
}, 60_000);
afterAll(async () => {
  admin.close();
  await cluster.stop();
  await folder.remove();
});

async function tokenOf(scopes: readonly string[]): Promise<string> {
  return must(await admin.json("POST", "/v1/tokens", { subject: "ci", scopes })).token;
}

/** Statuses of what may be asked of a lake, at the leader. */
async function asked(
  scopes: readonly string[],
  lake: string,
): Promise<Record<string, number>> {
  const client = new LakeClient(leader.url, await tokenOf(scopes));
  const path = `/v1/lakes/${lake}`;
  const table = {
    name: `t_${crypto.randomUUID().slice(0, 8)}`,
    columns: [{ name: "id", type: "int64" }],
  };
  const answers = {
    query: await client.query(lake, "SELECT 1"),
    tables: await client.get(`${path}/tables`),
    table: await client.get(`${path}/tables/events`),
    snapshots: await client.get(`${path}/snapshots`),
    catalog: await client.get(`${path}/catalog`),
    rows: await client.rows(lake, "events", lines([{ id: 1 }])),
    createTable: await client.json("POST", `${path}/tables`, table),
    changeColumns: await client.json("PATCH", `${path}/tables/nothing`, { drop: { column: "a" } }),
    dropTable: await client.request("DELETE", `${path}/tables/nothing`),
    createLake: await client.json("POST", "/v1/lakes", { name: lake }),
    dropLake: await client.request("DELETE", "/v1/lakes/nothing"),
  };
  client.close();
  return Object.fromEntries(Object.entries(answers).map(([what, { status }]) => [what, status]));
}

const none = {
  ...{ query: 403, tables: 403, table: 403, snapshots: 403, catalog: 403, rows: 403 },
  ...{ createTable: 403, changeColumns: 403, dropTable: 403, createLake: 403, dropLake: 403 },
};
const read = { query: 200, tables: 200, table: 200, snapshots: 200, catalog: 200 };
const ingest = { rows: 200 };
const write = { createTable: 201, changeColumns: 404 };

describe("a token", () => {
  test("that is not there, or not good, opens nothing of a lake", async () => {
    for (const token of [undefined, "x.y.z"]) {
      const nobody = new LakeClient(broker.url, token);
      const refused = [
        await nobody.get("/v1/lakes"),
        await nobody.create("mine"),
        await nobody.query("web", "SELECT 1"),
        await nobody.rows("web", "events", lines([{ id: 2 }])),
        await nobody.get("/v1/lakes/web/tables"),
        await nobody.get("/v1/lakes/web/catalog"),
        await nobody.request("DELETE", "/v1/lakes/web"),
      ];
      expect(refused.map(({ status }) => status)).toEqual(refused.map(() => 401));
      nobody.close();
    }
  }, 60_000);

  test("opens what its scopes name and nothing else", async () => {
    expect(await asked([], "web")).toEqual(none);
    expect(await asked(["read:web"], "web")).toEqual({ ...none, ...read });
    expect(await asked(["read:web"], "shop-eu")).toEqual(none);
    expect(await asked(["read:shop-*"], "shop-eu")).toEqual({ ...none, ...read });
    expect(await asked(["ingest:web"], "web")).toEqual({ ...none, ...ingest });
    expect(await asked(["ingest:shop-*"], "web")).toEqual(none);
    expect(await asked(["write:web"], "web")).toEqual({ ...none, ...write });
    expect(await asked(["write:*", "ingest:*", "read:*"], "web"))
      .toEqual({ ...none, ...read, ...ingest, ...write });
    expect(await asked(["admin"], "web")).toEqual({
      ...{ ...read, ...ingest, ...write },
      ...{ dropTable: 404, createLake: 409, dropLake: 404 },
    });
  }, 60_000);

  test("writes into no catalog as into a database, whatever it says of databases", async () => {
    const path = "/v1/databases/lake-web";
    const statements = [{ sql: "DELETE FROM ducklake_snapshot" }];
    for (const scopes of [["write:*", "ingest:*"], ["write:lake-*"], ["admin"]]) {
      const client = new LakeClient(leader.url, await tokenOf(scopes));
      const refused = [
        await client.json("POST", `${path}/execute`, { statements }),
        await client.json("POST", "/v1/databases", { name: "lake-mine" }),
        await client.json("POST", `${path}/rollback`, { epoch: 1 }),
        await client.request("DELETE", path),
      ];
      const told = refused.map(({ status }) => status === 400 || status === 403);
      expect({ scopes, told }).toEqual({ scopes, told: [true, true, true, true] });
      client.close();
    }
    must(await admin.query("web", "SELECT * FROM events"));
  }, 60_000);

  test("shows in the list the lakes that it may read", async () => {
    const shown = async (scopes: readonly string[]) => {
      const client = new LakeClient(leader.url, await tokenOf(scopes));
      const { lakes } = must(await client.get("/v1/lakes"));
      client.close();
      return lakes.map(({ name }: { name: string }) => name);
    };
    expect(await shown(["read:shop-*"])).toEqual(["shop-eu"]);
    expect(await shown(["ingest:web", "write:web"])).toEqual([]);
    expect(await shown(["admin"])).toEqual(["shop-eu", "web"]);
  }, 60_000);

  test(
    "that may bring rows brings them at a broker too, and each subject has its own keys",
    async () => {
      const ingesting = { scopes: ["ingest:web"] };
      const subjects = await Promise.all(["ann", "bob"].map(async (subject) => {
        const answer = await admin.json("POST", "/v1/tokens", { subject, ...ingesting });
        return new LakeClient(broker.url, must(answer).token);
      }));
      const [first, second] = await Promise.all(
        subjects.map(async (client, index) =>
          must(await client.rows("web", "events", lines([{ id: 10 + index }]), { key: "same" }))
        ),
      );
      expect([first.rows, second.rows]).toEqual([1, 1]);
      const more = { min_epoch: Math.max(first.epoch, second.epoch) };
      const sql = "SELECT id FROM events WHERE id >= 10 ORDER BY id";
      expect(await admin.select("web", sql, more)).toEqual([[10], [11]]);
      for (const client of subjects) {
        client.close();
      }
    },
    60_000,
  );
});
