import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { systemClock } from "../../../src/base/clock.ts";
import { silentLog } from "../../../src/base/log.ts";
import { createApp, type HttpApp } from "../../../src/http/app.ts";
import { MemoryNode } from "../../support/memory-node.ts";

const BODY_BYTES_MAX = 10_000;
let node: MemoryNode;
let app: HttpApp;

beforeEach(() => {
  node = new MemoryNode();
  app = createApp(node, {
    clock: systemClock,
    log: silentLog,
    limits: { bodyBytesMax: BODY_BYTES_MAX, bodyTimeoutMs: 500 },
  });
});
afterEach(() => node.remove());

const JSON_TYPE = { "content-type": "application/json" };

async function post(
  action: string,
  body: string | Uint8Array<ArrayBuffer> | Blob | ReadableStream,
  headers: Record<string, string> = JSON_TYPE,
): Promise<[status: number, kind: unknown, message: string]> {
  const url = `http://localhost/v1/databases/orders/${action}`;
  const answer = await app.fetch(new Request(url, { method: "POST", body, headers }));
  const { error } = (await answer.json()) as { error: { kind: unknown; message: string } };
  return [answer.status, error.kind, error.message];
}

const sql = (...texts: string[]) =>
  JSON.stringify({ statements: texts.map((text) => ({ sql: text })) });

