/** The workspace with its real child processes. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Clock, systemClock } from "../../../src/base/clock.ts";
import { CHILD_IDLE_MS } from "../../../src/base/limits.ts";
import { silentLog } from "../../../src/base/log.ts";
import type { Child, Children } from "../../../src/database/child.ts";
import { createChildren } from "../../../src/database/child-process.ts";
import { createImage } from "../../../src/database/image-builder.ts";
import type { Image } from "../../../src/database/image.ts";
import type { WriteRequest } from "../../../src/database/statement.ts";
import type { Answer, Taken, TakeOptions, Workspace } from "../../../src/database/workspace.ts";
import { openWorkspace } from "../../../src/database/writer.ts";
import { type Line, Pages, request as plainRequest } from "./workspace-harness.ts";

const MAIN = join(import.meta.dir, "../../../main.ts");

let directory: string;
let children: Children;
/** The children that were started, the newest last. */
let started: Child[];
let workspace: Workspace;
let pages: Pages;
let nextId: number;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "headgate-writer-"));
  const real = createChildren({
    command: [process.execPath, MAIN],
    clock: systemClock,
    log: silentLog,
    directory: join(directory, "children"),
  });
  children = {
    start: (role, handlers) => {
      const child = real.start(role, handlers);
      started.push(child);
      return child;
    },
    warm: () => {},
    close: () => real.close(),
  };
});

afterAll(async () => {
  await children.close();
  rmSync(directory, { recursive: true, force: true });
});

beforeEach(async () => {
  started = [];
  nextId = 0;
  pages = new Pages(4096);
  workspace = await open(null);
  await batch(request("CREATE TABLE t(id INTEGER PRIMARY KEY, a)"));
});

afterEach(async () => await workspace.close());

function open(
  image: Image | null,
  clock: Clock = systemClock,
  pageSize = 4096,
  clockOffsetMs?: () => number,
) {
  return openWorkspace({
    ...(clockOffsetMs && { clockOffsetMs }),
    directory: join(directory, "workspace"),
    image,
    pageSize,
    children,
    clock,
    log: silentLog,
    name: "orders",
  });
}

/** Of the given statements, with a deadline `timeoutMs` from now. */
function request(...lines: Line[]): WriteRequest {
  return within(5_000, ...lines);
}

function within(timeoutMs: number, ...lines: Line[]): WriteRequest {
  return { ...plainRequest(...lines), deadlineMs: systemClock.monotonicMs() + timeoutMs };
}

function execute(...requests: WriteRequest[]): number[] {
  const items = requests.map((request) => ({ id: nextId++, request }));
  workspace.execute(items);
  return items.map(({ id }) => id);
}

async function take(options: Partial<TakeOptions> = {}): Promise<Taken> {
  const taken = await workspace.take({ kind: "data", timestampMs: 1, nodeId: 7n, ...options });
  if (taken.epoch !== null) {
    const { header, fileChecksum } = pages.apply(taken.epoch.bytes);
    expect(fileChecksum).toBe(taken.epoch.fileChecksum);
    expect(header.maxEpoch).toBe(taken.epoch.number);
    expect(header.databaseChecksum).toBe(taken.epoch.databaseChecksum);
  }
  return taken;
}

async function batch(...requests: WriteRequest[]): Promise<Taken> {
  execute(...requests);
  return await take();
}

const insert = (id: number) => request(["INSERT INTO t VALUES (?, 'row')", id]);
const rows = () => pages.values("SELECT id FROM t ORDER BY id").flat();
const kinds = (taken: Taken) => taken.answers.map((answer) => answer.kind);
const endless = "WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c) ";

function failureOf(answer: Answer | undefined) {
  if (answer?.kind !== "failed") throw new Error(`no failure: ${JSON.stringify(answer)}`);
  return answer.failure;
}

test("requests given in many calls come back in order, in one epoch", async () => {
  for (let id = 1; id <= 50; id++) execute(insert(id));
  await workspace.settled();
  execute(insert(51));
  const { epoch, answers } = await take();
  expect(epoch?.number).toBe(2);
  expect(answers.map(({ id }) => id)).toEqual(Array.from({ length: 51 }, (_, index) => index + 1));
  expect(rows().length).toBe(51);
});

