/**
 * One node alone may lead, and it is down for as long as the test likes: the others take rows with
 * `?ack=stored` all the same. What a node stored that was killed before it could hand it on, the
 * leader finds when it is back.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { ClusterNodes } from "../support/cluster-nodes.ts";
import { eventually } from "../support/eventually.ts";
import { LakeClient, lines, must } from "../support/lake-client.ts";
import { NodeFolder, type NodeProcess } from "../support/node-process.ts";

const LAKE = "web";
const folder = new NodeFolder();
const cluster = new ClusterNodes(folder, { store: folder.fileStore() }, 1);
const clients = new Map<NodeProcess, LakeClient>();

beforeAll(async () => {
  const [first] = cluster.nodes;
  await first!.start();
  for (let count = 0; count < 2; count++) await cluster.add({ set: { eligible: "false" } }).start();
  await cluster.settled();
  const client = clientOf(first!);
  must(await client.create(LAKE));
  const { epoch } = must(await client.createTable(LAKE, "events", [{ name: "id", type: "int64" }]));
  for (const node of cluster.nodes) {
    await clientOf(node).select(LAKE, "SELECT count(*) FROM events", { min_epoch: epoch });
  }
}, 60_000);
afterAll(async () => {
  for (const client of clients.values()) client.close();
  await cluster.stop();
  await folder.remove();
});

function clientOf(node: NodeProcess): LakeClient {
  const client = clients.get(node) ?? new LakeClient(node.url);
  clients.set(node, client);
  return client;
}

function rows(node: NodeProcess, id: number, options: object = {}) {
  return clientOf(node).rows(LAKE, "events", lines([{ id }]), options);
}

async function ids(node: NodeProcess): Promise<number[]> {
  const found = await clientOf(node).select(LAKE, "SELECT id::INT FROM events ORDER BY id");
  return found.map(([id]) => id as number);
}

test("rows are stored while nobody can lead, and adopted by the leader that comes", async () => {
  const [leader, living, dying] = cluster.nodes as [NodeProcess, NodeProcess, NodeProcess];
  // Loaders have begun, so that what is timed is not their beginning.
  for (const node of [living, dying]) must(await rows(node, node === living ? 1 : 2));
  await leader.kill();
  const visible = rows(living, 100, { timeoutMs: 1_500 });
  const times: number[] = [];
  for (let id = 10; id < 20; id++) {
    const from = performance.now();
    const answer = await rows(id % 2 === 0 ? living : dying, id, { ack: "stored", key: `${id}` });
    times.push(performance.now() - from);
    expect([answer.status, answer.body]).toMatchObject([202, { rows: 1 }]);
  }
  // A retry that cannot know better is stored again, and adopted once.
  expect((await rows(living, 11, { ack: "stored", key: "11" })).status).toBe(202);
  console.log(`lake-leaderless.test.ts: longest answer ${Math.round(Math.max(...times))} ms`);
  expect((await visible).status).toBeGreaterThanOrEqual(500);
  expect(await ids(living)).toEqual([1, 2]);
  await dying.kill();
  await leader.start();
  const expected = [1, 2, ...Array.from({ length: 10 }, (_, index) => 10 + index)];
  for (const node of [leader, living]) {
    const look = async () => Bun.deepEquals(await ids(node), expected);
    await eventually("all rows are there, once", look, {
      withinMs: 30_000,
      instead: () => cluster.logs(),
    });
  }
  // And to whoever asks again it is done.
  const again = await rows(living, 12, { ack: "stored", key: "12" });
  expect([again.status, again.body]).toMatchObject([200, {
    rows: 1,
    snapshot: expect.any(Number),
  }]);
  expect(await ids(leader)).toEqual(expected);
}, 90_000);
