/**
 * What operators do with nodes, by the command line and three real ones: drain, take back, retire and
 * shut down, a broker and the leader; through restarts and changes of leaders; and a rolling restart
 * under load without one failed request.
 */
import { afterAll, afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { connect } from "node:http2";
import { join } from "node:path";
import type { NodeStatus } from "../../src/http/node.ts";
import { type Answer, Client, must } from "../support/client.ts";
import { commandLine, headgate, type Ran } from "../support/command.ts";
import { eventually } from "../support/eventually.ts";
import { MovingClient } from "../support/moving-client.ts";
import { NodeFolder, type NodeProcess } from "../support/node-process.ts";

/** A read that takes seconds on any machine and ends by itself. */
const SLOW_SQL =
  "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 4000000) " +
  "SELECT count(*) FROM c";
const CLIENTS = 8;
/** What is said within seconds may take longer on a machine that does much else. */
const WAIT_MS = "60000";

const folder = new NodeFolder();
let store: string;
let nodes: NodeProcess[];
let clients: Client[];

beforeEach(async () => {
  store = folder.fileStore();
  clients = [];
  nodes = Array.from(
    { length: 3 },
    () => folder.node({ store, set: { "storage.simulate_latency_ms": 10 } }),
  );
  await nodes[0]!.start();
  await Promise.all(nodes.slice(1).map((node) => node.start()));
  await membersAre(3);
  must(await client(await leader()).create("app"));
  must(await client(await leader()).execute("app", "CREATE TABLE t (id TEXT PRIMARY KEY)"));
});
afterEach(async () => {
  for (const one of clients) one.close();
  await Promise.all(nodes.map((node) => node.kill()));
});
afterAll(() => folder.remove());

describe("a node that is drained", () => {
  test(
    "takes no new work, ends what runs, tells clients to go away, and is taken back",
    async () => {
      const node = (await brokers())[0]!;
      const session = connect(node.url);
      const goneAway = new Promise<true>((resolve) => session.once("goaway", () => resolve(true)));
      session.on("error", () => {});
      await new Promise((resolve) => session.once("connect", resolve));
      const slow = await slowRead(node);

      const { code, out, err } = await update(node, "draining", "--wait", "--timeout", WAIT_MS);
      expect({ code, out: out.replace(/\d+\n/, "N") }).toEqual({
        code: 0,
        out: `${node.id} is drained, in epoch N`,
      });
      expect(err).toMatch(/waiting: .* 1 running/);
      // It is answered by the time that nothing runs.
      expect(must(await slow.answer).rows).toEqual([[4_000_000]]);
      expect(await goneAway).toBe(true);

      const turnedAway = await client(node).query("app", "SELECT 1");
      expect(turnedAway.status).toBe(503);
      expect(turnedAway.headers["retry-after"]).toBe("1");
      expect(turnedAway.body.error).toMatchObject({
        kind: "unavailable",
        details: { reason: "draining" },
      });
      const { status, body } = await client(node).get("/health/ready");
      expect({ status, reasons: body.reasons }).toEqual({
        status: 503,
        reasons: ["the node is draining"],
      });
      expect((await client(node).get("/health/live")).status).toBe(200);

      expect((await update(node, "active", "--wait")).code).toBe(0);
      must(await client(node).execute("app", "INSERT INTO t VALUES ('after')"));
    },
    120_000,
  );

  test("stays so through a restart and a change of leaders", async () => {
    const [node, other] = await brokers();
    expect((await update(node!, "draining", "--wait")).code).toBe(0);
    await node!.kill("SIGTERM");
    await node!.start();
    expect(await refusals(node!)).toEqual(["draining"]);
    expect((await stepDown("--preferred", other!.id)).code).toBe(0);
    await linked(node!);
    expect(await refusals(node!)).toEqual(["draining"]);
    // The next leader knows it, and does not hand over to it.
    expect((await stepDown("--preferred", node!.id)).err).toContain("it is draining");
    expect((await update(node!, "active", "--wait")).code).toBe(0);
    expect(await refusals(node!)).toEqual([]);
  }, 120_000);

  test("and leads has another one lead first, and no write is lost to that", async () => {
    const first = await leader();
    const other = nodes.find((node) => node !== first)!;
    const load = new Load([other]);
    await load.more(100);
    expect((await update(first, "draining", "--wait", "--timeout", WAIT_MS)).code).toBe(0);
    expect((await leader()).id).not.toBe(first.id);
    expect(await refusals(first)).toEqual(["draining"]);
    await load.more(100);
    await load.expectAllWritten();
  }, 120_000);

  test("and is the only one leads on, and hands over to the first that comes", async () => {
    const first = await leader();
    for (const node of await brokers()) {
      await update(node, "shutdown", "--wait", "--timeout", WAIT_MS);
    }
    await membersAre(1);
    expect((await update(first, "draining", "--wait")).code).toBe(0);
    expect((await leader()).id).toBe(first.id);
    const next = nodes.find((node) => node !== first)!;
    await next.start();
    expect((await update(next, "active", "--wait", "--timeout", WAIT_MS)).code).toBe(0);
    await eventually("the other one leads", async () => (await leader()).id === next.id);
  }, 120_000);
});

describe("a node that retires", () => {
  test(
    "leaves the roster and the store, answers health, and comes back when it is told",
    async () => {
      for (const node of [(await brokers())[0]!, await leader()]) {
        expect((await update(node, "retiring", "--wait", "--timeout", WAIT_MS)).code).toBe(0);
        await membersAre(2);
        await eventually("its file is gone", () => !existsSync(brokerFile(node)));
        expect((await client(node).get("/health/live")).status).toBe(200);
        expect((await client(node).get("/health/ready")).body.state).toBe("retiring");
        // A restart changes nothing: it is never seen.
        await node.kill("SIGTERM");
        await node.start();
        expect(existsSync(brokerFile(node))).toBe(false);
        await membersAre(2);
        const { code } = await update(node, "active", "--wait", "--timeout", WAIT_MS);
        expect(code).toBe(0);
        expect(existsSync(brokerFile(node))).toBe(true);
        must(await client(node).execute("app", "INSERT INTO t VALUES (?)", [node.id]));
      }
    },
    180_000,
  );
});

describe("a node that is shut down", () => {
  test("ends with 0 when what runs is done, and drains when it is started again", async () => {
    for (const node of [(await brokers())[0]!, await leader()]) {
      const ended = node.ended();
      const slow = await slowRead(node);
      const { code } = await update(node, "shutdown", "--wait", "--timeout", WAIT_MS);
      expect(code).toBe(0);
      expect(must(await slow.answer).rows).toEqual([[4_000_000]]);
      expect(await ended).toEqual({ code: 0, signal: null });
      await membersAre(2);
      await node.start();
      expect(await refusals(node)).toEqual(["draining"]);
      // The order was for the process that is gone, whoever leads.
      expect((await stepDown()).code).toBe(0);
      await linked(node);
      expect(await refusals(node)).toEqual(["draining"]);
      expect((await update(node, "active", "--wait")).code).toBe(0);
    }
  }, 180_000);
});

describe("SIGTERM", () => {
  test("at the leader hands over, ends what runs and exits 0", async () => {
    const first = await leader();
    const slow = await slowRead(first);
    expect(await first.kill("SIGTERM")).toEqual({ code: 0, signal: null });
    expect(must(await slow.answer).rows).toEqual([[4_000_000]]);
    expect(first.log).toContain("stepping down");
    expect((await leader()).id).not.toBe(first.id);
  }, 60_000);

  test("a second time ends the process at once", async () => {
    const node = (await brokers())[0]!;
    const slow = await slowRead(node);
    const lost = slow.answer.then(() => "answered", () => "lost");
    const ended = node.ended();
    process.kill(node.pid, "SIGTERM");
    await node.until(/ stopping /, 10_000);
    process.kill(node.pid, "SIGTERM");
    expect(await ended).toEqual({ code: 130, signal: null });
    expect(await lost).toBe("lost");
  }, 60_000);
});

describe("the command line", () => {
  test(
    "needs any node's address or the bucket alone, and says by its exit code how it went",
    async () => {
      const [node] = await brokers();
      for (const where of [["--url", node!.url], ["--store", store]]) {
        const status = await headgate(["cluster", "status", ...where]);
        expect(status.code).toBe(0);
        expect(status.out).toContain(`leader   ${(await leader()).id} at `);
      }
      const members = await headgate(["cluster", "members", "--json", "--store", store]);
      expect(JSON.parse(members.out).members.map(({ id }: NodeStatus) => id))
        .toEqual(nodes.map(({ id }) => id).sort());
      const codeOf = async (...args: string[]) => (await headgate(["cluster", ...args])).code;
      const url = ["--url", node!.url];
      expect(await codeOf("broker", "update", "nobody", "--state", "active", ...url)).toBe(1);
      expect(await codeOf("broker", "update", "node-", "--state", "active", ...url)).toBe(2);
      expect(await codeOf("broker", "update", node!.id, "--state", "gone", ...url)).toBe(2);
      expect(await codeOf("status", "--url", "http://127.0.0.1:9")).toBe(3);
      expect(await codeOf("status", "--store", folder.fileStore())).toBe(1);
      const late = ["draining", "--wait", "--timeout", "1"] as const;
      const slow = await slowRead(node!);
      expect((await update(node!, ...late)).code).toBe(4);
      await slow.answer;
    },
    60_000,
  );

  test("needs no token where it has the bucket, which holds the secret", async () => {
    const guarded = folder.node({ store: folder.fileStore(), set: { "auth.required": "true" } });
    nodes.push(await guarded.start());
    const run = (...args: string[]) => headgate(["cluster", ...args]);
    const bucket = ["--store", guarded.store];
    expect(await run("status", "--url", guarded.url)).toMatchObject({ code: 1, out: "" });
    expect((await run("status", ...bucket)).out).toContain(`leader   ${guarded.id} at `);
    const update = ["broker", "update", guarded.id, "--state", "draining", "--wait"];
    expect((await run(...update, ...bucket)).code).toBe(0);
    const stepDown = await run("leader", "stepdown", ...bucket);
    expect(stepDown).toMatchObject({ code: 1, out: "" });
    expect(stepDown.err).toContain("no other node could lead");
    const wrong = ["--token", "a.b.c"];
    expect((await run("status", ...bucket, ...wrong)).code).toBe(1);
  }, 60_000);

  test("watches through a change of leaders, and ends with ctrl-c", async () => {
    const first = await leader();
    const watch = Bun.spawn(commandLine(["cluster", "watch", "--url", first.url]), {
      stdout: "pipe",
      stderr: "ignore",
    });
    let seen = "";
    const reading = (async () => {
      for await (const bytes of watch.stdout) seen += new TextDecoder().decode(bytes);
    })();
    await eventually("it shows the leader", () => seen.includes(`${first.id} leads`));
    await first.kill("SIGTERM");
    const next = await leader();
    await eventually("it shows the next one", () => seen.includes(`${next.id} leads`), {
      instead: () => seen,
    });
    watch.kill("SIGINT");
    expect(await watch.exited).toBe(0);
    await reading;
    expect(
      seen.split("\n").filter((line) => line !== "").every((line) => /^20.* term \d/.test(line)),
    )
      .toBe(true);
  }, 60_000);
});

test("a rolling restart under load fails no request of clients that move on", async () => {
  const load = new Load(nodes);
  for (const node of nodes) {
    await load.more(100);
    expect((await update(node, "draining", "--wait", "--timeout", WAIT_MS)).code).toBe(0);
    expect(await node.kill("SIGTERM")).toEqual({ code: 0, signal: null });
    await node.start();
    expect((await update(node, "active", "--wait", "--timeout", WAIT_MS)).code).toBe(0);
  }
  await load.expectAllWritten();
  console.log(`${load.answered} requests, ${load.moves} moves, none failed`);
}, 240_000);

/** Writes and reads at those nodes, all the time, by clients that have all their addresses. */
class Load {
  readonly #clients: MovingClient[];
  readonly #running: Promise<void>[];
  readonly #written: string[] = [];
  #isOver = false;

  constructor(at: readonly NodeProcess[]) {
    const urls = at.map(({ url }) => url);
    this.#clients = Array.from({ length: CLIENTS }, (_, index) => new MovingClient(urls, index));
    this.#running = this.#clients.map((one, index) => this.#work(one, index));
  }

  get answered(): number {
    return this.#clients.reduce((sum, { answered }) => sum + answered, 0);
  }

  get moves(): number {
    return this.#clients.reduce((sum, { moves }) => sum + moves, 0);
  }

  /** Resolves when that many more requests are answered. */
  async more(count: number): Promise<void> {
    const aimed = this.answered + count;
    await eventually(`${count} more requests`, () => this.answered >= aimed, {
      instead: () => this.#clients.flatMap(({ failures }) => failures),
    });
  }

  async expectAllWritten(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#running);
    for (const one of this.#clients) one.close();
    expect(this.#clients.flatMap(({ failures }) => failures)).toEqual([]);
    const rows = await client(await leader()).rows("app", "SELECT id FROM t ORDER BY id");
    const found = new Set(rows.map(([id]) => id));
    expect(this.#written.filter((id) => !found.has(id))).toEqual([]);
    expect(this.#written.length).toBeGreaterThan(100);
  }

  async #work(one: MovingClient, index: number): Promise<void> {
    for (let number = 0; !this.#isOver; number++) {
      const id = `${index}-${number}`;
      const statements = [{ sql: "INSERT INTO t VALUES (?)", params: [id] }];
      const written = await one.post("/v1/databases/app/execute", { statements });
      if (written === null) continue;
      this.#written.push(id);
      const sql = "SELECT count(*) FROM t WHERE id = ?";
      const body = { sql, params: [id], level: "session", min_epoch: written.body.epoch };
      const read = await one.post("/v1/databases/app/query", body);
      if (read) expect(read.body.rows).toEqual([[1]]);
    }
  }
}

/** Closed after the test. */
function client(node: NodeProcess): Client {
  const made = new Client(node.url);
  clients.push(made);
  return made;
}

/** Resolves when the read has begun: what comes after it on one connection is answered. */
async function slowRead(node: NodeProcess): Promise<{ readonly answer: Promise<Answer> }> {
  const one = client(node);
  const answer = one.query("app", SLOW_SQL, [], { timeout_ms: 30_000 });
  must(await one.get("/health/live"));
  return { answer };
}

async function roster(): Promise<readonly NodeStatus[]> {
  const answers = await Promise.all(nodes.map(async (node): Promise<Answer | null> => {
    const one = new Client(node.url, { answerMs: 2_000 });
    return await one.get("/v1/cluster").catch(() => null).finally(() => one.close());
  }));
  // The leader alone knows all of it.
  const leads = answers.find((answer) =>
    answer !== null && answer.body.leader?.address === urlOf(answer)
  );
  return leads?.body.nodes ?? [];
}

function urlOf(answer: Answer): string | undefined {
  const id = answer.headers["headgate-node"];
  return nodes.find((node) => existsSync(node.nodeIdPath) && node.id === id)?.url;
}

async function membersAre(count: number): Promise<void> {
  await eventually(`${count} members`, async () => (await roster()).length === count, {
    instead: () => nodes.map(({ url, log }) => `\n--- ${url}\n${log}`).join(""),
  });
}

async function leader(): Promise<NodeProcess> {
  return await eventually("a leader", async () => {
    const found = (await roster()).find(({ role }) => role === "leader");
    return nodes.find((node) => node.url === found?.address);
  });
}

async function brokers(): Promise<NodeProcess[]> {
  const { id } = await leader();
  return nodes.filter((node) => node.id !== id);
}

/** Why the node turns work away; nothing when it does not. */
async function refusals(node: NodeProcess): Promise<string[]> {
  const { status, body } = await client(node).query("app", "SELECT 1");
  return status === 200 ? [] : [body.error.details?.reason ?? body.error.message];
}

async function linked({ id }: NodeProcess): Promise<void> {
  await eventually(
    `${id} is in the roster`,
    async () => (await roster()).some((node) => node.id === id),
  );
}

function brokerFile({ id }: NodeProcess): string {
  return join(store.slice("file://".length), `cluster_state/brokers/${id}.json`);
}

function update(node: NodeProcess, state: string, ...more: string[]): Promise<Ran> {
  const args = ["cluster", "broker", "update", node.id, "--state", state, ...more];
  return headgate([...args, "--store", store]);
}

function stepDown(...more: string[]): Promise<Ran> {
  return headgate(["cluster", "leader", "stepdown", ...more, "--store", store]);
}
