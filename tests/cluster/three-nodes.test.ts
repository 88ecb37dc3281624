/**
 * Three nodes with the same store and nothing else in common are one cluster, and a fourth joins it.
 * Any node takes any request; what one has acknowledged, each shows; nodes that follow ask the store
 * for nothing, and are behind by little.
 *
 *   WRITES=1000 bun test tests/cluster/three-nodes.test.ts     the figures of docs/performance.md
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { type Client, must } from "../support/client.ts";
import { ClusterNodes } from "../support/cluster-nodes.ts";
import { eventually } from "../support/eventually.ts";
import { figures } from "../support/figures.ts";
import { History, LEDGER_SQL } from "../support/history.ts";
import { NodeFolder, type NodeProcess } from "../support/node-process.ts";
import { SqlClient } from "../support/sql-client.ts";
import { now, SteadyWriters } from "../support/steady-writers.ts";

/** The issue asks for 2 s and 1 s; a busy machine gets more before the test is red. */
const JOIN_MS_MAX = 6_000;
const TOLD_MS_MAX = 4_000;
const LAG_MS_MAX = 2_000;
const ROUNDS = 40;
const LAG_WRITES = Number(process.env["WRITES"] ?? 100);
const QUIET_MS = 3_000;
const SETTLED_MS = 500;
const PUT_MS = 30;
const SLOW_MS = 200;

const folder = new NodeFolder();
const cluster = new ClusterNodes(folder, {
  store: folder.fileStore(),
  // Without snapshots a late node has many epochs to read, one by one.
  set: { "storage.simulate_latency_ms": PUT_MS, "limits.snapshot_chain_bytes_min": 1_000_000_000 },
}, 3);

beforeAll(() => cluster.start(), 60_000);
afterAll(async () => {
  await cluster.stop();
  await folder.remove();
});

test("three nodes that start in the same second on an empty store are one cluster", async () => {
  const { term, leader, others } = await cluster.settled();
  expect(term).toBe(1);
  expect(others.length).toBe(2);
  const clusters = await Promise.all(cluster.clients.map((client) => client.get("/v1/cluster")));
  expect(new Set(clusters.map(({ body }) => body.cluster)).size).toBe(1);
  for (const node of cluster.nodes) {
    const { role } = must(await cluster.client(node).get("/health/ready"));
    expect(role).toBe(node === leader ? "leader" : "broker");
  }
}, 60_000);

test("a fourth joins within seconds, and every roster has it soon after", async () => {
  const startedMs = now();
  const node = cluster.add();
  await node.start();
  const before = cluster.nodes.slice(0, -1);
  const joinedMs = await until(async () => (await lists(node, node)) && now());
  const told = await Promise.all(
    before.map((one) => until(async () => (await lists(one, node)) && now())),
  );
  const joinMs = joinedMs - startedMs;
  const toldMs = Math.max(...told) - joinedMs;
  console.log(`join: ${Math.round(joinMs)} ms from its start; told ${Math.round(toldMs)} ms later`);
  expect(joinMs).toBeLessThan(JOIN_MS_MAX);
  expect(toldMs).toBeLessThan(TOLD_MS_MAX);
  await cluster.settled();
}, 60_000);

test("a database that was just created can be read and written at every node at once", async () => {
  const { leader, others } = await cluster.settled();
  for (let round = 0; round < 5; round++) {
    const name = `made-${round}`;
    must(await cluster.client(leader).create(name));
    const seen = await Promise.all(
      cluster.nodes.map((node) => cluster.client(node).query(name, "SELECT 1")),
    );
    expect(seen.map(({ status, body }) => [status, body.rows])).toEqual(
      cluster.nodes.map(() => [200, [[1]]]),
    );
    const writer = others[round % others.length]!;
    must(await cluster.client(writer).execute(name, "CREATE TABLE t (x)"));
  }
}, 60_000);

test(
  "a write at any node is answered there, and each node shows it to who knows its epoch",
  async () => {
    await ledger("app");
    for (let round = 0; round < ROUNDS; round++) {
      const writer = cluster.nodes[round % cluster.nodes.length]!;
      const insert = "INSERT INTO ledger VALUES (?, 1, 1)";
      const written = must(await cluster.client(writer).execute("app", insert, [`r${round}`]));
      const count = "SELECT count(*) FROM ledger";
      const levels = [{ level: "session", min_epoch: written.epoch }, { level: "linearizable" }];
      const reads = cluster.clients.flatMap((client) =>
        levels.map(async (level) => must(await client.query("app", count, [], level)))
      );
      for (const { rows, epoch } of await Promise.all(reads)) {
        expect(rows).toEqual([[round + 1]]);
        expect(epoch).toBeGreaterThanOrEqual(written.epoch);
      }
    }
  },
  60_000,
);

