/** Everything SQLite can do comes through exactly, at every epoch and every page size. */
import { afterEach, describe, expect, test } from "bun:test";
import { encodeRow } from "../../../src/database/value.ts";
import { request, results, SessionHarness } from "./workspace-harness.ts";

let harness: SessionHarness;
afterEach(() => harness.close());

/** Executes each step as a batch of its own; after each, all tables are as the workspace sees them. */
function run(steps: readonly string[][]): void {
  for (const step of steps) {
    const { answers } = harness.batch(request(...step));
    results(answers[0]);
    compare();
  }
}

function compare(): void {
  const copy = harness.pages.open();
  try {
    const tables = copy.query(
      "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '\\_headgate%' ESCAPE '\\'",
    ).values().flat() as string[];
    const queries = [
      "SELECT type, name, tbl_name, rootpage, sql FROM sqlite_schema ORDER BY rowid",
      "PRAGMA user_version",
      ...tables.map((name) => `SELECT * FROM "${name}" ORDER BY 1, 2, 3`.replace(/, 2, 3$/, "")),
    ];
    harness.execute(queries.map((sql) => request(sql)));
    const { answers, epoch } = harness.take();
    expect(epoch).toBeNull();
    queries.forEach((sql, index) => {
      const there = results(answers[index])[0]?.["rows"];
      const here = copy.query(sql).values().map((row) => JSON.parse(encodeRow(row)));
      expect({ sql, rows: here }).toEqual({ sql, rows: there } as never);
    });
  } finally {
    copy.close();
  }
}

