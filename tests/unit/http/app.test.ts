import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { systemClock } from "../../../src/base/clock.ts";
import { Failure, type FailureKind } from "../../../src/base/failure.ts";
import { silentLog } from "../../../src/base/log.ts";
import type { QueryRequest } from "../../../src/http/node.ts";
import type { WriteRequest } from "../../../src/database/statement.ts";
import { createApp, type HttpApp } from "../../../src/http/app.ts";
import { MemoryNode } from "../../support/memory-node.ts";

let node: MemoryNode;
let app: HttpApp;
let bugs: unknown[];

beforeEach(() => {
  node = new MemoryNode();
  bugs = [];
  app = createApp(node, {
    clock: systemClock,
    log: silentLog,
    limits: { bodyBytesMax: 10_000 },
    onBug: (error) => bugs.push(error),
  });
});
afterEach(() => node.remove());

function send(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
  return app.fetch(
    new Request(`http://localhost:8080${path}`, {
      method,
      headers: {
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      ...(body === undefined
        ? {}
        : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    }),
  );
}

async function errorOf(response: Response): Promise<Record<string, unknown>> {
  return ((await response.json()) as { error: Record<string, unknown> }).error;
}

const EXECUTE = "/v1/databases/orders/execute";
const QUERY = "/v1/databases/orders/query";

describe("routes", () => {
  test("say on every answer which node and which epoch they speak of", async () => {
    const answers = [
      [await send("GET", "/health/live"), "5"],
      [await send("GET", "/metrics"), "5"],
      [await send("GET", "/nowhere"), "5"],
      [await send("PUT", "/metrics"), "5"],
      [await send("POST", QUERY, { sql: "SELECT 1" }), "11"],
      [await send("POST", QUERY, "{"), "5"],
      [await send("POST", EXECUTE, { statements: [{ sql: "DELETE FROM t" }] }), "12"],
    ] as const;
    for (const [answer, epoch] of answers) {
      expect(answer.headers.get("headgate-node")).toBe("node-1");
      expect(answer.headers.get("headgate-epoch")).toBe(epoch);
    }
  });

  test("create, list, inspect, roll back and drop a database", async () => {
    const created = await send("POST", "/v1/databases", { name: "orders", page_size: 8192 });
    expect(created.status).toBe(201);
    expect(await created.json()).toMatchObject({ name: "orders", page_size: 8192 });
    const list = await (await send("GET", "/v1/databases")).json();
    expect(list).toMatchObject({ databases: [{ name: "orders" }] });
    expect(await (await send("GET", "/v1/databases/orders")).json()).toMatchObject({ head: 1 });
    const back = await send("POST", "/v1/databases/orders/rollback", {
      time: "2026-07-24T18:00:00Z",
    });
    expect(await back.json()).toEqual({ epoch: 13 });
    expect(node.seen.at(-1)?.argument).toEqual({ timeMs: Date.UTC(2026, 6, 24, 18) });
    const dropped = await send("DELETE", "/v1/databases/orders");
    expect(await dropped.json()).toEqual({ epoch: 9 });
    expect(dropped.headers.get("headgate-epoch")).toBe("9");
    expect((await send("GET", "/v1/databases/orders")).status).toBe(404);
  });

  test("readiness is 503 with its reasons until the node is ready", async () => {
    expect((await send("GET", "/health/ready")).status).toBe(200);
    node.isReady = false;
    const answer = await send("GET", "/health/ready");
    expect(answer.status).toBe(503);
    expect(await answer.json()).toMatchObject({ ready: false, reasons: ["starting"] });
    expect((await send("GET", "/health/live")).status).toBe(200);
  });

  test("metrics are Prometheus text", async () => {
    const answer = await send("GET", "/metrics");
    expect(answer.headers.get("content-type")).toStartWith("text/plain; version=0.0.4");
    expect(await answer.text()).toContain("headgate_up 1");
  });

  test("an unknown path is missing, a wrong method is 405 with what is allowed", async () => {
    const unknown = await send("GET", "/v1/databses");
    expect(unknown.status).toBe(404);
    expect(await errorOf(unknown)).toEqual({
      kind: "missing",
      message: "There is no GET /v1/databses",
    });
    const cases = [
      ["PUT", "/v1/databases", "GET, HEAD, POST"],
      ["POST", "/v1/databases/orders", "GET, HEAD, DELETE"],
      ["GET", EXECUTE, "POST"],
      ["GET", QUERY, "POST"],
      ["GET", "/v1/databases/orders/rollback", "POST"],
      ["HEAD", "/v1/databases/orders/export", "GET"],
      ["POST", "/health/live", "GET, HEAD"],
    ] as const;
    for (const [method, path, allow] of cases) {
      const answer = await send(method, path);
      expect([path, answer.status, answer.headers.get("allow")]).toEqual([path, 405, allow]);
      if (method !== "HEAD") expect((await errorOf(answer))["kind"]).toBe("invalid");
    }
    expect(node.seen).toEqual([]);
  });

  test("an execute reaches the node with its statements, subject, key and deadline", async () => {
    const statements = [{ sql: "INSERT INTO t VALUES (?, ?)", params: [1, { base64: "AA==" }] }];
    const before = systemClock.monotonicMs();
    const answer = await send("POST", EXECUTE, { statements, timeout_ms: 700 }, {
      "idempotency-key": "k1",
    });
    expect(await answer.text()).toBe(node.executeText);
    const request = node.seen[0]?.argument as WriteRequest;
    expect(request).toMatchObject({ statements, subject: "anonymous", idempotencyKey: "k1" });
    expect(request.deadlineMs - before).toBeWithin(700, 1_000);
    expect("trusted" in request).toBe(false);
  });

  test("a query reaches the node with its level, its epoch and its deadline", async () => {
    const before = systemClock.monotonicMs();
    await send("POST", QUERY, { sql: "SELECT ?", params: [1], min_epoch: 8 });
    await send("POST", QUERY, { sql: "SELECT 1", level: "linearizable" }, {
      accept: "application/x-ndjson",
    });
    await send("POST", QUERY, { sql: "SELECT 1" });
    const requests = node.seen.map(({ argument }) => argument as QueryRequest);
    expect(requests[0]).toMatchObject({
      level: "session",
      minEpoch: 8,
      params: [1],
      byLine: false,
    });
    expect(requests[1]).toMatchObject({ level: "linearizable", byLine: true });
    expect(requests[2]).toMatchObject({ level: "local" });
    expect((requests[2]?.deadlineMs ?? 0) - before).toBeWithin(30_000, 31_000);
  });

  test("a path that is spelt with escapes means the same", async () => {
    const answer = await send("POST", "/v1/databases/%6frders/quer%79", { sql: "SELECT 1" });
    expect(await answer.text()).toBe(node.queryText);
    expect(node.seen[0]?.database).toBe("orders");
  });

  test("a spooled answer is sent whole and given back", async () => {
    node.spoolBytes = 300_000;
    const answer = await send("POST", QUERY, { sql: "SELECT 1" }, {
      accept: "application/x-ndjson",
    });
    expect(answer.headers.get("content-type")).toBe("application/x-ndjson");
    expect((await answer.text()).length).toBe(300_000);
    expect(node.open).toBe(0);
  });

  test("an export is a SQLite file with a name, of the moment that was asked for", async () => {
    const answer = await send("GET", "/v1/databases/orders/export");
    expect(answer.headers.get("content-type")).toBe("application/vnd.sqlite3");
    expect(answer.headers.get("content-disposition")).toBe('attachment; filename="orders-4.db"');
    expect(answer.headers.get("headgate-epoch")).toBe("4");
    expect((await answer.bytes()).byteLength).toBe(16_000);
    await send("GET", "/v1/databases/orders/export?epoch=3");
    await send("GET", "/v1/databases/orders/export?time=1700000000000");
    expect(node.seen.map(({ argument }) => argument))
      .toEqual(["now", { epoch: 3 }, { timeMs: 1_700_000_000_000 }]);
    expect(node.open).toBe(0);
  });

  test("the machinery's databases can be read and not changed", async () => {
    expect((await send("POST", "/v1/databases/system/query", { sql: "SELECT 1" })).status).toBe(
      200,
    );
    expect((await send("GET", "/v1/databases/lake-a/export")).status).toBe(200);
    node.seen.length = 0;
    const body = { statements: [{ sql: "DELETE FROM t" }] };
    for (
      const answer of [
        await send("POST", "/v1/databases/system/execute", body),
        await send("POST", "/v1/databases/lake-a/execute", body),
        await send("DELETE", "/v1/databases/system"),
        await send("POST", "/v1/databases/system/rollback", { epoch: 1 }),
      ]
    ) {
      expect([answer.status, (await errorOf(answer))["kind"]]).toEqual([403, "denied"]);
    }
    expect((await send("POST", "/v1/databases", { name: "lake-x" })).status).toBe(400);
    expect(node.seen).toEqual([]);
  });
});

describe("a failure", () => {
  const statuses: [FailureKind, number][] = [
    ["invalid", 400],
    ["missing", 404],
    ["conflict", 409],
    ["too_large", 413],
    ["busy", 429],
    ["unavailable", 503],
    ["uncertain", 504],
    ["corrupt", 500],
  ];
  for (const [kind, status] of statuses) {
    test(`of kind ${kind} has status ${status}`, async () => {
      node.failure = new Failure(kind, "No", { details: { a: 1 }, retryAfterMs: 1500 });
      const answer = await send("POST", QUERY, { sql: "SELECT 1" });
      expect([answer.status, answer.headers.get("retry-after")]).toEqual([status, "2"]);
      expect(await errorOf(answer))
        .toEqual({ kind, message: "No", details: { a: 1 }, retry_after_ms: 1500 });
    });
  }

  test("of kind denied is 403: only a caller who is not known gets 401", async () => {
    node.failure = new Failure("denied", "No");
    const answer = await send("GET", "/v1/cluster");
    expect(answer.status).toBe(403);
    expect(answer.headers.has("www-authenticate")).toBe(false);
  });

  test("of kind elsewhere leads to the same path at the leader", async () => {
    node.failure = new Failure("elsewhere", "Not here", { leader: "http://10.0.0.2:8080" });
    const answer = await send("GET", "/v1/databases/orders/export?epoch=3");
    expect(answer.status).toBe(307);
    expect(answer.headers.get("location"))
      .toBe("http://10.0.0.2:8080/v1/databases/orders/export?epoch=3");
    expect(await errorOf(answer)).toMatchObject({ leader: "http://10.0.0.2:8080" });
  });

  test("that is a bug leaves a write uncertain and a read unavailable, and is reported", async () => {
    node.failure = new TypeError("x is undefined");
    const write = await send("POST", EXECUTE, { statements: [{ sql: "DELETE FROM t" }] });
    expect((await errorOf(write))["kind"]).toBe("uncertain");
    node.failure = new TypeError("y is undefined");
    const read = await send("GET", "/v1/databases");
    const error = await errorOf(read);
    expect(error["kind"]).toBe("unavailable");
    expect(String(error["message"])).not.toContain("undefined");
    expect(bugs.map(String)).toEqual(["TypeError: x is undefined", "TypeError: y is undefined"]);
  });
});
