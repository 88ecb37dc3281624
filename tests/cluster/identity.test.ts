/**
 * Who a node is, and who may write: one process a node id, one owner a store. A second process with
 * the same id says so and ends; a node with another id waits while the owner lives, and takes over
 * what the owner acknowledged once it is gone.
 */
import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { cpSync, mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Client, must } from "../support/client.ts";
import { History, LEDGER_SQL } from "../support/history.ts";
import { NodeFolder, type NodeProcess } from "../support/node-process.ts";
import { seededRandom } from "../support/seed.ts";

const folder = new NodeFolder();
const { random, seed } = seededRandom();
console.log(`identity.test.ts: SEED=${seed}`);
const started: NodeProcess[] = [];
afterEach(async () => {
  for (const node of started.splice(0)) await node.kill();
});
afterAll(() => folder.remove());

/** The issue asks for 2 s; a loaded machine gets more before the test is red. */
const TAKEOVER_MS = 2_000;

describe("one node id", () => {
  test("a second process with the same file says so and exits 1, and nothing is lost", async () => {
    const { store, first, client, history } = await running();
    const second = node({ store, nodeIdPath: first.nodeIdPath });
    expect(await endOf(second)).toEqual({ code: 1, signal: null });
    expect(second.log).toContain(`the node id in ${first.nodeIdPath} is in use`);
    await expectUndisturbed(first, client, history);
    client.close();
  }, 60_000);

  test(
    "a second process with a copy of the id says so and exits 1, and nothing is lost",
    async () => {
      const { store, first, client, history } = await running();
      const second = node({ store });
      mkdirSync(dirname(second.nodeIdPath), { recursive: true });
      cpSync(first.nodeIdPath, second.nodeIdPath);
      expect(await endOf(second)).toEqual({ code: 1, signal: null });
      expect(second.log).toContain(`the node id ${first.id} is in use at ${first.url}`);
      await expectUndisturbed(first, client, history);
      client.close();
    },
    60_000,
  );

  test("a second process with a copy of a follower's id leaves that one its file", async () => {
    const { store, first, client, history } = await running();
    const follower = await node({ store }).start();
    const file = join(new URL(store).pathname, "cluster_state/brokers", `${follower.id}.json`);
    const before = readFileSync(file, "utf8");
    const second = node({ store });
    mkdirSync(dirname(second.nodeIdPath), { recursive: true });
    cpSync(follower.nodeIdPath, second.nodeIdPath);
    expect(await endOf(second)).toEqual({ code: 1, signal: null });
    expect(second.log).toContain(`the node id ${follower.id} is in use at ${follower.url}`);
    expect(readFileSync(file, "utf8")).toBe(before);
    await expectUndisturbed(first, client, history);
    client.close();
  }, 60_000);

  test(
    "a process that slept while another took its id ends when it wakes, and nothing is lost",
    async () => {
      const { store, first, client, history } = await running();
      const second = node({ store });
      mkdirSync(dirname(second.nodeIdPath), { recursive: true });
      cpSync(first.nodeIdPath, second.nodeIdPath);
      const asleep = first.ended();
      first.signal("SIGSTOP");
      const late = history.write(client, { client: 1, number: 1 });
      await second.start();
      const next = second.client();
      expect(await history.write(next, { client: 0, number: 100 })).toBe("acknowledged");
      first.signal("SIGCONT");
      expect(await late).not.toBe("acknowledged");
      expect(await asleep).toEqual({ code: 1, signal: null });
      expect(first.log).toContain(`The node id ${second.id} is in use`);
      expect(await history.problems(next)).toEqual([]);
      next.close();
      client.close();
    },
    60_000,
  );
});

