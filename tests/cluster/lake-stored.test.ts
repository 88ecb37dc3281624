/**
 * With `?ack=stored` a lake takes rows while its cluster has no leader: clients bring rows to all
 * nodes while leaders are killed, one after the other. No request at a node that lives fails, and in
 * the end every stored row is there, once, at every node. ROUNDS=10 runs longer; SEED replays chance.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { ClusterNodes } from "../support/cluster-nodes.ts";
import { Judge, missing } from "../support/ducklake.ts";
import { eventually } from "../support/eventually.ts";
import { LakeClient, lines, must } from "../support/lake-client.ts";
import { NodeFolder, type NodeProcess } from "../support/node-process.ts";
import { seededRandom } from "../support/seed.ts";

const ROUNDS = Number(process.env["ROUNDS"] ?? "3");
const CLIENTS_A_NODE = 2;
const LAKE = "stored";
const TABLE = "events";
const ANSWERS_A_ROUND = 40;
const TIMEOUT_MS = 10_000;

const folder = new NodeFolder();
const set = { "storage.simulate_latency_ms": 5 };
const cluster = new ClusterNodes(folder, { store: folder.fileStore(), set }, 3);
const { random, seed } = seededRandom();
console.log(`lake-stored.test.ts: SEED=${seed} ROUNDS=${ROUNDS}`);

beforeAll(async () => {
  await cluster.start();
  await cluster.settled();
  const client = new LakeClient(cluster.nodes[0]!.url);
  must(await client.create(LAKE));
  const columns = [["client", "int64"], ["number", "int64"], ["row", "int64"]] as const;
  const wishes = columns.map(([name, type]) => ({ name, type }));
  const { epoch } = must(await client.createTable(LAKE, TABLE, wishes));
  // What a node stores, it stores in the table as it knows it.
  for (const node of cluster.nodes) {
    const reader = new LakeClient(node.url);
    await reader.select(LAKE, `SELECT count(*) FROM ${TABLE}`, { min_epoch: epoch });
    reader.close();
  }
  client.close();
}, 60_000);
afterAll(async () => {
  await cluster.stop();
  await folder.remove();
});

/** Nodes that are being killed, or have been and do not serve yet: nothing is promised of them. */
const away = new Set<NodeProcess>();
/** How often each node was killed: what crosses that is no failure of a living node. */
const kills = new Map<NodeProcess, number>();

class Writer {
  readonly stored: { readonly number: number; readonly rows: number }[] = [];
  /** Requests whose node was killed: their rows are there once or not at all. */
  readonly doubtful = new Set<number>();
  readonly problems: string[] = [];
  isOver = false;
  longestPauseMs = 0;
  readonly #node: NodeProcess;
  readonly #client: number;

  constructor(node: NodeProcess, client: number) {
    this.#node = node;
    this.#client = client;
  }

