/**
 * Two processes, one store, one truth: started at once, one owns and the other follows; the owner
 * killed and started again follows the other; both killed and started at once go on. Clients write
 * all the time, and at the end both nodes hold every acknowledged write once, in the same bytes.
 */
import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { pageHash } from "../../src/epoch/checksum.ts";
import { hex } from "../../src/replica/join.ts";
import { agreement } from "../support/agreement.ts";
import { type Client, must } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { History, LEDGER_SQL } from "../support/history.ts";
import { NodeFolder, type NodeProcess } from "../support/node-process.ts";
import { hasS3, s3Server } from "../support/s3-server.ts";
import { seededRandom } from "../support/seed.ts";
import { SqlClient } from "../support/sql-client.ts";
import { StoredChains } from "../support/stored-chains.ts";
import { Writers } from "../support/writers.ts";

const STARTS = 4;
const ROUNDS = 6;
const WRITERS = 12;
const WRITES_A_ROUND = 150;
const PAGE_BYTES = 4096;
const MARKS_SQL = "CREATE TABLE marks (id TEXT)";

const folder = new NodeFolder();
const server = await s3Server();
const { random, seed } = seededRandom();
console.log(`two-nodes.test.ts: SEED=${seed}`);
const started: NodeProcess[] = [];
const clients: Client[] = [];
let memories = 0;

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  for (const node of started.splice(0)) await node.kill();
});
afterAll(() => folder.remove());

const STORES = [
  { name: "directory", store: () => folder.fileStore(), skip: false },
  {
    name: "bucket",
    store: () => hasS3(server) ? server.settings() : "",
    skip: !hasS3(server),
  },
];

for (const { name, store, skip } of STORES) {
  describe.skipIf(skip)(`two processes on one ${name}`, () => {
    test("that are started at once on an empty one: one owner, one follower", async () => {
      for (let round = 0; round < STARTS; round++) {
        const nodes = pair(store());
        await startAtOnce(nodes);
        const { owner, follower, term } = await settled(nodes);
        expect(term).toBe(1);
        const created = await Promise.all(nodes.map((node) => connect(node).create("app")));
        expect(created.map(({ status }) => status)).toEqual(
          nodes.map((node) => node === owner ? 201 : 307),
        );
        // A follower without a link finds new databases by looking now and then: once is enough.
        if (round === STARTS - 1) await expectFollowing(owner, follower);
        for (const node of nodes) await node.kill();
      }
    }, 120_000);

    test(
      "go on when the owner, or both, are killed and started again: nothing is lost or doubled",
      async () => {
        const where = store();
        const nodes = pair(where);
        const chains = await StoredChains.open(where);
        await startAtOnce(nodes);
        const first = connect((await settled(nodes)).owner);
        must(await first.create("app"));
        must(await first.statements("app", [{ sql: LEDGER_SQL }, { sql: MARKS_SQL }]));
        const history = new History("app");
        const writers = new Writers(nodes, history, { count: WRITERS });
        let term = 1;
        for (let round = 0; round < ROUNDS; round++) {
          await moreWrites(history, WRITES_A_ROUND);
          await Bun.sleep(random.below(100));
          if (round % 2 === 0) await killOwner(nodes, history);
          else await killBoth(nodes);
          const found = await settled(nodes);
          // Two that start at once may both find their right to claim, one after the other.
          expect(found.term - term).toBeGreaterThanOrEqual(1);
          expect(found.term - term).toBeLessThanOrEqual(round % 2 === 0 ? 1 : 2);
          term = found.term;
        }
        await moreWrites(history, WRITES_A_ROUND);
        await writers.stop();
        await expectOneTruth(nodes, history, chains);
        expect((await chains.claims("system")).length).toBe(term);
        expect((await settled(nodes)).term).toBe(term);
        console.log(
          `${name}: ${history.count("acknowledged")} acknowledged, ${history.count("unknown")} ` +
            `unknown of ${history.size} writes in ${term} terms`,
        );
        await chains.close();
      },
      180_000,
    );
  });
}

type Store = Parameters<NodeFolder["node"]>[0]["store"];

/** Two nodes that also share their folder of memory, as on one machine. */
function pair(store: Store): [NodeProcess, NodeProcess] {
  const memoryDir = join(folder.path, `memory-${++memories}`);
  const one = () => {
    const node = folder.node({ store, memoryDir });
    started.push(node);
    return node;
  };
  return [one(), one()];
}

async function startAtOnce(nodes: readonly NodeProcess[]): Promise<void> {
  await Promise.all(nodes.map((node) => node.start()));
}

/** Closed after the test. */
function connect(node: NodeProcess): Client {
  const client = node.client();
  clients.push(client);
  return client;
}

interface Settled {
  readonly owner: NodeProcess;
  readonly follower: NodeProcess;
  readonly term: number;
}

