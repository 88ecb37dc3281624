/** Queries that would take all there is, beside queries that would not. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../../src/base/clock.ts";
import { type Failure, isFailure } from "../../src/base/failure.ts";
import { LAKE_QUERY_PIECE_BYTES, LAKE_QUERY_PIECES_AHEAD_MAX } from "../../src/base/lake-limits.ts";
import type { Child, Children } from "../../src/database/child.ts";
import type { LakeQuery } from "../../src/lake/query/lake-query.ts";
import type { LakeQueries } from "../../src/lake/query/queries.ts";
import { ask, type LakeStage, lakeStage, rowsOf, textOf } from "../support/lake-queries.ts";

const MIB = 1024 * 1024;
/** Runs for days, in little memory. */
const ENDLESS = "SELECT max(hash(i)) FROM range(1000000000000000) r(i)";

let stage: LakeStage;

beforeAll(() => {
  stage = lakeStage();
});
afterAll(() => stage.close());

async function failureOf(queries: LakeQueries, query: LakeQuery): Promise<Failure> {
  const thrown = await textOf(queries, query).catch((error) => error);
  if (isFailure(thrown)) return thrown;
  throw new Error(`no failure: ${String(thrown).slice(0, 200)}`);
}

const within = (ms: number) => ({ deadlineMs: systemClock.monotonicMs() + ms });

/** The stage's children, and those that were started through it. */
function watched(): { children: Children; started: Child[]; messages: () => number } {
  const started: Child[] = [];
  let messages = 0;
  const children: Children = {
    ...stage.children,
    start: (role, handlers) => {
      const child = stage.children.start(role, {
        onExit: handlers.onExit,
        onMessage: (message) => {
          messages++;
          handlers.onMessage(message);
        },
      });
      started.push(child);
      return child;
    },
  };
  return { children, started, messages: () => messages };
}

test("a query ends at its deadline while another beside it is answered", async () => {
  const queries = stage.queries({ queriesMax: 2 });
  const sinceMs = systemClock.monotonicMs();
  const endless = failureOf(queries, ask(ENDLESS, within(1_500)));
  expect(await rowsOf(queries, ask("SELECT 42"))).toEqual([[42]]);
  expect(systemClock.monotonicMs() - sinceMs).toBeLessThan(1_500);
  const failure = await endless;
  expect(failure.kind).toBe("unavailable");
  expect(failure.message).toBe("Cannot run this query: ended at its deadline of 1500 ms");
  expect(failure.details).toEqual({ reason: "deadline" });
  expect(systemClock.monotonicMs() - sinceMs).toBeLessThan(3_000);
  await queries.close();
});

// What is looked at is in /proc.
const onLinux = test.skipIf(process.platform !== "linux");