const STEPS: Record<string, string[][]> = {
  "DDL in transactions": [
    ["CREATE TABLE a(x)", "INSERT INTO a VALUES (1)", "CREATE INDEX ax ON a(x)"],
    ["DROP INDEX ax", "CREATE VIEW v AS SELECT x + 1 AS y FROM a", "DROP TABLE a"],
    ["CREATE TABLE a(y)", "DROP VIEW v"],
  ],
  "triggers with counters": [
    [
      "CREATE TABLE t(id INTEGER PRIMARY KEY, a)",
      "CREATE TABLE n(c)",
      "INSERT INTO n VALUES (0)",
      "CREATE TRIGGER ai AFTER INSERT ON t BEGIN UPDATE n SET c = c + 1; END",
      "CREATE TRIGGER ad AFTER DELETE ON t BEGIN UPDATE n SET c = c - 1; END",
    ],
    ["INSERT INTO t(a) VALUES (1), (2), (3)"],
    ["DELETE FROM t WHERE a > 1", "INSERT INTO t(a) SELECT a FROM t"],
  ],
  "cascades": [
    [
      "CREATE TABLE p(id INTEGER PRIMARY KEY)",
      "CREATE TABLE c(p REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE)",
      "INSERT INTO p VALUES (1), (2)",
      "INSERT INTO c VALUES (1), (1), (2)",
    ],
    ["DELETE FROM p WHERE id = 1"],
    ["UPDATE p SET id = 20"],
  ],
  "WITHOUT ROWID, no primary key, NULL keys": [
    [
      "CREATE TABLE w(k TEXT PRIMARY KEY, v) WITHOUT ROWID",
      "CREATE TABLE bare(v)",
      "CREATE TABLE nulls(k TEXT PRIMARY KEY)",
    ],
    ["INSERT INTO w VALUES ('b', 1), ('a', 2)", "INSERT INTO bare VALUES (1), (1), (NULL)"],
    ["INSERT INTO nulls VALUES (NULL), (NULL), ('x')", "DELETE FROM bare WHERE v = 1"],
  ],
  "FTS5 and R-tree": [
    [
      "CREATE VIRTUAL TABLE f USING fts5(body)",
      "CREATE VIRTUAL TABLE r USING rtree(id, x0, x1)",
    ],
    ["INSERT INTO f VALUES ('the quick brown fox'), ('lazy dogs')"],
    ["INSERT INTO r VALUES (1, 0.5, 1.5), (2, 10, 20)", "DELETE FROM f WHERE f MATCH 'quick'"],
    ["INSERT INTO f(f) VALUES ('optimize')", "UPDATE r SET x1 = 30 WHERE id = 2"],
    ["DROP TABLE f", "DROP TABLE r"],
  ],
  "generated columns, AUTOINCREMENT after deletes": [
    [
      "CREATE TABLE g(a, b AS (a * 2) STORED, c AS (a + 1))",
      "CREATE TABLE i(id INTEGER PRIMARY KEY AUTOINCREMENT, a)",
    ],
    ["INSERT INTO g(a) VALUES (1), (2)", "INSERT INTO i(a) VALUES (1), (2), (3)"],
    ["DELETE FROM i"],
    ["INSERT INTO i(a) VALUES (4)"],
  ],
  "user_version, random() and the time": [
    ["PRAGMA user_version = 42", "CREATE TABLE r(a, b, c DEFAULT (datetime('now')))"],
    ["INSERT INTO r(a, b) SELECT random(), randomblob(8) FROM (VALUES (1), (2), (3))"],
    ["PRAGMA user_version = -7"],
  ],
  "ALTER TABLE and REINDEX": [
    ["CREATE TABLE t(a TEXT COLLATE NOCASE, b)", "CREATE INDEX ta ON t(a)"],
    ["INSERT INTO t VALUES ('x', 1), ('Y', 2)"],
    ["ALTER TABLE t ADD COLUMN c DEFAULT 'new'", "ALTER TABLE t RENAME COLUMN b TO bb"],
    ["ALTER TABLE t DROP COLUMN bb", "REINDEX ta", "ANALYZE"],
    ["ALTER TABLE t RENAME TO u"],
  ],
  "a database that shrinks and grows again": [
    ["CREATE TABLE t(id INTEGER PRIMARY KEY, a)", "CREATE TABLE keep(a)"],
    ["INSERT INTO keep VALUES (1)", "INSERT INTO t VALUES (1, zeroblob(500000))"],
    ["DELETE FROM t", "PRAGMA incremental_vacuum"],
    ["INSERT INTO t VALUES (2, randomblob(200000))"],
    ["INSERT INTO t VALUES (3, randomblob(300000))", "DELETE FROM t WHERE id = 3"],
    ["PRAGMA incremental_vacuum(10)"],
    ["INSERT INTO keep VALUES (2)"],
    ["DROP TABLE t", "PRAGMA incremental_vacuum"],
    ["CREATE TABLE t(id INTEGER PRIMARY KEY, a)", "INSERT INTO t VALUES (1, randomblob(50000))"],
  ],
};

for (const pageSize of [512, 4096, 65536]) {
  describe(`pages of ${pageSize} bytes`, () => {
    for (const [name, steps] of Object.entries(STEPS)) {
      test(`${name} come through at every epoch`, () => {
        harness = new SessionHarness(pageSize);
        run(steps);
      });
    }
  });
}

test("everything together, over a copy of what came out before", () => {
  harness = new SessionHarness();
  for (const [index, [, steps]] of Object.entries(STEPS).entries()) {
    if (index > 0) harness.reopenFromPages();
    const names = ["a", "ax", "v", "t", "n", "ai", "ad", "p", "c", "w", "bare", "nulls", "f", "r"];
    const drops = harness.pages.head === null ? [] : harness.pages.values(
      "SELECT name FROM sqlite_schema WHERE type = 'table' AND sql IS NOT NULL " +
        "AND name NOT GLOB '_headgate*' AND name NOT GLOB 'sqlite_*' AND name NOT GLOB '?_*'",
    ).flat().filter((table) => names.concat("g", "i", "u", "keep").includes(String(table)));
    if (drops.length > 0) harness.batch(request(...drops.map((table) => `DROP TABLE "${table}"`)));
    run(steps);
  }
});

test("a blob of 10 MB comes through, and goes", () => {
  harness = new SessionHarness();
  run([["CREATE TABLE b(a)"], ["INSERT INTO b VALUES (randomblob(10000000))"]]);
  expect(harness.pages.values("SELECT length(a) FROM b")).toEqual([[10_000_000]]);
  run([["DELETE FROM b", "PRAGMA incremental_vacuum"]]);
  expect(harness.pages.head?.header.commit).toBeLessThan(20);
});