test("what is executed during a take belongs to the next batch", async () => {
  execute(insert(1));
  const first = take();
  execute(insert(2));
  expect((await first).answers.length).toBe(1);
  expect(rows()).toEqual([1]);
  expect((await take()).answers.length).toBe(1);
  expect(rows()).toEqual([1, 2]);
});

test("an empty take gives nothing", async () => {
  expect(await take()).toEqual({ epoch: null, answers: [], putOff: [] });
});

test("large epochs and large answers come through files that are gone afterwards", async () => {
  const { answers, epoch } = await batch(
    request("INSERT INTO t VALUES (1, randomblob(3000000))"),
    request("SELECT hex(a) FROM t"),
  );
  expect(epoch?.bytes.length).toBeGreaterThan(3_000_000);
  const answer = answers[1];
  if (answer?.kind !== "done") throw new Error("no result");
  expect(answer.result.length).toBeGreaterThan(6_000_000);
  expect(readdirSync(join(directory, "workspace")).sort()).toEqual([
    "progress",
    "workspace.db",
    "workspace.db-wal",
  ]);
});

describe("a request that runs into its deadline", () => {
  test("fails alone, at its deadline, and is told of at once", async () => {
    const told: number[] = [];
    workspace.onEnded((id) => told.push(id));
    const startMs = performance.now();
    const ids = execute(
      insert(1),
      within(300, `${endless} INSERT INTO t SELECT x + 100, randomblob(10) FROM c`),
      insert(2),
    );
    await workspace.settled();
    const tookMs = performance.now() - startMs;
    expect(told).toEqual([ids[1] ?? -1]);
    expect(tookMs).toBeGreaterThan(290);
    expect(tookMs).toBeLessThan(1_500);
    const taken = await take();
    expect(kinds(taken)).toEqual(["done", "failed", "done"]);
    expect(failureOf(taken.answers[1])).toMatchObject({
      kind: "unavailable",
      details: { reason: "deadline" },
    });
    expect(rows()).toEqual([1, 2]);
    expect(started.length).toBe(2);
  });

  test("does so during a take as well, and the batch after it loses nothing", async () => {
    execute(insert(1), within(200, `${endless} SELECT count(*) FROM c`));
    const taking = take();
    execute(insert(2));
    expect(kinds(await taking)).toEqual(["done", "failed"]);
    expect(kinds(await take())).toEqual(["done"]);
    expect(rows()).toEqual([1, 2]);
  });

  test("takes nothing along of the epochs before it", async () => {
    for (let id = 1; id <= 5; id++) await batch(insert(id));
    const { answers } = await batch(insert(6), within(100, `${endless} SELECT count(*) FROM c`));
    expect(answers.length).toBe(2);
    await batch(insert(7));
    expect(rows()).toEqual([1, 2, 3, 4, 5, 6, 7]);
  });

  test("two in one batch fail, the others succeed though their own deadlines passed", async () => {
    const taken = await batch(
      within(150, ["INSERT INTO t VALUES (1, 'x')"]),
      within(150, `${endless} SELECT count(*) FROM c`),
      within(150, ["INSERT INTO t VALUES (2, 'x')"]),
      within(150, `${endless} SELECT count(*) FROM c`),
      within(150, ["INSERT INTO t VALUES (3, 'x')"]),
    );
    expect(kinds(taken)).toEqual(["done", "failed", "done", "failed", "done"]);
    expect(rows()).toEqual([1, 2, 3]);
  });
});

test("a slow request that waited behind a runaway one is not ended with it", async () => {
  const slow = `WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c LIMIT 600000) `;
  const taken = await batch(
    within(120, `${endless} SELECT count(*) FROM c`),
    within(120, `${slow} SELECT count(*) FROM c`),
    within(120, `${slow} SELECT sum(x) FROM c`),
  );
  expect(kinds(taken)).toEqual(["failed", "done", "done"]);
});