describe("bad input is refused with its kind, and the node never sees it:", () => {
  const execute: [what: string, body: string, message: RegExp][] = [
    ["an empty body", "", /not JSON: unexpected end at line 1, column 1/],
    ["broken JSON", '{"statements":\n [}', /not JSON: unexpected } at line 2, column 3/],
    ["half a body", '{"statements":[{"sql":"DELE', /not JSON: unexpected end at line 1/],
    ["a list", "[]", /The body is \[\]; allowed: an object with statements/],
    ["null", "null", /The body is null; allowed: an object/],
    ["no statements", "{}", /statements is missing/],
    ["an empty list", '{"statements":[]}', /statements is empty/],
    ["a number for SQL", '{"statements":[{"sql":5}]}', /statements\[0\].sql is 5/],
    [
      "a misspelt key",
      '{"statements":[{"sql":"DELETE FROM t"}],"timeout":1}',
      /"timeout" is unknown/,
    ],
    ["a key that is none", '{"statements":[],"__proto__":1}', /"__proto__" is unknown/],
    [
      "a misspelt inner key",
      '{"statements":[{"sq":"DELETE FROM t"}]}',
      /statements\[0\].sq is unknown/,
    ],
    ["params of a wrong type", '{"statements":[{"sql":"DELETE FROM t","params":3}]}', /params/],
    [
      "a param of a wrong type",
      '{"statements":[{"sql":"DELETE FROM t","params":[[1]]}]}',
      /params\[0\]/,
    ],
    [
      "a number that is infinite once it is read",
      '{"statements":[{"sql":"DELETE FROM t","params":[1e400]}]}',
      /params\[0\] is Infinity; allowed: .*"real"/,
    ],
    [
      "half a surrogate pair",
      '{"statements":[{"sql":"DELETE FROM t","params":{"a":"\\ud800"}}]}',
      /params\.a is not Unicode/,
    ],
    [
      "a time-out of 0",
      '{"statements":[{"sql":"DELETE FROM t"}],"timeout_ms":0}',
      /timeout_ms is 0/,
    ],
    [
      "a time-out as text",
      '{"statements":[{"sql":"DELETE FROM t"}],"timeout_ms":"9"}',
      /timeout_ms is "9"/,
    ],
    [
      "too long a time-out",
      '{"statements":[{"sql":"DELETE FROM t"}],"timeout_ms":300001}',
      /1 to 300000/,
    ],
    [
      "an empty key",
      '{"statements":[{"sql":"DELETE FROM t"}],"idempotency_key":""}',
      /idempotency_key/,
    ],
    ["two statements in one", sql("DELETE FROM t; DELETE FROM u"), /statements\[0\]: /],
    ["COMMIT inside", sql("DELETE FROM t", "COMMIT"), /statements\[1\]: .*an execute commits/],
    ["BEGIN", sql("BEGIN IMMEDIATE"), /one transaction already/],
    ["ATTACH", sql("ATTACH 'x' AS y"), /one database/],
    ["VACUUM INTO", sql("VACUUM INTO '/tmp/x'"), /export/],
    ["PRAGMA journal_mode", sql("PRAGMA journal_mode = DELETE"), /journal_mode/],
    ["a temporary table", sql("CREATE TEMP TABLE t (a)"), /TEMP/i],
    ["the machinery's table", sql("INSERT INTO _headgate_claims VALUES (1)"), /I14/],
    ["the machinery's table, quoted", sql('DELETE FROM "_HEADGATE_Claims"'), /I14/],
    ["a NUL byte", sql("DELETE FROM t WHERE a = '\0'"), /NUL/],
    ["nothing", sql(" ; -- nothing"), /empty/],
  ];
  for (const [what, body, message] of execute) {
    test(what, async () => {
      const [status, kind, text] = await post("execute", body);
      expect([status, kind]).toEqual([400, "invalid"]);
      expect(text).toMatch(message);
      expect(node.seen).toEqual([]);
    });
  }

  const query: [what: string, body: unknown, message: RegExp][] = [
    ["a write", { sql: "DELETE FROM t" }, /sql: /],
    ["two statements", { sql: "SELECT 1; SELECT 2" }, /sql: /],
    [
      "an unknown level",
      { sql: "SELECT 1", level: "strong" },
      /level is "strong"; allowed: "local"/,
    ],
    ["session without an epoch", { sql: "SELECT 1", level: "session" }, /go together/],
    ["an epoch without session", { sql: "SELECT 1", level: "local", min_epoch: 1 }, /go together/],
    ["a broken epoch", { sql: "SELECT 1", min_epoch: 1.5 }, /min_epoch is 1.5/],
    ["an epoch as text", { sql: "SELECT 1", min_epoch: "3" }, /min_epoch is "3"/],
  ];
  for (const [what, body, message] of query) {
    test(`${what}, as a query`, async () => {
      const [status, kind, text] = await post("query", JSON.stringify(body));
      expect([status, kind]).toEqual([400, "invalid"]);
      expect(text).toMatch(message);
      expect(node.seen).toEqual([]);
    });
  }

  test("bytes that are not UTF-8", async () => {
    const body = Buffer.concat([
      Buffer.from('{"sql":"SELECT \''),
      Buffer.from([0xff]),
      Buffer.from("'\"}"),
    ]);
    expect(await post("query", body)).toEqual([
      400,
      "invalid",
      "Cannot read the body: it is not UTF-8",
    ]);
  });

  test("another content type, or none", async () => {
    const body = '{"sql":"SELECT 1"}';
    const [status, kind, message] = await post("query", body, { "content-type": "text/plain" });
    expect([status, kind]).toEqual([400, "invalid"]);
    expect(message).toContain("text/plain; send application/json");
    expect((await post("query", new Blob([body]), {}))[2]).toContain("is missing");
    expect((await post("query", body, { "content-type": "application/jsonx" }))[0]).toBe(400);
  });

  test("two different idempotency keys", async () => {
    const body = '{"statements":[{"sql":"DELETE FROM t"}],"idempotency_key":"a"}';
    const [status, , message] = await post("execute", body, {
      ...JSON_TYPE,
      "idempotency-key": "b",
    });
    expect([status, message]).toEqual([
      400,
      "The header Idempotency-Key and idempotency_key differ",
    ]);
  });

  test("a body over the limit, whether it says its length or not", async () => {
    const body = JSON.stringify({ sql: `SELECT '${"x".repeat(BODY_BYTES_MAX)}'` });
    const declared = { ...JSON_TYPE, "content-length": String(body.length) };
    expect((await post("query", body, declared)).slice(0, 2)).toEqual([413, "too_large"]);
    const stream = new Blob([body]).stream();
    const [status, kind, message] = await post("query", stream);
    expect([status, kind]).toEqual([413, "too_large"]);
    expect(message).toContain(`${BODY_BYTES_MAX} bytes`);
    expect(node.seen).toEqual([]);
  });

  test("a body that does not arrive in time", async () => {
    const never = new ReadableStream({ pull: () => new Promise(() => {}) });
    const [status, kind, message] = await post("query", never);
    expect([status, kind]).toEqual([400, "invalid"]);
    expect(message).toContain("more than 500 ms");
  });

  test("a name that is none", async () => {
    for (const name of ["Orders", "-x", "a.b", "..%2f", "x".repeat(64)]) {
      const url = `http://localhost/v1/databases/${name}/query`;
      const body = '{"sql":"SELECT 1"}';
      const answer = await app.fetch(
        new Request(url, { method: "POST", body, headers: JSON_TYPE }),
      );
      expect([name, answer.status]).toEqual([name, 400]);
    }
    expect(node.seen).toEqual([]);
  });

  test("moments that are none", async () => {
    const bad = ["epoch=0", "epoch=-1", "epoch=x", "time=yesterday", "time=2026-07-24", "at=3"];
    for (const query of [...bad, "epoch=1&time=1"]) {
      const url = `http://localhost/v1/databases/orders/export?${query}`;
      expect([query, (await app.fetch(new Request(url))).status]).toEqual([query, 400]);
    }
    for (const body of ["{}", '{"epoch":1,"time":1}', '{"epoch":"1"}', '{"time":"soon"}']) {
      expect([body, (await post("rollback", body))[0]]).toEqual([body, 400]);
    }
    expect(node.seen).toEqual([]);
  });
});

test("a charset after the content type is fine", async () => {
  const answer = await app.fetch(
    new Request("http://localhost/v1/databases/orders/query", {
      method: "POST",
      body: '{"sql":"SELECT 1"}',
      headers: { "content-type": "Application/JSON; charset=utf-8" },
    }),
  );
  expect(answer.status).toBe(200);
});
