/** Lakes over HTTP: what the node is asked, what is answered, and who may ask. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { systemClock } from "../../../src/base/clock.ts";
import { Failure } from "../../../src/base/failure.ts";
import { silentLog } from "../../../src/base/log.ts";
import { createApp, type HttpApp } from "../../../src/http/app.ts";
import { BodyRoom } from "../../../src/lake/body-room.ts";
import { MemoryNode } from "../../support/memory-node.ts";

let node: MemoryNode;
let app: HttpApp;
beforeEach(() => {
  node = new MemoryNode();
  app = createApp(node, { clock: systemClock, log: silentLog });
});
afterEach(() => node.remove());

async function send(
  method: string,
  path: string,
  body?: string | object | ReadableStream<Uint8Array>,
  headers: Record<string, string> = {},
) {
  const isStream = body instanceof ReadableStream || typeof body === "string";
  const answer = await app.fetch(
    new Request(`http://localhost:8080${path}`, {
      method,
      headers: {
        ...(body === undefined || isStream ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: isStream ? body : JSON.stringify(body) }),
    }),
  );
  const text = await answer.text();
  const isJson = answer.headers.get("content-type")?.startsWith("application/json");
  return {
    status: answer.status,
    headers: answer.headers,
    text,
    // deno-lint-ignore no-explicit-any -- tests look into answers freely
    body: (isJson && text !== "" ? JSON.parse(text) : null) as any,
  };
}

const asked = () => node.memoryLakes.seen.at(-1)!;
const NDJSON = { "content-type": "application/x-ndjson" };
const ROWS = "/v1/lakes/web/tables/events/rows";

describe("rows", () => {
  beforeEach(() => {
    node.memoryLakes.answers.store = { rows: 1, snapshot: 2, epoch: 3 };
  });

  test("that are stored and not visible yet are accepted", async () => {
    const stored = { rows: 1, stored: "0000000000000003-ab", epoch: 3 };
    node.memoryLakes.answers.store = stored;
    const answer = await send("POST", `${ROWS}?ack=stored`, '{"id":1}', NDJSON);
    expect([answer.status, answer.body]).toEqual([202, stored]);
    expect(asked().arguments[0]).toMatchObject({ ack: "stored" });
  });

  test("go to the node as they were sent, with all that was said of them", async () => {
    const answer = await send("POST", `${ROWS}?create=true`, '{"id":1}', {
      ...NDJSON,
      "content-encoding": "gzip",
      "idempotency-key": "k",
    });
    expect([answer.status, answer.body]).toEqual([200, { rows: 1, snapshot: 2, epoch: 3 }]);
    expect(answer.headers.get("headgate-epoch")).toBe("3");
    const [request] = asked().arguments as [Record<string, unknown>];
    expect(request).toMatchObject({
      lake: "web",
      table: { schema: "main", name: "events" },
      create: true,
      format: "ndjson",
      encoding: "gzip",
      key: { subject: "anonymous", key: "k" },
    });
    expect(new TextDecoder().decode(request["body"] as Uint8Array)).toBe('{"id":1}');
  });

  test("have one hash for the same request, and another for any other", async () => {
    const hashOf = async (path: string, body: string, type = "application/x-ndjson") => {
      await send("POST", path, body, { "content-type": type, "idempotency-key": "k" });
      const [{ key }] = asked().arguments as [{ key: { hash: string } }];
      return key.hash;
    };
    const hash = await hashOf(ROWS, "[]");
    expect(await hashOf(ROWS, "[]")).toBe(hash);
    const others = [
      await hashOf(ROWS, "[ ]"),
      await hashOf(ROWS, "[]", "application/json"),
      await hashOf(ROWS.replace("events", "clicks"), "[]"),
      await hashOf(ROWS.replace("web", "shop"), "[]"),
    ];
    expect(new Set([hash, ...others]).size).toBe(5);
  });

  test("have a place before they arrive, which they leave whatever becomes of them", async () => {
    const room = new BodyRoom({ bodiesMax: 1, bytesMax: 10 });
    Object.defineProperty(node.memoryLakes.answers, "enter", {
      get: () => room.enter(),
      configurable: true,
    });
    const held = room.enter();
    expect((await send("POST", ROWS, "x", NDJSON)).status).toBe(429);
    held.leave();
    expect((await send("POST", ROWS, "x", NDJSON)).status).toBe(200);
    delete node.memoryLakes.answers.store;
    expect((await send("POST", ROWS, "x", NDJSON)).status).toBe(404);
    expect(room.bytes).toBe(0);
    expect((await send("POST", ROWS, "x", NDJSON)).status).toBe(404);
  });

  test("beyond the room are refused by their length, or when they have come so far", async () => {
    let taken = 0;
    const take = (bytes: number) => {
      if (taken + bytes > 20) throw new Failure("busy", "full", { retryAfterMs: 250 });
      taken += bytes;
    };
    node.memoryLakes.answers.enter = { take, leave: () => {} };
    const length = { ...NDJSON, "content-length": "21" };
    const tooMuch = await send("POST", ROWS, "x".repeat(21), length);
    expect([tooMuch.status, taken, tooMuch.headers.get("retry-after")]).toEqual([429, 0, "1"]);
    let pulled = 0;
    const endless = new ReadableStream<Uint8Array>({
      pull: (controller) => {
        pulled++;
        controller.enqueue(new Uint8Array(5));
      },
    });
    expect((await send("POST", ROWS, endless, NDJSON)).status).toBe(429);
    expect(taken).toBe(20);
    expect(pulled).toBeLessThan(20);
  });

  test("are refused before the node hears of them", async () => {
    const wrong = [
      await send("POST", ROWS, "x", { "content-type": "text/plain" }),
      await send("POST", ROWS, "x"),
      await send("POST", `${ROWS}?creat=true`, "x", NDJSON),
      await send("POST", ROWS, "x", { ...NDJSON, "idempotency-key": "k".repeat(10_000) }),
      await send("POST", "/v1/lakes/WEB/tables/events/rows", "x", NDJSON),
      await send("POST", "/v1/lakes/web/tables/s./rows", "x", NDJSON),
    ];
    expect(wrong.map(({ status }) => status)).toEqual(wrong.map(() => 400));
    expect(node.memoryLakes.seen.filter(({ call }) => call === "store")).toEqual([]);
  });
});

describe("lakes and tables", () => {
  test("are made with an address that any name can have", async () => {
    node.memoryLakes.answers.create = { name: "web", data_path: "/d/", epoch: 4 };
    const lake = await send("POST", "/v1/lakes", { name: "web" });
    expect([lake.status, lake.headers.get("location")]).toEqual([201, "/v1/lakes/web"]);
    node.memoryLakes.answers.createTable = { snapshot: 1, epoch: 5 };
    const columns = [{ name: "id", type: "int64" }];
    const table = await send("POST", "/v1/lakes/web/tables", { name: 'a\n"ä', columns });
    expect([table.status, table.headers.get("location")])
      .toEqual([201, "/v1/lakes/web/tables/main.a%0A%22%C3%A4"]);
    expect(asked().arguments.slice(0, 2)).toEqual(["web", { schema: "main", name: 'a\n"ä' }]);
  });

  test("are shown with what their columns are", async () => {
    node.memoryLakes.answers.table = {
      table: {
        id: 1,
        schema: "main",
        name: "t",
        uuid: "u",
        version: 3,
        columns: [{
          id: 1,
          name: "list",
          type: { name: "list" },
          nullable: true,
          children: [{
            id: 2,
            name: "element",
            type: { name: "int8" },
            nullable: false,
            children: [],
          }],
        }],
      },
      rows: 7,
      bytes: 8,
      epoch: 9,
    };
    const { body } = await send("GET", "/v1/lakes/web/tables/t?min_epoch=9");
    expect(body).toEqual({
      ...{ id: 1, schema: "main", name: "t", schema_version: 3, rows: 7, file_bytes: 8, epoch: 9 },
      columns: [{
        ...{ id: 1, name: "list", type: "list", nullable: true },
        children: [{ id: 2, name: "element", type: "int8", nullable: false }],
      }],
    });
    expect(asked().arguments[2]).toMatchObject({ level: "session", minEpoch: 9 });
  });

  test("are listed as far as the caller may read them", async () => {
    node.memoryLakes.answers.list = [{ name: "web", data_path: "" }, {
      name: "shop",
      data_path: "",
    }];
    node.access.required = true;
    const list = async (scopes: string[]) => {
      const authorization = `Bearer ${node.access.token(scopes)}`;
      const { body } = await send("GET", "/v1/lakes", undefined, { authorization });
      return body.lakes.map(({ name }: { name: string }) => name);
    };
    expect(await list(["read:w*"])).toEqual(["web"]);
    expect(await list(["ingest:*"])).toEqual([]);
    expect(await list(["admin"])).toEqual(["web", "shop"]);
  });

  test("have methods, and say which", async () => {
    const allowed = async (path: string) => (await send("PUT", path)).headers.get("allow");
    expect(await allowed("/v1/lakes")).toBe("GET, HEAD, POST");
    expect(await allowed("/v1/lakes/web/query")).toBe("POST");
    expect(await allowed(ROWS)).toBe("POST");
    expect(await allowed("/v1/lakes/web/tables/events")).toBe("GET, HEAD, PATCH, DELETE");
    const head = await send("HEAD", "/v1/lakes/web/catalog");
    expect([head.status, node.open]).toEqual([405, 0]);
  });
});

describe("a query", () => {
  const pieces = async function* (...texts: string[]) {
    for (const text of texts) yield await Promise.resolve(new TextEncoder().encode(text));
  };

  test("is streamed, and its headers say of which snapshot", async () => {
    node.memoryLakes.answers.query = {
      contentType: "text/csv",
      body: pieces("a\r\n", "1\r\n"),
      epoch: 7,
      snapshot: 3,
    };
    const answer = await send("POST", "/v1/lakes/web/query", { sql: "SELECT 1", min_epoch: 5 }, {
      accept: "text/csv",
    });
    expect([answer.status, answer.text]).toEqual([200, "a\r\n1\r\n"]);
    expect(answer.headers.get("headgate-snapshot")).toBe("3");
    expect(answer.headers.get("headgate-epoch")).toBe("7");
    expect(asked().arguments[1]).toMatchObject({
      sql: "SELECT 1",
      format: "csv",
      moment: "newest",
      freshness: { level: "session", minEpoch: 5 },
    });
  });

  test("whose reader goes away is returned from", async () => {
    const ended = Promise.withResolvers<string>();
    const endless = async function* () {
      try {
        for (;;) yield await Promise.resolve(new Uint8Array(1_000));
      } finally {
        ended.resolve("returned");
      }
    };
    node.memoryLakes.answers.query = { contentType: "x/y", body: endless(), epoch: 1, snapshot: 1 };
    const answer = await app.fetch(
      new Request("http://localhost/v1/lakes/web/query", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: '{"sql":"SELECT 1"}',
      }),
    );
    const reader = answer.body!.getReader();
    await reader.read();
    await reader.cancel();
    expect(await ended.promise).toBe("returned");
  });
});