describe("a request that exceeds a limit", () => {
  test("of memory is too large, and fails alone", async () => {
    const taken = await batch(
      insert(1),
      within(20_000, `${endless} SELECT hex(zeroblob(10000000)) FROM c`),
      insert(2),
    );
    expect(kinds(taken)).toEqual(["done", "failed", "done"]);
    expect(failureOf(taken.answers[1]).kind).toBe("too_large");
    expect(rows()).toEqual([1, 2]);
  }, 30_000);

  test("of an epoch, alone, is too large and leaves nothing", async () => {
    const epochBytesMax = 1024 * 1024;
    await batch(request("INSERT INTO t VALUES (1, randomblob(3000000))"));
    const before = pages.values("SELECT hex(a) FROM t");
    const change = request("UPDATE t SET a = randomblob(3000000) WHERE id = 1");
    execute(request("SELECT 1"), change, insert(3));
    const taken = await take({ epochBytesMax });
    expect(kinds(taken)).toEqual(["done", "failed", "done"]);
    expect(failureOf(taken.answers[1])).toMatchObject({
      kind: "too_large",
      details: { reason: "epoch", limit_bytes: epochBytesMax },
    });
    expect(taken.putOff).toEqual([]);
    expect(pages.values("SELECT hex(a) FROM t WHERE id = 1")).toEqual(before);
    expect(rows()).toEqual([1, 3]);
  }, 20_000);

  test("of an epoch, behind others, is put off before it is refused", async () => {
    const epochBytesMax = 1024 * 1024;
    await batch(request("INSERT INTO t VALUES (1, randomblob(3000000))"));
    const change = request("UPDATE t SET a = randomblob(3000000) WHERE id = 1");
    const ids = execute(insert(2), change, insert(3));
    expect((await take({ epochBytesMax })).putOff).toEqual(ids.slice(1));
    execute(change, insert(3));
    expect(kinds(await take({ epochBytesMax }))).toEqual(["failed", "done"]);
    expect(rows()).toEqual([1, 2, 3]);
  }, 20_000);

  test("of an epoch together with others is put off, and fits the next", async () => {
    const epochBytesMax = 1024 * 1024;
    for (const id of [1, 2, 3]) {
      await batch(request(["INSERT INTO t VALUES (?, randomblob(600000))", id]));
    }
    const change = (id: number) => request(["UPDATE t SET a = zeroblob(600000) WHERE id = ?", id]);
    const ids = execute(change(1), change(2), insert(9));
    const taken = await take({ epochBytesMax });
    expect(taken.answers.map(({ id }) => id)).toEqual(ids.slice(0, 1));
    expect(taken.putOff).toEqual(ids.slice(1));
    const next = await batch(change(2), insert(9));
    expect(kinds(next)).toEqual(["done", "done"]);
    expect(pages.values("SELECT id FROM t WHERE a = zeroblob(600000)").flat()).toEqual([1, 2]);
    expect(pages.values("SELECT count(*) FROM t")).toEqual([[4]]);
  });
});

