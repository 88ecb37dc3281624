/**
 * A cluster without its store: when nobody reaches it, reads go on, writes are answered in time, the
 * circuit breaker opens, nobody takes anything from anybody, and all goes on by itself when it is
 * back. When the leader alone loses it, another node takes over and the old leader follows.
 */
import { afterAll, afterEach, describe, expect, test } from "bun:test";
import {
  breakableBucket,
  breakableDirectory,
  type BreakableStore,
  type Way,
} from "../support/breakable-store.ts";
import { must } from "../support/client.ts";
import { ClusterNodes, type Settled } from "../support/cluster-nodes.ts";
import { eventually } from "../support/eventually.ts";
import { History, LEDGER_SQL } from "../support/history.ts";
import { NodeFolder, type NodeProcess } from "../support/node-process.ts";
import { hasS3, s3Server } from "../support/s3-server.ts";
import { now, SteadyWriters } from "../support/steady-writers.ts";
import { StoredChains } from "../support/stored-chains.ts";

const OUTAGE_MS = 20_000;
const TIMEOUT_MS = 2_000;
const SLACK_MS = 2_000;
/** A store has failed for 5 s before it counts, and is watched for 3 s; a busy machine gets more. */
const TAKEN_OVER_MS_MAX = 25_000;
const BREAKER_MS_MAX = 15_000;
const LOAD = { writesASecond: 100, clients: 30, timeoutMs: TIMEOUT_MS };

const folder = new NodeFolder();
const server = await s3Server();
const closing: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});
afterAll(() => folder.remove());

const STORES = [
  { name: "directory", make: () => breakableDirectory(folder.path), skip: false },
  {
    name: "bucket",
    make: () => {
      if (hasS3(server)) return breakableBucket(server);
      throw new Error("skipped");
    },
    skip: !hasS3(server),
  },
];

for (const { name, make, skip } of STORES) {
  describe.skipIf(skip)(`three nodes on one ${name}`, () => {
    test(
      "that none of them reaches for 20 s: reads go on, and all comes back by itself",
      async () => {
        const { cluster, ways, before, history, writers, claims } = await begin(make());
        for (const way of ways.values()) await way.break();
        const brokenMs = now();
        await eventually("the breaker opens", () => breakerIs(cluster, before.leader, "open"), {
          withinMs: BREAKER_MS_MAX,
        });
        while (now() - brokenMs < OUTAGE_MS) {
          await Promise.all(cluster.clients.map(async (client) => {
            const [row] = await client.rows("app", "SELECT count(*) FROM ledger");
            expect(Number(row?.[0])).toBeGreaterThan(0);
          }));
          await Bun.sleep(500);
        }
        const refused = await cluster.client(before.leader).create("refused");
        expect([refused.status, refused.body.error?.details?.reason]).toEqual([503, "store"]);
        expect(writers.acknowledged(brokenMs + TIMEOUT_MS)).toEqual([]);
        for (const way of ways.values()) await way.mend();
        const mendedMs = now();
        await eventually("writes go on", () => writers.acknowledged(mendedMs).length > 50);
        console.log(
          `${name}: writes went on ${
            Math.round(writers.acknowledged(mendedMs)[0]!.atMs - mendedMs)
          } ` +
            `ms after the store was back; refusals ${JSON.stringify([...history.refusals])}`,
        );
        await writers.stop();
        // A trial closes it.
        await eventually(
          "admin changes go on",
          async () => (await cluster.client(before.leader).create("admitted")).status === 201,
        );
        expect(await breakerIs(cluster, before.leader, "closed")).toBe(true);
        await expectWhole(cluster, history);
        const after = await cluster.settled();
        expect([after.leader.id, after.term]).toEqual([before.leader.id, before.term]);
        expect(await claims()).toBe(before.term);
      },
      180_000,
    );

    test(
      "that the leader alone does not reach: another takes over, and the old one follows",
      async () => {
        const { cluster, ways, before, history, writers, claims } = await begin(make());
        const { pid } = before.leader;
        await ways.get(before.leader)!.break();
        const brokenMs = now();
        const next = await eventually("another leads", async () => {
          for (const node of before.others) {
            const status = await cluster.status(node);
            if (status?.leader && status.leader.id !== before.leader.id) return status.leader.id;
          }
          return null;
        }, { withinMs: TAKEN_OVER_MS_MAX, instead: () => cluster.logs() });
        const takenOverMs = now() - brokenMs;
        await eventually(
          "writes go on",
          () => writers.acknowledged(brokenMs + takenOverMs).length > 50,
        );
        console.log(`${name}: another node led ${Math.round(takenOverMs)} ms after the loss`);
        await ways.get(before.leader)!.mend();
        const after = await cluster.settled();
        await writers.stop();
        expect([after.leader.id, after.term, before.leader.pid]).toEqual([
          next,
          before.term + 1,
          pid,
        ]);
        await expectWhole(cluster, history);
        expect(await claims()).toBe(before.term + 1);
      },
      180_000,
    );
  });
}

interface Begun {
  readonly cluster: ClusterNodes;
  readonly ways: ReadonlyMap<NodeProcess, Way>;
  readonly before: Settled;
  readonly history: History;
  readonly writers: SteadyWriters;
  /** How often `system` was claimed, by the store itself. */
  claims(): Promise<number>;
}

async function begin(store: BreakableStore): Promise<Begun> {
  closing.push(() => store.stop());
  const cluster = new ClusterNodes(folder, { store: store.whole }, 0);
  closing.push(() => cluster.stop());
  const ways = new Map<NodeProcess, Way>();
  for (let index = 0; index < 3; index++) {
    const way = await store.way();
    ways.set(cluster.add({ store: way.store }), way);
  }
  await cluster.start();
  const before = await cluster.settled();
  const client = cluster.client(before.leader);
  must(await client.create("app"));
  must(await client.execute("app", LEDGER_SQL));
  const history = new History("app");
  const writers = new SteadyWriters(cluster.nodes, history, LOAD);
  await eventually("the clients write", () => history.acknowledged > 200);
  const chains = await StoredChains.open(store.whole);
  closing.push(() => chains.close());
  const claims = async () => (await chains.claims("system")).length;
  return { cluster, ways, before, history, writers, claims };
}

async function breakerIs(cluster: ClusterNodes, node: NodeProcess, state: string) {
  return (await cluster.status(node))?.breaker.state === state;
}

/** Every call had its answer in time, and what was acknowledged is there, once, on all nodes. */
async function expectWhole(cluster: ClusterNodes, history: History): Promise<void> {
  await cluster.agreed();
  for (const client of cluster.clients) expect(await history.problems(client)).toEqual([]);
  expect(history.refusals.get("no answer")).toBeUndefined();
  expect(history.slowestMs).toBeLessThan(TIMEOUT_MS + SLACK_MS);
  const allowed = new Set(["unavailable", "uncertain", "elsewhere"]);
  expect([...history.refusals.keys()].filter((kind) => !allowed.has(kind))).toEqual([]);
}
