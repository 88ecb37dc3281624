/**
 * Programs on the library, in processes of their own: they form one cluster, count exactly, read what
 * they wrote, see who comes and goes, call each other, and leave nothing behind.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { type Cluster, joinCluster, type View } from "../../src/mod.ts";
import { eventually } from "../support/eventually.ts";
import { NodeFolder, survivors } from "../support/node-process.ts";
import { ProgramFolder, type ProgramProcess } from "../support/program-process.ts";

const EXAMPLE = join(import.meta.dir, "../../examples/lol_cluster.ts");

let folder: ProgramFolder;

beforeEach(() => {
  folder = new ProgramFolder();
});
afterEach(() => folder.remove());

const latency = { simulate_latency_ms: 20 };

/** Three programs: `a` leads, `c` is in another zone. */
async function three(): Promise<[ProgramProcess, ProgramProcess, ProgramProcess]> {
  const storage = { ...folder.configOf("any").storage, ...latency };
  const a = await folder.start("a", { storage, zone: "north", roles: ["api"] });
  const b = await folder.start("b", { storage, zone: "north", roles: ["worker"] });
  const c = await folder.start("c", { storage, zone: "south", roles: ["worker"] });
  for (const program of [a, b, c]) {
    await eventually("all see all", async () => {
      const { members, leader } = await program.ask("GET", "/view") as View;
      return members.length === 3 && leader?.id === a.id;
    });
  }
  return [a, b, c];
}

const callMember = (program: ProgramProcess, query: string) =>
  program.ask("GET", `/call-member?${query}`);