describe("a child that dies", () => {
  test("between batches is replaced, and nothing is lost", async () => {
    await batch(insert(1));
    started.at(-1)?.kill();
    await started.at(-1)?.exited;
    await batch(insert(2));
    expect(rows()).toEqual([1, 2]);
  });

  test("with an open batch is replaced, and the batch runs again", async () => {
    await batch(insert(1));
    execute(insert(2), request("DELETE FROM t WHERE id = 1"));
    await workspace.settled();
    process.kill(started.at(-1)?.pid ?? 0, "SIGKILL");
    await started.at(-1)?.exited;
    execute(insert(3));
    const taken = await take();
    expect(kinds(taken)).toEqual(["done", "done", "done"]);
    expect(rows()).toEqual([2, 3]);
  });

  test("at any moment of many batches loses and doubles nothing", async () => {
    let id = 1;
    for (let round = 0; round < 15; round++) {
      for (let index = 0; index < 40; index++) execute(insert(id++));
      const child = started.at(-1);
      setTimeout(() => child?.kill(), Math.random() * 6);
      const taken = await take();
      expect(kinds(taken).every((kind) => kind === "done")).toBe(true);
      if (round % 5 === 0) {
        await batch(request("UPDATE t SET a = randomblob(200000) WHERE id < 9"));
      }
    }
    expect(rows().length).toBe(id - 1);
  }, 30_000);

  test("before the first take leaves a new database that is made anew", async () => {
    await workspace.close();
    pages = new Pages(4096);
    workspace = await open(null);
    execute(request("CREATE TABLE t(id INTEGER PRIMARY KEY, a)"), insert(1));
    await workspace.settled();
    process.kill(started.at(-1)?.pid ?? 0, "SIGKILL");
    const { epoch } = await take({ kind: "claim" });
    expect(epoch?.number).toBe(1);
    expect(rows()).toEqual([1]);
  });

  test("after idling is let go and started again at the next use", async () => {
    await workspace.close();
    pages = new Pages(4096);
    let aheadMs = 0;
    const timers: (() => void)[] = [];
    const clock: Clock = {
      ...systemClock,
      monotonicMs: () => systemClock.monotonicMs() + aheadMs,
      after: (ms, callback) => {
        if (ms < CHILD_IDLE_MS / 4) return systemClock.after(ms, callback);
        timers.push(callback);
        return () => timers.splice(timers.indexOf(callback), 1);
      },
    };
    workspace = await open(null, clock);
    await batch(request("CREATE TABLE t(id INTEGER PRIMARY KEY, a)"), insert(1));
    const child = started.at(-1);
    aheadMs += CHILD_IDLE_MS + 1;
    timers.pop()?.();
    await batch({ ...insert(2), deadlineMs: Number.MAX_SAFE_INTEGER });
    expect(started.at(-1)).not.toBe(child);
    await child?.exited;
    expect(rows()).toEqual([1, 2]);
  });
});

