/**
 * Bad input gets a clear error of the right kind, has no effect (the database's epoch stands still),
 * and disturbs nobody: a second client writes and reads all the while and sees no error.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect as connectTcp } from "node:net";
import { connect as connectHttp2 } from "node:http2";
import { NodeFolder, type NodeProcess } from "../support/node-process.ts";
import { SqlClient } from "../support/sql-client.ts";

const BODY_BYTES_MAX = 1024 * 1024;
const EXECUTE = "/v1/databases/bad/execute";
const QUERY = "/v1/databases/bad/query";

const nodes = new NodeFolder();
let node: NodeProcess;
let client: SqlClient;
let undisturbed: Promise<number>;
let finished = false;

beforeAll(async () => {
  const set = { "limits.body_bytes_max": BODY_BYTES_MAX };
  node = await nodes.node({ store: nodes.fileStore(), set }).start();
  client = new SqlClient(node.url);
  for (const name of ["bad", "good"]) {
    await client.create(name);
    await client.execute(name, ["CREATE TABLE t (id INTEGER PRIMARY KEY, x)"]);
  }
  undisturbed = writeAndRead();
  undisturbed.catch(() => {});
});
afterAll(() => nodes.remove());

/** The other client; resolves with the rows that it was told are there. */
async function writeAndRead(): Promise<number> {
  let rows = 0;
  while (!finished) {
    await client.execute("good", [{ sql: "INSERT INTO t (x) VALUES (?)", params: [rows] }]);
    rows++;
    expect(await client.query("good", "SELECT count(*) FROM t")).toEqual([[rows]]);
    await Bun.sleep(5);
  }
  return rows;
}

interface Raw {
  readonly status: number;
  readonly kind: string | undefined;
  readonly message: string;
}

async function http1(
  path: string,
  body: string | Uint8Array,
  headers: Record<string, string> = {},
): Promise<Raw> {
  const answer = await fetch(node.url + path, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body,
  });
  return parse(answer.status, await answer.text());
}

function http2(
  path: string,
  body: string | Uint8Array,
  headers: Record<string, string> = {},
): Promise<Raw> {
  const session = connectHttp2(node.url);
  const stream = session.request({
    ":method": "POST",
    ":path": path,
    "content-type": "application/json",
    ...headers,
  });
  return new Promise<Raw>((resolve, reject) => {
    let status = 0;
    let text = "";
    session.on("error", reject);
    stream.on("response", (found) => status = Number(found[":status"]));
    stream.setEncoding("utf8").on("data", (chunk: string) => text += chunk);
    stream.on("end", () => resolve(parse(status, text)));
    // A body that nobody reads to its end is cut off once the answer is out.
    stream.on("error", () => status === 0 ? reject(new Error("the stream broke")) : undefined);
    stream.end(body);
  }).finally(() => session.destroy());
}

function parse(status: number, text: string): Raw {
  const { error } = JSON.parse(text) as { error?: { kind: string; message: string } };
  return { status, kind: error?.kind, message: error?.message ?? "" };
}

const statement = (sql: string, params?: unknown) =>
  JSON.stringify({ statements: [{ sql: "INSERT INTO t (x) VALUES ('kept?')" }, { sql, params }] });
const read = (sql: string, more = {}) => JSON.stringify({ sql, ...more });