describe("three programs", () => {
  test("that count at the same time count exactly, and each reads what it wrote", async () => {
    const programs = await three();
    const [a, b] = programs;
    await b.ask("POST", "/prepare");
    const answers = await Promise.all(programs.map((one) => one.ask("POST", "/increment/15")));
    const values = answers.flatMap(({ values }) => values as number[]).sort((x, y) => x - y);
    expect(values).toEqual(Array.from({ length: 45 }, (_, at) => at + 1));
    for (const { values, value } of answers) {
      expect(value.n).toBeGreaterThanOrEqual(Math.max(...values));
    }
    const last = await b.ask("POST", "/increment/1");
    expect(last.value).toEqual({ n: 46 });
    const there = await a.ask("GET", `/counter?min_epoch=${last.epoch}`);
    expect(there).toEqual({ value: { n: 46 }, epoch: last.epoch });
    const infos = await Promise.all(programs.map(async (program) => {
      await program.ask("GET", `/counter?min_epoch=${last.epoch}`);
      return await program.ask("GET", "/v1/databases/app");
    }));
    const heads = new Set(infos.map(({ head, checksum }) => `${head} ${checksum}`));
    expect([...heads]).toEqual([`${last.epoch} ${infos[0].checksum}`]);
    // Each forgot the keys of transactions that it has an answer to.
    const sql = JSON.stringify({ sql: "SELECT count(*) FROM _headgate_requests" });
    const { rows: [[kept]] } = await a.ask("POST", "/v1/databases/app/query", sql);
    expect(kept).toBeLessThan(20);
  }, 120_000);

  test("go on counting when the leader is killed: every transaction is done once", async () => {
    const [a, b, c] = await three();
    await a.ask("POST", "/prepare");
    let done = 0;
    const counting = [b, c].map(async (program) => {
      for (let round = 0; round < 12; round++) {
        await program.ask("POST", "/increment/2");
        done += 2;
      }
    });
    await eventually("some are done", () => done >= 8);
    await a.end("SIGKILL");
    await Promise.all(counting);
    const { epoch } = await b.ask("POST", "/increment/1");
    expect(await c.ask("GET", `/counter?min_epoch=${epoch}`)).toMatchObject({ value: { n: 49 } });
  }, 120_000);

  test("see who joins, who leaves and who leads", async () => {
    const [a, b, c] = await three();
    const sizes = async (program: ProgramProcess) => {
      const views = await program.ask("GET", "/views") as View[];
      return views.filter(({ leader }) => leader !== null).map(({ members }) => members.length);
    };
    expect(await sizes(a)).toEqual([1, 2, 3]);
    await a.end("SIGKILL");
    for (const program of [b, c]) {
      await eventually("the next leader is seen", async () => {
        const { leader, members } = await program.ask("GET", "/view") as View;
        return leader?.id === b.id && members.length === 2;
      });
      const views = await program.ask("GET", "/views") as View[];
      const leaders = views.map(({ leader }) => leader?.id ?? null);
      expect(leaders).toContain(a.id);
      expect(leaders.indexOf(a.id)).toBeLessThan(leaders.lastIndexOf(null));
      expect(leaders.lastIndexOf(null)).toBeLessThan(leaders.indexOf(b.id));
    }
    const { from, to } = await b.ask("POST", "/step-down");
    expect([from, to]).toEqual([b.id, c.id]);
    await eventually("it leads", async () => (await b.ask("GET", "/view")).leader?.id === c.id);
  }, 120_000);

  test("call each other by role, near first, and pass over the dead at once", async () => {
    const [a, b, c] = await three();
    for (let round = 0; round < 10; round++) {
      expect(await callMember(a, "role=worker")).toMatchObject({
        id: b.id,
        caller: { kind: "member", node: a.id },
      });
      expect(await callMember(c, "role=worker")).toMatchObject({ id: c.id });
    }
    expect(await callMember(a, "role=worker&zone=south")).toMatchObject({ id: c.id });
    expect(await callMember(b, `id=${a.id}`)).toMatchObject({ id: a.id });
    await expect(callMember(a, "role=painter")).rejects.toThrow("No member with the role painter");
    await b.end("SIGKILL");
    const from = performance.now();
    for (let round = 0; round < 10; round++) {
      expect(await callMember(a, "role=worker")).toMatchObject({ id: c.id });
    }
    // A call that waited for the dead one would have taken 30 s.
    expect(performance.now() - from).toBeLessThan(15_000);
  }, 120_000);

  test("call the leader, whoever that is by then", async () => {
    const [a, b, c] = await three();
    for (const program of [a, b, c]) {
      expect(await program.ask("POST", "/call-leader", "ünï")).toEqual({
        id: a.id,
        leads: true,
        caller: { kind: "member", node: program.id },
        method: "POST",
        body: "ünï",
      });
    }
    await a.end("SIGKILL");
    const answers = await Promise.all([b, c].map((one) => one.ask("POST", "/call-leader", "")));
    for (const answer of answers) expect(answer).toMatchObject({ id: b.id, leads: true });
  }, 120_000);

  test("serve their routes beside the node's, and share objects of their own", async () => {
    const [a, , c] = await three();
    expect(await a.ask("GET", "/who")).toMatchObject({
      id: a.id,
      caller: { kind: "client", subject: "anonymous" },
    });
    expect((await a.ask("GET", "/v1/cluster")).nodes.length).toBe(3);
    expect(await a.ask("PUT", "/objects/hello", "from a")).toEqual({ created: "created" });
    expect(await c.ask("PUT", "/objects/hello", "from c")).toEqual({ created: "exists" });
    expect(await c.ask("GET", "/objects")).toEqual([["hello", "from a"]]);
    expect(readdirSync(join(folder.store, "app"))).toEqual(["hello"]);
    await expect(c.ask("PUT", "/objects/..%2Fdatabases", "x")).rejects.toThrow("the segment ..");
  }, 120_000);
});

test("a program that closes ends by itself, without children and without memory", async () => {
  const program = await folder.start("a");
  await program.ask("POST", "/prepare");
  await program.ask("POST", "/increment/3");
  const query = JSON.stringify({ sql: "SELECT n FROM counters" });
  expect((await program.ask("POST", "/v1/databases/app/query", query)).rows).toEqual([[3]]);
  const children = program.children();
  expect(children.length).toBeGreaterThan(0);
  expect(readdirSync(folder.memoryOf("a")).length).toBe(1);
  const from = performance.now();
  expect(await program.end("SIGTERM")).toBe(0);
  // A timer that was left would keep it for a minute.
  expect(performance.now() - from).toBeLessThan(20_000);
  expect(await survivors(children, 5_000)).toEqual([]);
  expect(readdirSync(folder.memoryOf("a"))).toEqual([]);
}, 60_000);

