/**
 * Everything that SQLite can do comes through exactly: a node and a plain SQLite run the same
 * statements, one transaction after the other, and agree afterwards table by table: in the answers,
 * at every epoch by export, and again after `kill -9` and a restart from the store alone.
 */
import { Database } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { NodeFolder, type NodeProcess } from "../support/node-process.ts";
import { SqlClient } from "../support/sql-client.ts";
import {
  type Content,
  contentOf,
  exported,
  QUESTIONS,
  TRANSACTIONS,
} from "../support/sql-features.ts";

const nodes = new NodeFolder();
let node: NodeProcess;
let client: SqlClient;
const plain = new Database(":memory:", { safeIntegers: true });
/** What plain SQLite holds after each epoch of the node. */
const contents = new Map<number, Content>();

beforeAll(async () => {
  node = await nodes.node({ store: nodes.fileStore() }).start();
  client = new SqlClient(node.url);
  await client.create("all");
  plain.run("PRAGMA foreign_keys = 1");
  plain.run("PRAGMA auto_vacuum = INCREMENTAL");
});
afterAll(() => nodes.remove());

describe("what a node and a plain SQLite were told", () => {
  test("has the same counters in every answer", async () => {
    contents.set(1, contentOf(plain));
    for (const statements of TRANSACTIONS) {
      const answer = await client.send("all", { statements: statements.map((sql) => ({ sql })) });
      expect(answer).toMatchObject({ status: 200 });
      plain.transaction(() => {
        for (const [index, sql] of statements.entries()) {
          const { changes, lastInsertRowid } = plain.run(sql);
          const result = answer.body.results![index]!;
          const changesRows = /^(INSERT|REPLACE|UPDATE|DELETE)/.test(sql);
          expect([sql, result.rows_affected]).toEqual([sql, changesRows ? Number(changes) : 0]);
          const hasId = /^INSERT INTO (item|made|keyless)\b/.test(sql);
          if (hasId) expect([sql, result.last_insert_id]).toEqual([sql, Number(lastInsertRowid)]);
        }
      })();
      contents.set(answer.body.epoch!, contentOf(plain));
    }
    expect([...contents.keys()]).toEqual(
      TRANSACTIONS.map((_, index) => index + 1).concat(
        TRANSACTIONS.length + 1,
      ),
    );
  });

  test("is equal table by table at every epoch", async () => {
    for (const [epoch, content] of contents) {
      expect(exported(await client.export("all", epoch))).toEqual(content);
    }
  });

  test("is equal through queries, indexes, full text and trees", expectAnswers);

  test("is equal after kill -9 and a restart", async () => {
    await node.kill();
    await node.start();
    await expectAnswers();
    for (const epoch of [2, 9, contents.size]) {
      expect(exported(await client.export("all", epoch))).toEqual(contents.get(epoch)!);
    }
    expect(exported(await client.export("all"))).toEqual(contents.get(contents.size)!);
  });
});

async function expectAnswers(): Promise<void> {
  for (const sql of QUESTIONS) {
    const rows = plain.query(sql).values() as unknown[][];
    const expected = rows.map((row) =>
      row.map((value) => typeof value === "bigint" ? Number(value) : value)
    );
    expect([sql, await client.query("all", sql)]).toEqual([sql, expected]);
  }
}

describe("what differs from one execution to the next", () => {
  test("random() and datetime('now') are the same everywhere once they are written", async () => {
    await client.execute("all", [
      "CREATE TABLE chance (r INTEGER DEFAULT (random()), b BLOB, at TEXT DEFAULT CURRENT_TIMESTAMP)",
      "INSERT INTO chance (b) VALUES (randomblob(20)), (randomblob(20))",
      "INSERT INTO chance VALUES (random(), randomblob(20), datetime('now', 'subsec'))",
    ]);
    const all = "SELECT CAST(r AS TEXT), hex(b), at FROM chance";
    const rows = await client.query("all", all);
    expect(new Set(rows.map(([r]) => r)).size).toBe(3);
    for (const [, , at] of rows) {
      expect(Math.abs(Date.parse(`${at}Z`) - Date.now())).toBeLessThan(60_000);
    }
    await node.kill();
    await node.start();
    expect(await client.query("all", all)).toEqual(rows);
    const file = Database.deserialize(await client.export("all"));
    expect(file.query(all).values()).toEqual(rows as never);
    file.close();
  });

  test("a database that shrinks gives its pages back, in memory and in the store", async () => {
    await client.create("shrinks");
    await client.execute("shrinks", [
      "CREATE TABLE t (x)",
      "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 2000) " +
      "INSERT INTO t SELECT randomblob(2000) FROM n",
    ]);
    await client.query("shrinks", "SELECT 1");
    const large = (await client.inspect("shrinks")).size_bytes;
    await client.execute("shrinks", ["DELETE FROM t WHERE rowid > 3", "PRAGMA incremental_vacuum"]);
    const [[pages]] = await client.query("shrinks", "PRAGMA page_count") as [[number]];
    expect(large).toBeGreaterThan(4_000_000);
    expect(pages).toBeLessThan(20);
    expect((await client.inspect("shrinks")).size_bytes).toBe(pages * 4096);
    await node.kill();
    await node.start();
    expect((await client.export("shrinks")).length).toBe(pages * 4096);
    expect(await client.query("shrinks", "SELECT count(*), sum(length(x)) FROM t"))
      .toEqual([[3, 6_000]]);
    expect(await client.query("shrinks", "PRAGMA integrity_check")).toEqual([["ok"]]);
  });

  for (const pageSize of [512, 65_536]) {
    test(`pages of ${pageSize} bytes work like any`, async () => {
      const name = `pages-${pageSize}`;
      await client.create(name, pageSize);
      await client.execute(name, [
        "CREATE TABLE t (id INTEGER PRIMARY KEY, x BLOB)",
        "INSERT INTO t (x) VALUES (randomblob(100000)), (zeroblob(300000))",
      ]);
      const sum = await client.query(name, "SELECT id, hex(substr(x, 1, 50)), length(x) FROM t");
      await node.kill();
      await node.start();
      expect(await client.query(name, "SELECT id, hex(substr(x, 1, 50)), length(x) FROM t"))
        .toEqual(sum);
      expect(await client.query(name, "PRAGMA page_size")).toEqual([[pageSize]]);
      expect(await client.query(name, "PRAGMA integrity_check")).toEqual([["ok"]]);
    });
  }

  test("a failing transaction of schema changes leaves the schema alone", async () => {
    const before = await client.query("all", "SELECT name, sql FROM sqlite_schema");
    const { tip } = await client.inspect("all");
    const answer = await client.send("all", {
      statements: [
        { sql: "DROP TABLE child" },
        { sql: "ALTER TABLE parent RENAME TO was_parent" },
        { sql: "CREATE TABLE parent (id)" },
        { sql: "INSERT INTO parent VALUES (1), (2), (nowhere)" },
      ],
    });
    expect(answer.status).toBe(400);
    expect((await client.inspect("all")).tip).toBe(tip);
    expect(await client.query("all", "SELECT name, sql FROM sqlite_schema")).toEqual(before);
  });
});