describe("another node", () => {
  test("waits while the owner lives: it reads, and has the owner write", async () => {
    const { store, first, client, history } = await running();
    const second = await node({ store }).start();
    const other = second.client();
    expect(await history.problems(other)).toEqual([]);
    expect(await history.write(other, { client: 0, number: 49 })).toBe("acknowledged");
    const create = await other.create("more");
    expect([create.status, create.headers["location"]]).toEqual([307, `${first.url}/v1/databases`]);
    const proved = await other.query("app", "SELECT max(number) FROM ledger", [], {
      level: "linearizable",
    });
    expect(must(proved).rows).toEqual([[49]]);
    // What the owner writes from now on arrives, and so does a new database.
    expect(await history.write(client, { client: 0, number: 50 })).toBe("acknowledged");
    const { epoch } = must(await client.execute("app", "PRAGMA user_version = 7"));
    const session = await other.query("app", "PRAGMA user_version", [], { min_epoch: epoch });
    expect(must(session)).toMatchObject({ rows: [[7]] });
    expect(await history.problems(other)).toEqual([]);
    const { leader, term } = must(await other.get("/v1/cluster"));
    expect({ leader, term }).toEqual({ leader: { id: first.id, address: first.url }, term: 1 });
    await expectUndisturbed(first, client, history);
    other.close();
    client.close();
  }, 60_000);

  test(
    "that waits takes over within 2 s of the owner's death, with every acknowledged write",
    async () => {
      const { store, first, client, history } = await running();
      const second = await node({ store }).start();
      await expectTakeover({ first, second, client, history });
    },
    60_000,
  );

  test("that starts after the owner's death takes over at once", async () => {
    const { store, first, client, history } = await running();
    await first.kill();
    const second = await node({ store }).start();
    await expectTakeover({ first, second, client, history });
  }, 60_000);

  test("writes no more to its old chain when it wakes as the owner before", async () => {
    const { store, first, client, history } = await running({
      "cluster_mode.leader_stale_threshold_secs": 2,
    });
    first.signal("SIGSTOP");
    const second = await node({
      store,
      set: { "cluster_mode.leader_stale_threshold_secs": 2 },
    }).start();
    await second.until(/this node leads/, 20_000);
    const next = second.client();
    expect(await history.write(next, { client: 2, number: 1 })).toBe("acknowledged");
    first.signal("SIGCONT");
    // Refused, unknown, or passed on to the new owner, where it must then be.
    await history.write(client, { client: 3, number: 1 });
    // It goes on as a follower in the same process (I8).
    await eventually(async () => {
      const { body } = await client.get("/v1/cluster");
      return body.leader?.id === second.id;
    });
    expect(await history.write(client, { client: 3, number: 2 })).toBe("acknowledged");
    expect(await history.problems(next)).toEqual([]);
    await eventually(async () => (await history.problems(client)).length === 0);
    // And it does not take back what a living owner has.
    await Bun.sleep(1_500);
    expect(must(await next.get("/v1/cluster"))).toMatchObject({
      leader: { id: second.id },
      term: 2,
    });
    next.close();
    client.close();
  }, 60_000);
});

test(
  "two nodes that are killed or stopped in turn under load lose and double nothing",
  async () => {
    const store = folder.fileStore();
    const set = { "cluster_mode.leader_stale_threshold_secs": 2 };
    const nodes = [await node({ store, set }).start(), await node({ store, set }).start()];
    const first = nodes[0]!.client();
    must(await first.create("app"));
    must(await first.execute("app", LEDGER_SQL));
    first.close();
    const history = new History("app");
    const load = writers(nodes, history);
    for (let round = 0; round < 8; round++) {
      const [leader, other] = round % 2 === 0 ? [nodes[0]!, nodes[1]!] : [nodes[1]!, nodes[0]!];
      const aimed = history.acknowledged + 200;
      await eventually(() => Promise.resolve(history.acknowledged >= aimed));
      await Bun.sleep(random.below(200));
      const stops = round % 4 >= 2;
      if (stops) leader.signal("SIGSTOP");
      else await leader.kill();
      const since = other.log.length;
      const leads = () => Promise.resolve(/this node leads/.test(other.log.slice(since)));
      await eventually(leads, () => `round ${round}, ${other.url} does not lead: ${logs(nodes)}`);
      if (stops) leader.signal("SIGCONT");
      else await leader.start();
    }
    await load.stop();
    // The one that woke last has had no request since, and finds out all the same.
    for (const one of nodes) {
      const client = one.client();
      const problems = () => history.problems(client);
      await eventually(
        async () => (await problems()).length === 0,
        async () => `${one.url}: ${await problems()}: ${logs(nodes)}`,
      );
      const term = async () => must(await client.get("/v1/cluster")).term;
      await eventually(async () => await term() === 9, () => `${one.url}: ${logs(nodes)}`);
      client.close();
    }
    console.log(`${history.acknowledged} acknowledged, ${history.count("unknown")} unknown`);
    expect(history.acknowledged).toBeGreaterThan(1_600);
  },
  110_000,
);