test("a program and the binary are one cluster", async () => {
  const nodes = new NodeFolder();
  try {
    const node = await nodes.node({ store: `file://${folder.store}` }).start();
    const program = await folder.start("a");
    await program.ask("POST", "/prepare");
    expect(await program.ask("POST", "/increment/2")).toMatchObject({ value: { n: 2 } });
    const client = node.client();
    expect(await client.rows("app", "SELECT n FROM counters")).toEqual([[2]]);
    client.close();
    await node.kill("SIGTERM");
    expect(await program.ask("POST", "/increment/1")).toMatchObject({ value: { n: 3 } });
  } finally {
    await nodes.remove();
  }
}, 60_000);

test("two clusters in one process do not disturb each other", async () => {
  const other = new ProgramFolder();
  const joined: Cluster[] = [];
  try {
    for (const one of [folder, other]) {
      // They even share the folder of memory, as all nodes of a machine may.
      joined.push(await joinCluster({ ...one.configOf("a"), memory_dir: folder.memoryOf("a") }));
    }
    const [here, there] = joined as [Cluster, Cluster];
    for (const cluster of joined) {
      await cluster.ensureDatabase("app");
      await cluster.transaction("app", (db) => db.run("CREATE TABLE t (id TEXT)").changes);
      await cluster.transaction("app", (db) => db.run("INSERT INTO t VALUES (?)", cluster.id));
    }
    expect(here.view().members.map(({ id }) => id)).toEqual([here.id]);
    await here.close();
    expect(await here.ended).toBe("closed");
    const { value } = await there.read("app", (db) => db.query("SELECT id FROM t").values());
    expect(value).toEqual([[there.id]]);
    await expect(here.transaction("app", (db) => db.query("SELECT 1").get(), { timeoutMs: 500 }))
      .rejects.toMatchObject({ kind: "unavailable" });
  } finally {
    await Promise.all(joined.map((cluster) => cluster.close()));
    await other.remove();
  }
  expect(readdirSync(folder.memoryOf("a"))).toEqual([]);
}, 60_000);

test("the first lines of docs/library.md run as they stand", async () => {
  const page = await Bun.file(join(import.meta.dir, "../../docs/library.md")).text();
  const [, code = ""] = /```ts\n(.*?)```/s.exec(page) ?? [];
  const path = join(folder.path, "first.ts");
  await Bun.write(path, code.replace("../src/mod.ts", join(import.meta.dir, "../../src/mod.ts")));
  const program = folder.run(path, []);
  await program.until(/name: "lamp",\s+stock: 3/);
}, 60_000);

test("the example does what its header says", async () => {
  const run = (command: string) => folder.run(EXAMPLE, [command, "-p", "./lol"]);
  await run("init").until(/The cluster is in .*\.\/lol/);
  expect(existsSync(join(folder.path, "lol/store"))).toBe(true);
  const first = run("leader");
  await first.until(/leader node-\S+, 1 members/);
  const second = run("leader");
  const follower = run("follower");
  for (const program of [first, second, follower]) await program.until(/, 3 members/);
  const [, leader = ""] = /leader (node-\S+), 3 members/.exec(follower.log) ?? [];
  const [, address = ""] = /\(this one\) │ (\S+)/.exec(follower.log) ?? [];
  await eventually("they laugh, and the leader counts", async () => {
    const answer = await (await fetch(`${address}/lol`)).json() as Record<string, unknown>;
    return Number(answer["laughs"]) > 3 && answer["counted_by"] === leader;
  });
  await first.end("SIGKILL");
  for (const program of [second, follower]) await program.until(/term 3, leader \S+, 2 members/);
  expect(await follower.end("SIGINT")).toBe(0);
  expect(await second.end("SIGTERM")).toBe(0);
}, 60_000);