/** Path, body, part of the message. All are `invalid`. */
const INVALID: Readonly<Record<string, readonly [string, string | Uint8Array, string]>> = {
  "broken JSON": [EXECUTE, '{"statements":[{"sql":"SELECT 1"}', "line 1, column"],
  "JSON with a trailing comma": [EXECUTE, '{\n "statements":\n [,]}', "line 3"],
  "an empty body": [EXECUTE, "", "not JSON"],
  "bytes that are not UTF-8": [EXECUTE, new Uint8Array([0x7b, 0xff, 0xfe]), "UTF-8"],
  "a list instead of an object": [EXECUTE, "[]", "an object"],
  "null": [EXECUTE, "null", "an object"],
  "no statements": [EXECUTE, "{}", "statements is missing"],
  "an empty list of statements": [EXECUTE, '{"statements":[]}', "empty"],
  "statements of another type": [EXECUTE, '{"statements":"SELECT 1"}', "a list of statements"],
  "a statement that is a string": [EXECUTE, '{"statements":["SELECT 1"]}', "statements[0]"],
  "SQL that is a number": [EXECUTE, '{"statements":[{"sql":7}]}', "statements[0].sql"],
  "a misspelt key": [EXECUTE, '{"statements":[{"sql":"SELECT 1"}],"timeout":1}', '"timeout"'],
  "a misspelt key of a statement": [
    EXECUTE,
    '{"statements":[{"sql":"SELECT 1","parms":[]}]}',
    "statements[0].parms",
  ],
  "a timeout of 0": [EXECUTE, '{"statements":[{"sql":"SELECT 1"}],"timeout_ms":0}', "timeout_ms"],
  "a parameter that is a list": [EXECUTE, statement("SELECT ?", [[1]]), "params[0]"],
  "a blob that is not base64": [EXECUTE, statement("SELECT ?", [{ base64: "?!" }]), "base64"],
  "an integer beyond 64 bits": [
    EXECUTE,
    statement("SELECT ?", [{ integer: "9223372036854775808" }]),
    "9223372036854775808",
  ],
  "too few parameters": [EXECUTE, statement("INSERT INTO t (x) VALUES (?)", []), "arameter"],
  "too many parameters": [EXECUTE, statement("INSERT INTO t (x) VALUES (1)", [1]), "arameter"],
  "a missing name": [EXECUTE, statement("INSERT INTO t (x) VALUES (:a)", { b: 1 }), "a"],
  "a level that is none": [QUERY, read("SELECT 1", { level: "strong" }), "linearizable"],
  "two statements": [EXECUTE, statement("INSERT INTO t (x) VALUES (1); DELETE FROM t"), "second"],
  "two statements in a query": [QUERY, read("SELECT 1; SELECT 2"), "second"],
  "no statement": [EXECUTE, statement(" -- nothing\n;"), "empty"],
  "a syntax error": [EXECUTE, statement("INSERT INTO"), "Statement 2 failed"],
  "a table that is not there": [EXECUTE, statement("DELETE FROM nowhere"), "nowhere"],
  "COMMIT": [EXECUTE, statement("COMMIT"), "COMMIT"],
  "COMMIT behind a comment": [EXECUTE, statement("/* */ ; --\n commit"), "COMMIT"],
  "ROLLBACK": [EXECUTE, statement("ROLLBACK"), "ROLLBACK"],
  "BEGIN": [EXECUTE, statement("BEGIN"), "BEGIN"],
  "SAVEPOINT": [EXECUTE, statement("SAVEPOINT a"), "SAVEPOINT"],
  "RELEASE of our savepoint": [EXECUTE, statement("RELEASE request"), "RELEASE"],
  "ATTACH": [EXECUTE, statement("ATTACH '/tmp/a.db' AS a"), "ATTACH"],
  "ATTACH in a query": [QUERY, read("ATTACH '/tmp/a.db' AS a"), "ATTACH"],
  "VACUUM": [EXECUTE, statement("VACUUM"), "VACUUM"],
  "VACUUM INTO in a query": [QUERY, read("VACUUM INTO '/tmp/a.db'"), "VACUUM"],
  "PRAGMA journal_mode": [EXECUTE, statement("PRAGMA journal_mode = DELETE"), "journal_mode"],
  "PRAGMA journal_mode in a query": [QUERY, read("PRAGMA journal_mode"), "journal_mode"],
  "PRAGMA writable_schema": [EXECUTE, statement("PRAGMA writable_schema = 1"), "writable_schema"],
  "EXPLAIN of a PRAGMA": [QUERY, read("EXPLAIN PRAGMA wal_checkpoint(TRUNCATE)"), "checkpoint"],
  "an INSERT in a query": [QUERY, read("INSERT INTO t (x) VALUES (1)"), "execute"],
  "a WITH that deletes, in a query": [QUERY, read("WITH a AS (SELECT 1) DELETE FROM t"), "execute"],
  "TEMP": [EXECUTE, statement("CREATE TEMP VIEW a AS SELECT 1"), "temp"],
  "load_extension": [QUERY, read("SELECT load_extension('a')"), "load_extension"],
  "an INSERT into _headgate_claims": [
    EXECUTE,
    statement("INSERT INTO _headgate_claims (epoch) VALUES (99)"),
    "_headgate_",
  ],
  "DROP of a quoted _Headgate_Requests": [
    EXECUTE,
    statement('DROP TABLE "_Headgate_Requests"'),
    "_headgate_",
  ],
  "a trigger on a [_headgate_claims]": [
    EXECUTE,
    statement("CREATE TRIGGER a AFTER INSERT ON [_headgate_claims] BEGIN SELECT 1; END"),
    "_headgate_",
  ],
  "a NUL character": [EXECUTE, statement("SELECT 1 \0 ; DELETE FROM t"), "NUL"],
  "a NUL character in a query": [QUERY, read("SELECT 1\0"), "NUL"],
};

