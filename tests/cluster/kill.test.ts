/**
 * A node that is killed at any moment comes back with everything it ever acknowledged: 50 clients
 * write, the process is killed as a power cut would, started again, and the ledger is judged.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { type Client, must } from "../support/client.ts";
import { History, LEDGER_SQL, type Write } from "../support/history.ts";
import { NodeFolder, type NodeProcess, survivors } from "../support/node-process.ts";
import { hasS3, s3Server } from "../support/s3-server.ts";
import { seededRandom, type TestRandom } from "../support/seed.ts";

const CLIENTS = 50;
/** These send with an idempotency key, and send again after the crash until they are certain. */
const WITH_KEY = 15;
const ROUNDS = 20;
const WRITES_A_ROUND = 500;

const folder = new NodeFolder();
const server = await s3Server();
const { random, seed } = seededRandom();
console.log(`kill.test.ts: SEED=${seed}`);

afterAll(() => folder.remove());

const STORES = [
  { name: "the filesystem store", store: () => folder.fileStore(), skip: false },
  {
    name: "the S3 server",
    store: () => hasS3(server) ? server.settings() : "",
    skip: !hasS3(server),
  },
];

for (const { name, store, skip } of STORES) {
  describe.skipIf(skip)(name, () => {
    test("every acknowledged write survives kill -9 at a random moment, each once", async () => {
      const node = await folder.node({ store: store() }).start();
      await makeLedger(node);
      const history = new History("app");
      const writers = Array.from({ length: CLIENTS }, (_, index) => new Writer(index, history));
      for (let round = 1; round <= ROUNDS; round++) {
        const before = history.acknowledged;
        const aimed = before + WRITES_A_ROUND;
        await killWhileWriting(node, writers, () => history.acknowledged >= aimed);
        // In some rounds the next start is killed too, at any of its steps.
        if (random.below(3) === 0) await killWhileStarting(node, random);
        await node.start();
        expect({ round, problems: await problems(node, history) }).toEqual({ round, problems: [] });
        expect(history.acknowledged - before).toBeGreaterThanOrEqual(WRITES_A_ROUND);
      }
      await settleAll(node, writers);
      expect(await problems(node, history)).toEqual([]);
      console.log(
        `${name}: ${history.count("acknowledged")} acknowledged, ${history.count("unknown")} ` +
          `unknown of ${history.size} writes`,
      );
      expect(history.count("acknowledged")).toBeGreaterThanOrEqual(ROUNDS * WRITES_A_ROUND);
      await node.kill();
    }, 400_000);
  });
}

test("no child process survives its parent", async () => {
  const node = await folder.node({ store: folder.fileStore() }).start();
  await makeLedger(node);
  const client = node.client();
  // A reader and a writer that are stuck inside SQLite when their parent dies.
  const stuck = "SELECT count(*) FROM numbers a, numbers b, numbers c, numbers d";
  const numbers = "CREATE TABLE numbers AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL " +
    "SELECT i + 1 FROM n WHERE i < 1000) SELECT i FROM n";
  must(await client.statements("app", [{ sql: numbers }]));
  const open = [
    client.query("app", stuck),
    client.execute("app", `INSERT INTO ledger ${stuck.replace("SELECT", "SELECT 1, 1,")}`),
  ].map((answer) => answer.catch(() => null));
  await Bun.sleep(500);
  const children = node.children();
  expect(children.length).toBeGreaterThanOrEqual(2);
  await node.kill();
  client.close();
  await Promise.all(open);
  expect(await survivors(children, 2_000)).toEqual([]);
}, 60_000);

async function makeLedger(node: NodeProcess): Promise<void> {
  const client = node.client();
  must(await client.create("app"));
  must(await client.statements("app", [{ sql: LEDGER_SQL }]));
  client.close();
}

/** A client that writes one row after another, and tries those again that it has a key for. */
class Writer {
  readonly #index: number;
  readonly #history: History;
  #number = 0;
  /** The write with a key whose outcome is not certain yet. */
  #open: Write | null = null;

  constructor(index: number, history: History) {
    this.#index = index;
    this.#history = history;
  }

  /** Until it is told to stop, or its node is gone. */
  async run(client: Client, isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      const write: Write = this.#open ?? this.#next();
      if (write.key !== undefined) this.#open = write;
      const outcome = await this.#history.write(client, write);
      if (outcome === "acknowledged") this.#open = null;
    }
  }

  /** Sends again what it does not know the outcome of. */
  async settle(client: Client): Promise<void> {
    if (!this.#open) return;
    expect(await this.#history.write(client, this.#open)).toBe("acknowledged");
    this.#open = null;
  }

  #next(): Write {
    const write = { client: this.#index, number: ++this.#number };
    return this.#index < WITH_KEY ? { ...write, key: `${write.client}-${write.number}` } : write;
  }
}

async function killWhileWriting(
  node: NodeProcess,
  writers: readonly Writer[],
  isEnough: () => boolean,
): Promise<void> {
  let over = false;
  const clients = writers.map(() => node.client());
  const running = writers.map((writer, index) => writer.run(clients[index]!, () => over));
  while (!isEnough()) await Bun.sleep(1);
  await Bun.sleep(random.below(60));
  const children = node.children();
  expect(children.length).toBeGreaterThan(0);
  over = true;
  await node.kill();
  await Promise.all(running);
  for (const client of clients) client.close();
  expect(await survivors(children, 2_000)).toEqual([]);
}

async function killWhileStarting(node: NodeProcess, random: TestRandom): Promise<void> {
  const { ended } = await node.launch();
  await Bun.sleep(random.below(400));
  await node.kill();
  await ended;
}

async function settleAll(node: NodeProcess, writers: readonly Writer[]): Promise<void> {
  const client = node.client();
  await Promise.all(writers.map((writer) => writer.settle(client)));
  client.close();
}

async function problems(node: NodeProcess, history: History): Promise<string[]> {
  const client = node.client();
  try {
    return await history.problems(client);
  } finally {
    client.close();
  }
}