describe("over an image", () => {
  async function image(): Promise<Image> {
    const { head } = pages;
    if (head === null) throw new Error("nothing was taken");
    const builder = await createImage({
      path: join(directory, "image.db"),
      pageSize: 4096,
      clock: systemClock,
      log: silentLog,
    });
    const all = [...pages.pages].map(([number, bytes]) => ({ number, bytes }));
    await builder.write(all, head.header.commit);
    return await builder.finish({
      epoch: head.header.maxEpoch,
      commit: head.header.commit,
      databaseChecksum: head.header.databaseChecksum,
      fileChecksum: head.fileChecksum,
      timestampMs: head.header.timestampMs,
    });
  }

  test("the chain goes on where the image stands", async () => {
    await batch(insert(1));
    await workspace.close();
    const from = await image();
    workspace = await open(from);
    const { epoch } = await batch(insert(2));
    expect(epoch?.number).toBe(3);
    expect(rows()).toEqual([1, 2]);
    await from.close();
  });

  test("a rewrite to empty keeps the machinery's rows and the numbers [I14]", async () => {
    await batch(
      { ...insert(1), idempotencyKey: "k" },
      { ...request("INSERT INTO _headgate_claims(epoch) VALUES (1)"), trusted: true },
    );
    const cookie = Number(pages.values("PRAGMA schema_version")[0]?.[0]);
    const rewritten = await workspace.rewrite({
      source: "empty",
      keepRequests: false,
      kind: "tombstone",
      timestampMs: 5,
      nodeId: 7n,
    });
    expect(statSync(rewritten.path).size).toBe(rewritten.size);
    const epoch = pages.apply(readFileSync(rewritten.path));
    expect(epoch.header).toMatchObject({ kind: "tombstone", maxEpoch: 3 });
    expect(epoch.fileChecksum).toBe(rewritten.fileChecksum);
    expect(pages.values("SELECT name FROM sqlite_schema ORDER BY 1").flat()).toEqual([
      "_headgate_claims",
      "_headgate_requests",
    ]);
    expect(pages.values("SELECT epoch FROM _headgate_claims")).toEqual([[1]]);
    expect(pages.values("SELECT count(*) FROM _headgate_requests")).toEqual([[0]]);
    expect(pages.values("PRAGMA schema_version")).toEqual([[cookie + 1]]);
    await expect(workspace.settled()).rejects.toThrow("rewritten");
    // And a workspace over the result goes on.
    await workspace.close();
    const from = await image();
    workspace = await open(from);
    await batch(request("CREATE TABLE t(id INTEGER PRIMARY KEY, a)"), insert(5));
    expect(pages.head?.header.maxEpoch).toBe(4);
    expect(rows()).toEqual([5]);
    await from.close();
  });

  test("a kept answer is dated by the store's clock [I11]", async () => {
    await workspace.close();
    pages = new Pages(4096);
    const hourMs = 3_600_000;
    workspace = await open(null, systemClock, 4096, () => hourMs);
    const beforeMs = Date.now() + hourMs;
    await batch({ ...request("CREATE TABLE t(id, a)"), idempotencyKey: "k" });
    const [[at]] = pages.values("SELECT at FROM _headgate_requests") as [[number]];
    expect(at).toBeGreaterThanOrEqual(beforeMs);
    expect(at).toBeLessThanOrEqual(Date.now() + hourMs);
  });

  test("a rewrite to a file takes its content and not its machinery", async () => {
    await batch({ ...insert(1), idempotencyKey: "k" });
    const path = join(directory, "source.db");
    rmSync(path, { force: true });
    const source = new Database(path);
    source.run("PRAGMA page_size = 4096");
    source.run("PRAGMA journal_mode = WAL");
    source.run("CREATE TABLE mine(a)");
    source.run("INSERT INTO mine VALUES (randomblob(100000))");
    source.run("CREATE TABLE _headgate_claims(epoch, other)");
    source.run("CREATE VIEW _HEADGATE_view AS SELECT 1");
    source.run("CREATE TRIGGER tr AFTER DELETE ON _headgate_claims BEGIN DELETE FROM mine; END");
    source.run("INSERT INTO _headgate_claims VALUES (9, 9)");
    source.close();
    const before = readFileSync(path);
    const rewritten = await workspace.rewrite({
      source: { path },
      keepRequests: true,
      kind: "data",
      timestampMs: 5,
      nodeId: 7n,
    });
    expect(readFileSync(path).equals(before)).toBe(true);
    pages.apply(readFileSync(rewritten.path));
    expect(pages.values("SELECT name FROM sqlite_schema ORDER BY 1").flat()).toEqual([
      "_headgate_claims",
      "_headgate_requests",
      "mine",
    ]);
    expect(pages.values("SELECT count(*) FROM _headgate_claims")).toEqual([[0]]);
    expect(pages.values("SELECT key FROM _headgate_requests")).toEqual([["k"]]);
    expect(pages.values("SELECT length(a) FROM mine")).toEqual([[100_000]]);
  });

  const wrong: [string, string, string[]][] = [
    ["another page size", "conflict", ["PRAGMA page_size = 1024", "CREATE TABLE a(b)"]],
    ["UTF-16", "invalid", ["PRAGMA encoding = 'UTF-16'", "CREATE TABLE a(b)"]],
    ["what is no database", "invalid", []],
  ];
  for (const [name, kind, statements] of wrong) {
    test(`a rewrite to ${name} is refused, and the workspace goes on`, async () => {
      const path = join(directory, "wrong.db");
      rmSync(path, { force: true });
      if (statements.length === 0) await Bun.write(path, "this is not a database".repeat(300));
      else {
        const source = new Database(path);
        for (const sql of statements) source.run(sql);
        source.close();
      }
      const rewriting = workspace.rewrite({
        source: { path },
        keepRequests: true,
        kind: "data",
        timestampMs: 5,
        nodeId: 7n,
      });
      await expect(rewriting).rejects.toMatchObject({ kind });
      await batch(insert(1));
      expect(rows()).toEqual([1]);
    });
  }
});

test("closing rejects what is pending and leaves neither files nor a process", async () => {
  execute(within(60_000, `${endless} SELECT count(*) FROM c`));
  const settled = workspace.settled();
  const taking = workspace.take({ kind: "data", timestampMs: 1, nodeId: 7n });
  const both = Promise.allSettled([settled, taking]);
  await workspace.close();
  expect((await both).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  expect(existsSync(join(directory, "workspace"))).toBe(false);
  expect(existsSync(`/proc/${started.at(-1)?.pid}`)).toBe(false);
});