for (const [protocol, post] of [["HTTP/1.1", http1], ["HTTP/2", http2]] as const) {
  describe(`over ${protocol}`, () => {
    for (const [what, [path, body, part]] of Object.entries(INVALID)) {
      test(`${what} is invalid and changes nothing`, async () => {
        const before = await state();
        const answer = await post(path, body);
        expect(answer).toMatchObject({ status: 400, kind: "invalid" });
        expect(answer.message).toContain(part);
        expect(await state()).toEqual(before);
      });
    }

    test("a body over the limit is too_large, with its length said beforehand", async () => {
      const before = await state();
      const body = statement("SELECT ?", ["x".repeat(2 * BODY_BYTES_MAX)]);
      const length = { "content-length": `${body.length}` };
      const answer = await post(EXECUTE, body, length);
      expect(answer).toMatchObject({ status: 413, kind: "too_large" });
      expect(answer.message).toContain(`${BODY_BYTES_MAX}`);
      expect(await state()).toEqual(before);
    });

    test("another content-type is invalid", async () => {
      const answer = await post(EXECUTE, '{"statements":[]}', { "content-type": "text/plain" });
      expect(answer).toMatchObject({ status: 400, kind: "invalid" });
      expect(answer.message).toContain("application/json");
    });

    test("a database that is not there is missing; a wrong name is invalid", async () => {
      const body = read("SELECT 1");
      expect(await post("/v1/databases/nowhere/query", body))
        .toMatchObject({ status: 404, kind: "missing" });
      expect(await post("/v1/databases/No%20Name/query", body))
        .toMatchObject({ status: 400, kind: "invalid" });
      expect(await post("/v1/nowhere", body)).toMatchObject({ status: 404, kind: "missing" });
    });
  });
}

describe("a client that disconnects", () => {
  test("in the middle of its body has no effect", async () => {
    const before = await state();
    const body = statement("INSERT INTO t (x) VALUES (?)", ["y".repeat(10_000)]);
    const half = body.slice(0, body.length / 2);
    const head = `POST ${EXECUTE} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n` +
      `content-length: ${body.length}\r\n\r\n`;
    for (let times = 0; times < 10; times++) await sendAndCut(head + half);
    await cutHttp2(half);
    expect(await state()).toEqual(before);
  });

  test("after its body, before the answer, leaves a write that is there once or not at all", async () => {
    for (let times = 0; times < 20; times++) {
      const body = JSON.stringify({
        statements: [{ sql: "INSERT INTO t (x) VALUES (?)", params: [`cut ${times}`] }],
      });
      await sendAndCut(
        `POST ${EXECUTE} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n` +
          `content-length: ${body.length}\r\n\r\n${body}`,
      );
    }
    await Bun.sleep(300);
    const rows = await client.query(
      "bad",
      "SELECT x, count(*) FROM t WHERE x LIKE 'cut %' GROUP BY x HAVING count(*) > 1",
    );
    expect(rows).toEqual([]);
    await client.execute("bad", ["DELETE FROM t"]);
  });

  test("in the middle of a large answer keeps no file and no reader", async () => {
    const sql = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 30000) " +
      "SELECT hex(zeroblob(500)) FROM n";
    for (let times = 0; times < 5; times++) {
      const stop = new AbortController();
      const answer = await fetch(node.url + QUERY, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: read(sql),
        signal: stop.signal,
      });
      expect(answer.status).toBe(200);
      stop.abort();
    }
    expect((await client.query("bad", "SELECT 1")).length).toBe(1);
  });
});

test("garbage on the port is cut off", async () => {
  for (
    const garbage of ["GET\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00", "PRI * HTTP/2.0\r\n\r\nno"]
  ) {
    await sendAndCut(garbage);
  }
  expect((await fetch(`${node.url}/health/live`)).status).toBe(200);
});

test("the other client was undisturbed", async () => {
  finished = true;
  const rows = await undisturbed;
  expect(rows).toBeGreaterThan(20);
  expect(await client.query("good", "SELECT count(*) FROM t")).toEqual([[rows]]);
  expect(await client.query("bad", "PRAGMA integrity_check")).toEqual([["ok"]]);
  expect(node.log).not.toContain("a request met a bug");
});

/** What bad input must not change. */
async function state(): Promise<unknown> {
  const { tip } = await client.inspect("bad");
  return [tip, await client.query("bad", "SELECT count(*) FROM t")];
}

/** Sends bytes over a connection of their own and resets it. */
function sendAndCut(bytes: string): Promise<void> {
  const { hostname, port } = new URL(node.url);
  return new Promise((resolve) => {
    const socket = connectTcp(Number(port), hostname, () => {
      socket.write(bytes, "latin1", () => {
        setTimeout(() => {
          socket.resetAndDestroy();
          resolve();
        }, 5);
      });
    });
    socket.on("error", () => resolve());
  });
}

function cutHttp2(part: string): Promise<void> {
  return new Promise((resolve) => {
    const session = connectHttp2(node.url);
    session.on("error", () => {});
    const stream = session.request({
      ":method": "POST",
      ":path": EXECUTE,
      "content-type": "application/json",
    });
    stream.on("error", () => {});
    stream.write(part, () => {
      setTimeout(() => {
        session.destroy();
        resolve();
      }, 20);
    });
  });
}