/** Waits until both nodes say the same about who leads, and exactly that one says that it does. */
async function settled(nodes: readonly [NodeProcess, NodeProcess]): Promise<Settled> {
  const looking = nodes.map((node) => ({ node, client: connect(node) }));
  return await eventually("one owner and one follower", async () => {
    const seen = await Promise.all(looking.map(async ({ node, client }) => {
      const { leader, term } = must(await client.get("/v1/cluster"));
      const { role } = must(await client.get("/health/ready"));
      return { node, leader: leader.id, term: Number(term), role };
    }));
    const owner = seen.find(({ role }) => role === "leader");
    const follower = seen.find(({ role }) => role === "broker");
    if (!owner || !follower || owner.leader !== owner.node.id) return null;
    if (follower.leader !== owner.leader || follower.term !== owner.term) return null;
    return { owner: owner.node, follower: follower.node, term: owner.term };
  }, { withinMs: 30_000, instead: () => logs(nodes) });
}

async function expectFollowing(owner: NodeProcess, follower: NodeProcess): Promise<void> {
  const { epoch } = must(await connect(owner).execute("app", LEDGER_SQL));
  const has = async () => (await connect(follower).get("/v1/databases/app")).status === 200;
  await eventually("the follower finds the database", has);
  await expectSessionRead(follower, "SELECT count(*) FROM ledger", epoch, [[0]]);
  expect((await agreement([connect(owner), connect(follower)], "app")).epoch).toBe(epoch);
}

/** The other takes over; whoever was killed comes back and follows. */
async function killOwner(
  nodes: readonly [NodeProcess, NodeProcess],
  history: History,
): Promise<void> {
  const { owner, follower } = await settled(nodes);
  const since = follower.log.length;
  await owner.kill();
  await eventually(
    "the other takes over",
    () => / this node leads/.test(follower.log.slice(since)),
    { instead: () => logs(nodes) },
  );
  await moreWrites(history, WRITES_A_ROUND);
  await owner.start();
  const after = await settled(nodes);
  expect({ owner: after.owner.id, follower: after.follower.id }).toEqual({
    owner: follower.id,
    follower: owner.id,
  });
  // What the new owner acknowledged is read at the old one, by whoever was told the epoch.
  const mark = `term ${after.term}`;
  const written = await connect(follower).execute("app", "INSERT INTO marks VALUES (?)", [mark]);
  const sql = `SELECT id FROM marks WHERE id = '${mark}'`;
  await expectSessionRead(owner, sql, must(written).epoch, [[mark]]);
}

async function killBoth(nodes: readonly NodeProcess[]): Promise<void> {
  await Promise.all(nodes.map((node) => node.kill()));
  await startAtOnce(nodes);
}

async function expectSessionRead(
  node: NodeProcess,
  sql: string,
  epoch: number,
  rows: unknown[][],
): Promise<void> {
  const options = { level: "session", min_epoch: epoch };
  const answer = must(await connect(node).query("app", sql, [], options));
  expect(answer.rows).toEqual(rows);
  expect(answer.epoch).toBeGreaterThanOrEqual(epoch);
}

async function moreWrites(history: History, count: number): Promise<void> {
  const aimed = history.acknowledged + count;
  await eventually(`${count} more writes`, () => history.acknowledged >= aimed, {
    withinMs: 60_000,
    instead: () => logs(started),
  });
}

/** Both nodes and the store agree about every byte, and the clients' ledger agrees with that. */
async function expectOneTruth(
  nodes: readonly NodeProcess[],
  history: History,
  chains: StoredChains,
): Promise<void> {
  const connections = nodes.map(connect);
  for (const database of ["app", "system"]) {
    const { epoch, checksum } = await agreement(connections, database);
    const newest = (await chains.epochs(database)).slice(-1);
    const [header] = await chains.headers(database, newest);
    expect({ epoch: header?.maxEpoch, checksum: hex(header?.databaseChecksum ?? 0n) })
      .toEqual({ epoch, checksum });
    const [one, other] = await Promise.all(
      nodes.map((node) => new SqlClient(node.url).export(database)),
    );
    expect(Buffer.compare(one!, other!)).toBe(0);
    expect(hex(checksumOf(one!))).toBe(checksum);
  }
  for (const client of connections) expect(await history.problems(client)).toEqual([]);
}

/** Computed from a SQLite file alone (PROTOCOL, section 2). */
function checksumOf(file: Uint8Array): bigint {
  let sum = 0n;
  for (let at = 0; at < file.length; at += PAGE_BYTES) {
    sum += pageHash(file.subarray(at, at + PAGE_BYTES), at / PAGE_BYTES + 1);
  }
  return BigInt.asUintN(64, sum);
}

function logs(nodes: readonly NodeProcess[]): string {
  return nodes.map((node) => `\n--- ${node.url}\n${node.log}`).join("");
}
