/**
 * A cluster whose network is cut: three nodes on hosts of their own, an S3 server that they reach over
 * the same bridge, clients that write all the time. Nothing acknowledged is lost or doubled, whoever
 * must not claim does not, and all are equal in the end (PROTOCOL section 8).
 */
import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { agreement } from "../support/agreement.ts";
import { type Client, must } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { History, LEDGER_SQL } from "../support/history.ts";
import { Hosts } from "../support/hosts.ts";
import { NodeFolder, type NodeProcess } from "../support/node-process.ts";
import { hasS3, s3Server } from "../support/s3-server.ts";
import { Writers } from "../support/writers.ts";

const server = await s3Server();
const reason = Hosts.reason() ?? (hasS3(server) ? null : "no S3 server");
if (reason) console.log(`hosts.test.ts skipped: ${reason}`);
const folder = new NodeFolder();
const hosts = reason ? null : Hosts.make(3);
/** Node n runs on host n. */
let nodes: NodeProcess[] = [];
afterEach(async () => {
  for (let number = 1; number <= 3; number++) hosts?.heal(number);
  await Promise.all(nodes.map((node) => node.kill()));
});
afterAll(async () => {
  await folder.remove();
  hosts?.remove();
});

/** Where the nodes find their store: the bucket over the bridge, or a directory that all can reach. */
type Store = "bucket" | "directory";

interface Cluster {
  readonly history: History;
  readonly clients: readonly Client[];
  readonly load: Writers;
  /** Index of the node that leads, as the others see it. */
  leader(): Promise<number>;
  claims(): Promise<number>;
  end(): Promise<void>;
}

async function cluster(kind: Store): Promise<Cluster> {
  if (!hosts || !hasS3(server)) throw new Error("no hosts");
  const own = await hosts.expose(Number(new URL(server.endpoint).port));
  const store = kind === "bucket" ? server.settings(`http://${own}`) : folder.fileStore();
  nodes = [1, 2, 3].map((number) => folder.node({ store, host: hosts.host(number) }));
  for (const node of nodes) await node.start();
  const clients = nodes.map((node) => node.client());
  const [first] = clients;
  if (!first) throw new Error("no node");
  must(await first.create("app"));
  must(await first.execute("app", LEDGER_SQL));
  const history = new History("app", { mayComeLate: true });
  const load = new Writers(nodes, history, { count: 12, pauseMs: 20 });
  const status = async (client: Client) => must(await client.get("/v1/cluster"));
  await eventually("all have joined", async () => (await status(first)).nodes.length === 3);
  return {
    history,
    clients,
    load,
    leader: async () => {
      const { leader } = await status(first);
      return nodes.findIndex(({ id }) => id === leader.id);
    },
    claims: async () => (await status(first)).term,
    end: async () => {
      await load.stop();
      await agreement(clients, "app");
      expect(await history.problems(first)).toEqual([]);
      for (const client of clients) client.close();
    },
  };
}

/** Writes go on: some more are acknowledged than now. */
function progress({ history }: Cluster, withinMs = 30_000): Promise<unknown> {
  const aimed = history.acknowledged + 50;
  return eventually("writes go on", () => history.acknowledged >= aimed, { withinMs });
}

/** Index of the node whose log has said since `from` that it leads. */
const leads = (from: readonly number[]) =>
  nodes.findIndex(({ log }, index) => /this node leads/.test(log.slice(from[index] ?? 0)));
const logEnds = () => nodes.map(({ log }) => log.length);

describe.skipIf(reason !== null)("a cluster on hosts of its own", () => {
  test(
    "goes on without a leader's host that nobody hears; it follows when it is heard again",
    async () => {
      const made = await cluster("bucket");
      await progress(made);
      const pids = nodes.map(({ pid }) => pid);
      const before = await made.leader();
      const ends = logEnds();
      hosts?.silence(before + 1);
      const silentMs = performance.now();
      const next = await eventually("another node leads", () => {
        const index = leads(ends);
        return index >= 0 && index !== before && { index };
      });
      console.log(`silent host: claimed after ${Math.round(performance.now() - silentMs)} ms`);
      await progress(made);
      hosts?.heal(before + 1);
      await nodes[before]?.until(/no longer leads/, 30_000);
      await progress(made);
      expect(nodes.map(({ pid }) => pid)).toEqual(pids);
      await eventually("it follows", async () => {
        const { leader } = must(await made.clients[before]!.get("/v1/cluster"));
        return leader?.id === nodes[next.index]?.id;
      });
      await made.end();
    },
    120_000,
  );

  test("has no election when only a standby is cut off", async () => {
    const made = await cluster("directory");
    const before = await made.leader();
    const standby = (before + 1) % 3;
    const claims = await made.claims();
    hosts?.silence(standby + 1);
    await Bun.sleep(12_000);
    await progress(made);
    hosts?.heal(standby + 1);
    await progress(made);
    expect([await made.claims(), await made.leader()]).toEqual([claims, before]);
    await made.end();
  }, 120_000);

  test("has no election when the leader refuses one standby and the other hears it", async () => {
    const made = await cluster("directory");
    const before = await made.leader();
    const standby = (before + 1) % 3;
    const claims = await made.claims();
    const ends = logEnds();
    hosts?.refuse(standby + 1, before + 1);
    const refused = () => /to=asking/.test(nodes[standby]!.log.slice(ends[standby]));
    await eventually("the standby asks the other", refused);
    await Bun.sleep(5_000);
    await progress(made);
    expect([await made.claims(), await made.leader()]).toEqual([claims, before]);
    hosts?.heal(standby + 1);
    const linked = () => /to=linked/.test(nodes[standby]!.log.slice(ends[standby]));
    await eventually("it is linked again", linked);
    await made.end();
  }, 120_000);

  test(
    "has no election when leader and a standby do not hear each other, and all hear the store",
    async () => {
      const made = await cluster("directory");
      const before = await made.leader();
      const standby = (before + 1) % 3;
      const claims = await made.claims();
      hosts?.part(before + 1, standby + 1);
      await Bun.sleep(15_000);
      await progress(made);
      expect([await made.claims(), await made.leader()]).toEqual([claims, before]);
      hosts?.heal(standby + 1);
      await made.end();
    },
    120_000,
  );

  test("gets another leader when this one has a store and nobody hears it, once", async () => {
    const made = await cluster("directory");
    const before = await made.leader();
    const claims = await made.claims();
    const ends = logEnds();
    hosts?.silence(before + 1);
    await nodes[before]?.until(/nobody has a link to this leader/, 40_000);
    await eventually("another node leads", () => {
      const index = leads(ends);
      return index >= 0 && index !== before;
    });
    await progress(made);
    await Bun.sleep(5_000);
    hosts?.heal(before + 1);
    await progress(made);
    const other = made.clients[(before + 1) % 3]!;
    const { term, leader } = must(await other.get("/v1/cluster"));
    expect(term - claims).toBe(1);
    expect(leader.id).not.toBe(nodes[before]?.id);
    await made.end();
  }, 150_000);
});