test("processes that start at once leave each other's memory alone", async () => {
  const base = join(folder.path, "racers");
  const script = join(import.meta.dir, "../support/memory-folder-racer.ts");
  const racers = ["a", "b", "c"].map((name) =>
    Bun.spawn([process.execPath, script, base, name, "300"], { stdout: "pipe", stderr: "inherit" })
  );
  for (const racer of racers) {
    expect(JSON.parse(await new Response(racer.stdout).text())).toEqual([]);
    await racer.exited;
  }
}, 60_000);

/** Ten clients that write at the node which takes writes, each with a key, until told to stop. */
function writers(nodes: readonly NodeProcess[], history: History) {
  let over = false;
  const running = Array.from({ length: 10 }, async (_, index) => {
    const clients = nodes.map((one) => one.client());
    let at = 0;
    for (let number = 1; !over; number++) {
      // The same key until it is certain: both nodes must know it.
      const write = { client: index, number, key: `${index}-${number}` };
      const more = { timeout_ms: 1_000 };
      while (await history.write(clients[at]!, write, more) !== "acknowledged" && !over) {
        at = 1 - at;
        await Bun.sleep(20);
      }
    }
    for (const client of clients) client.close();
  });
  return {
    stop: async () => {
      over = true;
      await Promise.all(running);
    },
  };
}

function logs(nodes: readonly NodeProcess[]): string {
  return nodes.map((one) => `\n--- ${one.url}\n${one.log}`).join("");
}

type Options = Parameters<NodeFolder["node"]>[0];

function node(options: Options): NodeProcess {
  const made = folder.node(options);
  started.push(made);
  return made;
}

/** An owner with a database and some acknowledged writes. */
async function running(set: Record<string, number> = {}) {
  const store = folder.fileStore();
  const first = await node({ store, set }).start();
  const client = first.client();
  must(await client.create("app"));
  must(await client.execute("app", LEDGER_SQL));
  const history = new History("app");
  for (let number = 1; number <= 20; number++) {
    expect(await history.write(client, { client: 0, number })).toBe("acknowledged");
  }
  return { store, first, client, history };
}

async function endOf(node: NodeProcess) {
  const { ended } = await node.launch();
  const end = await Promise.race([ended, Bun.sleep(15_000)]);
  if (!end) throw new Error(`the process goes on:\n${node.log}`);
  return end;
}

async function expectUndisturbed(
  first: NodeProcess,
  client: Client,
  history: History,
): Promise<void> {
  expect(await history.write(client, { client: 7, number: 7 })).toBe("acknowledged");
  expect(await history.problems(client)).toEqual([]);
  const { leader, term } = must(await client.get("/v1/cluster"));
  expect({ id: leader.id, term }).toEqual({ id: first.id, term: 1 });
}

interface Takeover {
  readonly first: NodeProcess;
  readonly second: NodeProcess;
  readonly client: Client;
  readonly history: History;
}

/** Kills the owner, if it lives, and writes at the other until that is acknowledged. */
async function expectTakeover({ first, second, client, history }: Takeover): Promise<void> {
  const next = second.client();
  await first.kill();
  const killedMs = performance.now();
  for (let number = 101;; number++) {
    if (await history.write(next, { client: 0, number }) === "acknowledged") break;
    if (performance.now() - killedMs > 20_000) throw new Error(`nobody took over:\n${second.log}`);
    await Bun.sleep(10);
  }
  const ms = performance.now() - killedMs;
  console.log(`taken over ${Math.round(ms)} ms after the owner was gone`);
  expect(ms).toBeLessThan(TAKEOVER_MS);
  expect(await history.problems(next)).toEqual([]);
  expect(must(await next.get("/v1/cluster"))).toMatchObject({ leader: { id: second.id }, term: 2 });
  next.close();
  client.close();
}

/** `why` says what there is instead, for the message of the failure. */
async function eventually(
  isSo: () => Promise<boolean>,
  why: () => unknown = () => "",
): Promise<void> {
  const deadlineMs = performance.now() + 15_000;
  while (!(await isSo())) {
    if (performance.now() > deadlineMs) {
      throw new Error(`it did not become so within 15 s: ${await why()}`);
    }
    await Bun.sleep(50);
  }
}