test("nodes that follow ask the store for nothing and are behind by little", async () => {
  const { leader, others } = await cluster.settled();
  await ledger("busy");
  await cluster.agreed();
  const before = await settledRequests(others);
  const history = new History("busy");
  const load = { writesASecond: 1_000, clients: 100, timeoutMs: 5_000 };
  const writers = new SteadyWriters(cluster.nodes, history, load);
  await Bun.sleep(QUIET_MS);
  const after = await Promise.all(others.map(storeRequests));
  // A read that waits for an epoch for long may ask the store, so this comes after.
  const lags = await measureLag(leader, others);
  await writers.stop();
  await cluster.agreed();
  console.log(`followers behind the answer, ${history.acknowledged} writes: ${figures(lags)}`);
  expect(after).toEqual(before);
  for (const client of cluster.clients) expect(await history.problems(client)).toEqual([]);
  expect(history.count("acknowledged")).toBe(history.size);
  expect(lags.length).toBe(LAG_WRITES * others.length);
  expect(Math.max(...lags)).toBeLessThan(LAG_MS_MAX);
}, 60_000);

test("a node that still reads a database from the store takes writes to it", async () => {
  const node = cluster.add({
    set: {
      "storage.simulate_latency_ms": SLOW_MS,
      "limits.snapshot_chain_bytes_min": 1_000_000_000,
    },
  });
  await node.start();
  const client = cluster.client(node);
  const state = async () => (await client.get("/v1/databases/busy")).body.state;
  await until(async () => (await state()) === "opening");
  const { epoch } = must(await client.execute("busy", "CREATE TABLE early (x)"));
  expect(await state()).toBe("opening");
  await cluster.settled();
  const level = { level: "session", min_epoch: epoch };
  const read = must(await client.query("busy", "SELECT count(*) FROM early", [], level));
  expect(read.rows).toEqual([[0]]);
}, 60_000);

/**
 * For each of some writes at the leader, how long after its answer each follower has answered a read
 * that waits for its epoch. What a read takes that waits for nothing is taken off.
 */
async function measureLag(leader: NodeProcess, others: readonly NodeProcess[]): Promise<number[]> {
  const writer = leader.client();
  const readers = others.map((node) => node.client());
  const lags: number[] = [];
  for (let number = 0; number < LAG_WRITES; number++) {
    const { epoch } = must(await writer.execute("busy", "PRAGMA user_version = 1"));
    const answeredMs = now();
    await Promise.all(readers.map(async (reader) => {
      const session = { level: "session", min_epoch: epoch };
      must(await reader.query("busy", "SELECT 1", [], session));
      const shownMs = now();
      must(await reader.query("busy", "SELECT 1"));
      lags.push(Math.max(0, shownMs - answeredMs - (now() - shownMs)));
    }));
  }
  for (const client of [writer, ...readers]) client.close();
  return lags;
}

/** Requests that a node has sent to the store by kind, those for its own file left out. */
async function storeRequests(node: NodeProcess): Promise<Record<string, number>> {
  const metrics = await new SqlClient(node.url).metrics();
  const requests = [...metrics].filter(([name]) =>
    name.startsWith("headgate_store_requests_total") && !name.includes("replace")
  );
  // It has read the chain when it joined.
  expect(requests.length).toBeGreaterThan(0);
  return Object.fromEntries(requests);
}

/** A follower looks once more into the store for what was made while it opened the database. */
async function settledRequests(nodes: readonly NodeProcess[]) {
  let seen = "";
  return await eventually("no request to the store", async () => {
    const requests = await Promise.all(nodes.map(storeRequests));
    const isSame = JSON.stringify(requests) === seen;
    seen = JSON.stringify(requests);
    await Bun.sleep(SETTLED_MS);
    return isSame && requests;
  });
}

async function ledger(name: string): Promise<void> {
  const { leader } = await cluster.settled();
  const client: Client = cluster.client(leader);
  must(await client.create(name));
  must(await client.execute(name, LEDGER_SQL));
}

async function lists(where: NodeProcess, node: NodeProcess): Promise<boolean> {
  const status = await cluster.status(where);
  return status?.nodes.some(({ id, state }) => id === node.id && state === "active") ?? false;
}

/** As `eventually`, for what must be timed. */
async function until<T>(look: () => Promise<T | false>): Promise<T> {
  const deadlineMs = performance.now() + 30_000;
  while (performance.now() < deadlineMs) {
    const seen = await look();
    if (seen !== false) return seen;
    await Bun.sleep(5);
  }
  throw new Error(`a node was not seen everywhere: ${cluster.logs()}`);
}