onLinux("a query that takes all processors leaves them to whoever else wants one", async () => {
  const { children, started } = watched();
  const queries = stage.queries({ children });
  const sql = "SELECT count(DISTINCT hash(a.i, b.i)) FROM range(20000) a(i), range(1000) b(i)";
  const running = failureOf(queries, ask(sql, within(1_000)));
  await systemClock.sleep(700);
  const threads = `/proc/${started[0]?.pid}/task`;
  const niceness = readdirSync(threads).map((thread) => {
    const stat = readFileSync(join(threads, thread, "stat"), "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[16];
  });
  expect(niceness.length).toBeGreaterThan(2);
  expect(new Set(niceness)).toEqual(new Set(["19"]));
  await running;
  await queries.close();
});

test("an interrupted child takes the next query", async () => {
  const { children, started } = watched();
  const queries = stage.queries({ children, queriesMax: 1 });
  await rowsOf(queries, ask("SELECT 1"));
  await failureOf(queries, ask(ENDLESS, within(300)));
  expect(await rowsOf(queries, ask("SELECT 2"))).toEqual([[2]]);
  expect(started).toHaveLength(1);
  await queries.close();
});

test("a child that does not hear an interrupt is killed, and the next query has another", async () => {
  const { children, started } = watched();
  const queries = stage.queries({ children, queriesMax: 1 });
  await rowsOf(queries, ask("SELECT 1"));
  const stuck = failureOf(queries, ask(ENDLESS, within(500)));
  const [first] = started;
  process.kill(first?.pid ?? 0, "SIGSTOP");
  expect((await stuck).details).toEqual({ reason: "deadline" });
  expect(await rowsOf(queries, ask("SELECT 2"))).toEqual([[2]]);
  expect(started).toHaveLength(2);
  await queries.close();
});

test("a query that needs more memory than it may have is too large", async () => {
  const queries = stage.queries({ memoryBytesMax: 64 * MIB });
  const sql = "SELECT count(*) FROM (SELECT DISTINCT md5(i::VARCHAR) FROM range(20000000) r(i))";
  const failure = await failureOf(queries, ask(sql));
  expect(failure.kind).toBe("too_large");
  expect(failure.details).toEqual({ reason: "memory" });
  const sorted = "SELECT i FROM range(50000000) r(i) ORDER BY hash(i)";
  expect((await failureOf(queries, ask(sorted))).kind).toBe("too_large");
  expect(await rowsOf(queries, ask("SELECT 1"))).toEqual([[1]]);
  await queries.close();
});

test("a child that has taken too much memory by itself is killed, and the query is too large", async () => {
  const { children, started } = watched();
  const large: Children = {
    ...children,
    start: (role, handlers) => {
      const child = children.start(role, handlers);
      return Object.assign(Object.create(child) as Child, {
        residentBytes: () => 2_000 * MIB,
        send: (message: unknown) => child.send(message),
        kill: () => child.kill(),
      });
    },
  };
  const queries = stage.queries({ children: large, memoryBytesMax: 64 * MIB });
  const failure = await failureOf(queries, ask(ENDLESS));
  expect(failure.kind).toBe("too_large");
  expect(failure.details).toEqual({ reason: "memory", memory_bytes_max: 64 * MIB });
  await started[0]?.exited;
  await queries.close();
});

test("one row that is too long is too large", async () => {
  const queries = stage.queries();
  const failure = await failureOf(queries, ask("SELECT repeat('x', 20000000)"));
  expect(failure.kind).toBe("too_large");
  expect(failure.message).toContain("a row of its result has more than 16777216 characters");
  await queries.close();
});

test("a result beyond its limit is too large, and NDJSON says so in its last line", async () => {
  const queries = stage.queries({ resultBytesMax: 2 * MIB });
  const sql = "SELECT i FROM range(10000000) r(i)";
  const failure = await failureOf(queries, ask(sql));
  expect(failure.kind).toBe("too_large");
  expect(failure.details).toEqual({ reason: "result", result_bytes_max: 2 * MIB });
  const lines = (await textOf(queries, ask(sql, { format: "ndjson" }))).trimEnd().split("\n");
  const last = JSON.parse(lines.at(-1) ?? "");
  expect(last.error.kind).toBe("too_large");
  expect(JSON.parse(lines.at(-2) ?? "")).toHaveLength(1);
  await queries.close();
});

test("a slow reader of a huge result holds back its query", async () => {
  const { children, started, messages } = watched();
  const queries = stage.queries({ children });
  const sql = "SELECT i, repeat('x', 100) FROM range(100000000) r(i)";
  const { body } = await queries.query(ask(sql, { format: "csv" }));
  let pieces = 0;
  for await (const piece of body) {
    expect(piece.length).toBeLessThan(2 * LAKE_QUERY_PIECE_BYTES);
    await systemClock.sleep(100);
    expect(messages()).toBeLessThanOrEqual(++pieces + LAKE_QUERY_PIECES_AHEAD_MAX);
    if (pieces === 10) break;
  }
  expect(started[0]?.residentBytes()).toBeLessThan(400 * MIB);
  await queries.close();
});

test("a large result comes whole and in order through a reader that stops now and then", async () => {
  const queries = stage.queries();
  const { body } = await queries.query(ask("SELECT i FROM range(300000) r(i)", { format: "csv" }));
  const chunks: Uint8Array[] = [];
  for await (const piece of body) {
    chunks.push(piece);
    if (chunks.length % 2 === 0) await systemClock.sleep(20);
  }
  const lines = Buffer.concat(chunks).toString().split("\r\n");
  expect(lines.slice(1, -1)).toEqual(Array.from({ length: 300_000 }, (_, i) => `${i}`));
  await queries.close();
});

test("a client that goes away ends its query, while it runs and while it is read", async () => {
  const queries = stage.queries({ queriesMax: 1 });
  const gone = new AbortController();
  const running = failureOf(queries, ask(ENDLESS, { signal: gone.signal }));
  await systemClock.sleep(200);
  gone.abort();
  expect((await running).details).toEqual({ reason: "client" });
  const { body } = await queries.query(ask("SELECT i FROM range(100000000) r(i)"));
  for await (const _ of body) break;
  const unread = await queries.query(ask("SELECT i FROM range(100000000) r(i)"));
  await unread.body[Symbol.asyncIterator]().return?.();
  expect(await rowsOf(queries, ask("SELECT 1", within(5_000)))).toEqual([[1]]);
  await queries.close();
});

test("a killed child is a clear failure, and the next query is answered", async () => {
  const { children, started } = watched();
  const queries = stage.queries({ children, queriesMax: 1 });
  await rowsOf(queries, ask("SELECT 1"));
  const running = failureOf(queries, ask(ENDLESS));
  const waits = rowsOf(queries, ask("SELECT 3"));
  await systemClock.sleep(100);
  process.kill(started[0]?.pid ?? 0, "SIGKILL");
  const failure = await running;
  expect(failure.kind).toBe("unavailable");
  expect(failure.message).toBe(
    "Cannot run this query: the process that executed it has ended",
  );
  expect(await waits).toEqual([[3]]);
  expect(await rowsOf(queries, ask("SELECT 2"))).toEqual([[2]]);
  await queries.close();
});

test("64 queries at once are answered by a few children", async () => {
  const { children, started } = watched();
  const queries = stage.queries({ children, queriesMax: 3 });
  const all = Array.from({ length: 64 }, (_, i) => rowsOf(queries, ask(`SELECT ${i}`)));
  expect(await Promise.all(all)).toEqual(Array.from({ length: 64 }, (_, i) => [[i]]));
  expect(started.length).toBe(3);
  await queries.close();
});

test("more than may wait hear busy, and one that waits ends at its deadline or with its client", async () => {
  const queries = stage.queries({ queriesMax: 1, waitingMax: 2 });
  const running = failureOf(queries, ask(ENDLESS, within(2_000)));
  await systemClock.sleep(50);
  const gone = new AbortController();
  const late = failureOf(queries, ask("SELECT 1", within(200)));
  const leaves = failureOf(queries, ask("SELECT 1", { signal: gone.signal }));
  await systemClock.sleep(50);
  const busy = await failureOf(queries, ask("SELECT 1"));
  expect(busy.kind).toBe("busy");
  expect(busy.retryAfterMs).toBe(100);
  gone.abort();
  expect((await leaves).details).toEqual({ reason: "client" });
  expect((await late).details).toEqual({ reason: "deadline" });
  expect((await running).details).toEqual({ reason: "deadline" });
  await queries.close();
});

test("a child without work ends, with its folder", async () => {
  const { children, started } = watched();
  const folder = join(stage.directory, "idle");
  const queries = stage.queries({ children, folder, idleMs: 100 });
  await rowsOf(queries, ask("SELECT 1"));
  expect(readdirSync(folder)).toHaveLength(1);
  await started[0]?.exited;
  expect(readdirSync(folder)).toEqual([]);
  expect(await rowsOf(queries, ask("SELECT 2"))).toEqual([[2]]);
  await queries.close();
});

test("closing ends what runs and what waits, and says so", async () => {
  const queries = stage.queries({ queriesMax: 1 });
  const running = failureOf(queries, ask(ENDLESS));
  const waiting = failureOf(queries, ask("SELECT 1"));
  await systemClock.sleep(200);
  await queries.close();
  for (const failure of await Promise.all([running, waiting])) {
    expect(failure.message).toBe("Cannot run this query: the node is closing");
  }
  expect((await failureOf(queries, ask("SELECT 1"))).kind).toBe("unavailable");
});

onLinux("a child has no environment but the time zone", async () => {
  const { children, started } = watched();
  const queries = stage.queries({ children });
  await rowsOf(queries, ask("SELECT 1"));
  const pid = started[0]?.pid;
  const environment = await Bun.file(`/proc/${pid}/environ`).text();
  const entries = environment.split("\0").filter((entry) => entry !== "");
  // The rest is the channel to its parent.
  expect(entries.filter((entry) => !entry.startsWith("NODE_CHANNEL_"))).toEqual(["TZ=UTC"]);
  await queries.close();
});