test("transactions of 3, 6 and 60 MiB come through exactly", () => {
  harness = new SessionHarness();
  harness.batch(request("CREATE TABLE b(id INTEGER PRIMARY KEY, a)"));
  for (const mib of [3, 6, 60]) {
    const fill = `INSERT INTO b(a) SELECT randomblob(1000) FROM
      (WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c LIMIT ${
      mib * 970
    }) SELECT x FROM c)`;
    results(harness.batch(request(fill)).answers[0]);
    const digest = "SELECT count(*), sum(id), hex(max(a)), hex(min(a)) FROM b";
    const { answers } = harness.batch(request(digest));
    expect(results(answers[0])[0]?.["rows"]).toEqual(harness.pages.values(digest));
  }
}, 30_000);

test("the log is emptied between batches and nothing is lost", () => {
  harness = new SessionHarness();
  harness.batch(request("CREATE TABLE b(id INTEGER PRIMARY KEY, a)"));
  for (let index = 0; index < 8; index++) {
    harness.batch(request("INSERT INTO b(a) VALUES (randomblob(3000000))"));
    harness.batch(request("DELETE FROM b WHERE id % 2 = 0", "PRAGMA incremental_vacuum(100)"));
    compare();
  }
  const first = harness.pages.values("SELECT hex(a) FROM b ORDER BY id");
  harness.reopenFromPages();
  harness.batch(request("CREATE TABLE c(a)"));
  expect(harness.pages.values("SELECT hex(a) FROM b ORDER BY id")).toEqual(first);
});

test("a copy with one wrong byte is corrupt before SQLite sees it [I6]", () => {
  harness = new SessionHarness();
  harness.batch(request("CREATE TABLE b(a)", "INSERT INTO b VALUES (zeroblob(20000))"));
  expect(() => harness.reopenFromPages((bytes) => bytes[9_000] = 1)).toThrow("[I6]");
  harness.reopenFromPages();
});

test("page 1 of every epoch is canonical", () => {
  harness = new SessionHarness();
  for (let index = 0; index < 3; index++) {
    const { epoch } = harness.batch(request(`CREATE TABLE t${index}(a)`));
    const page1 = epoch?.pages[0];
    if (page1 === undefined) throw new Error("no page");
    const view = new DataView(page1.bytes.buffer, page1.bytes.byteOffset);
    expect(page1.number).toBe(1);
    expect([view.getUint8(18), view.getUint8(19)]).toEqual([1, 1]);
    expect([view.getUint32(24), view.getUint32(92)]).toEqual([index + 1, index + 1]);
    expect(view.getUint32(28)).toBe(epoch?.header.commit ?? 0);
  }
});

test("an epoch's time is after the one before, whatever the clock says", () => {
  harness = new SessionHarness();
  harness.execute([request("CREATE TABLE t(a)")]);
  expect(harness.take({ timestampMs: 9_000 }).epoch?.header.timestampMs).toBe(9_000);
  harness.execute([request("INSERT INTO t VALUES (1)")]);
  expect(harness.take({ timestampMs: 5 }).epoch?.header.timestampMs).toBe(9_001);
});

test("a new database has auto_vacuum, UTF-8 and the machinery's tables", () => {
  harness = new SessionHarness(8192);
  const { epoch } = harness.take({ epochKind: "claim" });
  expect(epoch?.header).toMatchObject({ maxEpoch: 1, kind: "claim", pageSize: 8192, nodeId: 77n });
  expect(harness.pages.values("PRAGMA auto_vacuum")).toEqual([[2]]);
  expect(harness.pages.values("PRAGMA encoding")).toEqual([["UTF-8"]]);
  expect(harness.pages.values("SELECT name FROM sqlite_schema ORDER BY 1")).toEqual([
    ["_headgate_claims"],
    ["_headgate_requests"],
  ]);
});