  async run(): Promise<void> {
    let client = new LakeClient(this.#node.url);
    // A pause is between two answers of one process.
    let answeredAt: number | null = null;
    for (let number = 1; !this.isOver; number++) {
      if (away.has(this.#node)) {
        await Bun.sleep(20);
        client.close();
        client = new LakeClient(this.#node.url);
        answeredAt = null;
        continue;
      }
      const before = kills.get(this.#node);
      const problem = await this.#send(client, number);
      if (problem !== null) this.problems.push(problem);
      // From a node that was killed meanwhile no answer is owed.
      if (away.has(this.#node) || kills.get(this.#node) !== before) continue;
      const now = performance.now();
      this.longestPauseMs = Math.max(this.longestPauseMs, now - (answeredAt ?? now));
      answeredAt = now;
    }
    client.close();
  }

  /** What went wrong; null for nothing. */
  async #send(client: LakeClient, number: number): Promise<string | null> {
    const before = kills.get(this.#node);
    const rows = 1 + random.below(20);
    const body = lines(
      Array.from({ length: rows }, (_, row) => ({ client: this.#client, number, row })),
    );
    const name = `${this.#client}-${number} at ${this.#node.url}`;
    try {
      const answer = await client.rows(LAKE, TABLE, body, {
        ...{ ack: "stored", timeoutMs: TIMEOUT_MS },
        // One in four without a key, so that some share what is staged.
        ...(number % 4 === 0 ? {} : { key: `${this.#client}-${number}` }),
      });
      if (answer.status === 202 && answer.body.rows === rows) {
        this.stored.push({ number, rows });
        return null;
      }
      if (away.has(this.#node)) return this.#doubt(number);
      return `${name}: ${answer.status} ${answer.bytes.toString().slice(0, 300)}`;
    } catch (error) {
      if (away.has(this.#node) || kills.get(this.#node) !== before) return this.#doubt(number);
      return `${name}: ${String(error)}`;
    }
  }

  #doubt(number: number): null {
    this.doubtful.add(number);
    return null;
  }
}

/** The leader is killed, and started again while another one is elected, or soon after. */
async function killLeader(): Promise<void> {
  const { leader } = await cluster.settled();
  away.add(leader);
  kills.set(leader, (kills.get(leader) ?? 0) + 1);
  await leader.kill();
  await Bun.sleep(random.below(2_000));
  await leader.start();
  away.delete(leader);
}

test("rows are stored through every election, and each is there once", async () => {
  const writers = cluster.nodes.flatMap((node, at) =>
    Array.from({ length: CLIENTS_A_NODE }, (_, i) => new Writer(node, at * CLIENTS_A_NODE + i))
  );
  const running = writers.map((writer) => writer.run());
  await eventually(
    "every writer was answered",
    () => writers.every(({ stored }) => stored.length),
    {
      withinMs: 60_000,
    },
  );
  const answers = () => writers.reduce((sum, { stored }) => sum + stored.length, 0);
  for (let round = 0; round < ROUNDS; round++) {
    const before = answers();
    await killLeader();
    const look = () => answers() >= before + ANSWERS_A_ROUND;
    await eventually("rows are stored again", look, { withinMs: 60_000 });
    expect(writers.flatMap(({ problems }) => problems)).toEqual([]);
  }
  for (const writer of writers) writer.isOver = true;
  await Promise.all(running);
  expect(writers.flatMap(({ problems }) => problems)).toEqual([]);
  await cluster.settled();
  const longest = Math.max(...writers.map(({ longestPauseMs }) => longestPauseMs));
  const doubtful = writers.reduce((sum, writer) => sum + writer.doubtful.size, 0);
  console.log(
    `lake-stored.test.ts: ${answers()} requests stored, ${doubtful} in doubt, ` +
      `longest pause ${Math.round(longest)} ms`,
  );
  for (const node of cluster.nodes) {
    const client = new LakeClient(node.url);
    await eventually("every stored row is there", () => isWhole(client, writers), {
      withinMs: 60_000,
      instead: () => cluster.logs(),
    });
    client.close();
  }
}, 60_000 + ROUNDS * 90_000);

test.skipIf(missing !== null)("stored rows are the same for the real DuckLake", async () => {
  await using judge = await Judge.open();
  const client = new LakeClient(cluster.nodes[1]!.url);
  const ours = await client.select(LAKE, `SELECT count(*), sum("row") FROM ${TABLE}`);
  const catalog = await client.get(`/v1/lakes/${LAKE}/catalog`);
  client.close();
  writeFileSync(judge.path("catalog.db"), catalog.bytes);
  await judge.attached("catalog.db", "READ_ONLY", async () => {
    const theirs = await judge.rows(`SELECT count(*), sum("row") FROM lake.${TABLE}`);
    expect(theirs.flat().map(Number)).toEqual(ours.flat().map(Number));
  });
}, 60_000);

/** Each request that was answered is there once, each in doubt once or not at all, and no other. */
async function isWhole(client: LakeClient, writers: readonly Writer[]): Promise<boolean> {
  const found = await client.select(
    LAKE,
    'SELECT client::INT, number::INT, count(*)::INT, count(DISTINCT "row")::INT ' +
      `FROM ${TABLE} GROUP BY ALL`,
  ) as [number, number, number, number][];
  const counts = new Map<string, number>();
  for (const [who, number, rows, different] of found) {
    const name = `${who}-${number}`;
    if (rows !== different) throw new Error(`${name} is there ${rows / different} times`);
    const writer = writers[who]!;
    const isOurs = writer.stored.some((one) => one.number === number) ||
      writer.doubtful.has(number);
    if (!isOurs) throw new Error(`${name} was never stored`);
    counts.set(name, rows);
  }
  return writers.every(({ stored }, who) =>
    stored.every(({ number, rows }) => counts.get(`${who}-${number}`) === rows)
  );
}
