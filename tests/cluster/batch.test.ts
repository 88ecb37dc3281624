/**
 * Requests that share one epoch know nothing of each other: one that fails takes nobody with it,
 * and nothing of one is seen by the next (PROTOCOL section 4). The store is slow here, so that what
 * arrives during one PUT becomes one batch; each test proves by the epochs that it was one.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { NodeFolder } from "../support/node-process.ts";
import { type Answer, type Execute, SqlClient } from "../support/sql-client.ts";

const LATENCY_MS = 120;
const INNOCENTS = 12;

const SCHEMA = [
  "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, who TEXT UNIQUE ON CONFLICT ABORT)",
  "CREATE TABLE strict_name (name TEXT UNIQUE ON CONFLICT ROLLBACK)",
  "CREATE TABLE guarded (x TEXT)",
  `CREATE TRIGGER guard BEFORE INSERT ON guarded WHEN NEW.x = 'bad'
   BEGIN SELECT RAISE(ROLLBACK, 'guarded'); END`,
  "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
  `CREATE TABLE child (id INTEGER PRIMARY KEY,
     parent INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)`,
  "CREATE TABLE log (id INTEGER PRIMARY KEY, what TEXT)",
  "CREATE TABLE logged (id INTEGER PRIMARY KEY, x TEXT)",
  `CREATE TRIGGER note AFTER INSERT ON logged
   BEGIN INSERT INTO log (what) VALUES ('a' || NEW.x), ('b' || NEW.x); END`,
  "CREATE TABLE large (id INTEGER PRIMARY KEY, bytes BLOB)",
  "INSERT INTO strict_name VALUES ('taken')",
  "INSERT INTO t (id, who) VALUES (1000, 'first')",
];

const nodes = new NodeFolder();
let client: SqlClient;

beforeAll(async () => {
  const set = { "storage.simulate_latency_ms": LATENCY_MS };
  const node = await nodes.node({ store: nodes.fileStore(), set }).start();
  client = new SqlClient(node.url);
  await client.create("batch");
  await client.execute("batch", SCHEMA);
});
afterAll(() => nodes.remove());

/** The requests as one batch: they wait behind an append that is in flight. */
async function together(requests: readonly Execute[]): Promise<Answer[]> {
  const ahead = client.send("batch", {
    statements: [{ sql: "INSERT INTO log (what) VALUES ('')" }],
  });
  await Bun.sleep(LATENCY_MS / 3);
  const answers = await Promise.all(requests.map((request) => client.send("batch", request)));
  expect((await ahead).status).toBe(200);
  return answers;
}

let names = 0;

/** Inserts one row, then asks SQLite for its counters. */
function innocent(): { who: string; request: Execute } {
  const who = `innocent ${++names}`;
  return {
    who,
    request: {
      statements: [
        { sql: "SELECT last_insert_rowid(), changes(), total_changes()" },
        { sql: "INSERT INTO t (who) VALUES (?)", params: [who] },
        { sql: "SELECT last_insert_rowid(), changes(), total_changes()" },
      ],
    },
  };
}

/** What innocent requests must have been answered, whatever ran before them. */
async function expectInnocent(
  innocents: readonly { readonly who: string }[],
  answers: readonly Answer[],
): Promise<void> {
  const ids = new Map(await client.query("batch", "SELECT who, id FROM t") as [string, number][]);
  for (const [index, { who }] of innocents.entries()) {
    const answer = answers[index]!;
    expect(answer).toMatchObject({ status: 200 });
    const [before, insert, after] = answer.body.results!;
    const id = ids.get(who);
    expect(before!.rows![0]!.slice(0, 2)).toEqual([0, 0]);
    expect(insert).toEqual({ rows_affected: 1, last_insert_id: id! });
    expect(after!.rows![0]!.slice(0, 2)).toEqual([id, 1]);
    expect((after!.rows![0]![2] as number) - (before!.rows![0]![2] as number)).toBe(1);
  }
}

/** `guilty` between innocent requests: only it fails, and all others are in one epoch. */
async function onlyGuiltyFails(guilty: Execute): Promise<Answer> {
  const all = Array.from({ length: INNOCENTS }, innocent);
  const requests = all.map(({ request }) => request);
  requests.splice(INNOCENTS / 2, 0, guilty);
  const answers = await together(requests);
  const [failed] = answers.splice(INNOCENTS / 2, 1);
  await expectInnocent(all, answers);
  expect(new Set(answers.map(({ body }) => body.epoch)).size).toBe(1);
  expect(failed!.status).not.toBe(200);
  return failed!;
}

async function count(table: string, where = "true"): Promise<number> {
  const [[rows]] = await client.query("batch", `SELECT count(*) FROM ${table} WHERE ${where}`) as [
    [number],
  ];
  return rows;
}

describe("in one batch with others", () => {
  test("INSERT OR ROLLBACK that meets a duplicate fails alone", async () => {
    const failed = await onlyGuiltyFails({
      statements: [
        { sql: "INSERT INTO log (what) VALUES ('or rollback')" },
        { sql: "INSERT OR ROLLBACK INTO t (who) VALUES ('first')" },
      ],
    });
    expect(failed.body.error).toMatchObject({
      kind: "conflict",
      details: { statement: 1, code: "SQLITE_CONSTRAINT_UNIQUE" },
    });
    expect(await count("log", "what = 'or rollback'")).toBe(0);
  });

  test("a column that says ON CONFLICT ROLLBACK fails alone", async () => {
    const failed = await onlyGuiltyFails({
      statements: [
        { sql: "INSERT INTO log (what) VALUES ('column')" },
        { sql: "INSERT INTO strict_name VALUES ('taken')" },
      ],
    });
    expect(failed.body.error?.kind).toBe("conflict");
    expect(await count("log", "what = 'column'")).toBe(0);
  });

  test("RAISE(ROLLBACK) in a trigger fails alone", async () => {
    const failed = await onlyGuiltyFails({
      statements: [
        { sql: "INSERT INTO guarded VALUES ('good')" },
        { sql: "INSERT INTO guarded VALUES ('bad')" },
      ],
    });
    expect(failed.body.error).toMatchObject({ kind: "conflict", details: { statement: 1 } });
    expect(failed.body.error?.message).toContain("guarded");
    expect(await count("guarded")).toBe(0);
  });

  test("a deferred foreign key without its row fails alone", async () => {
    const failed = await onlyGuiltyFails({
      statements: [{ sql: "INSERT INTO child (id, parent) VALUES (1, 99)" }],
    });
    expect(failed.body.error?.kind).toBe("conflict");
    expect(await count("child")).toBe(0);
  });

  test("a deferred foreign key whose row comes later in the request succeeds", async () => {
    const [kept] = await together([
      {
        statements: [
          { sql: "INSERT INTO child (id, parent) VALUES (2, 7)" },
          { sql: "INSERT INTO parent (id) VALUES (7)" },
        ],
      },
      innocent().request,
    ]);
    expect(kept).toMatchObject({ status: 200 });
    expect(await count("child", "id = 2")).toBe(1);
  });

  test("CREATE TEMP TABLE is refused, and swallows nobody's rows", async () => {
    for (const sql of ["CREATE TEMP TABLE t (who TEXT)", "CREATE TABLE temp.t (who TEXT)"]) {
      const failed = await onlyGuiltyFails({ statements: [{ sql }] });
      expect(failed.body.error?.kind).toBe("invalid");
      expect(failed.body.error?.message).toContain("temp");
    }
    expect(await client.query("batch", "SELECT count(*) FROM sqlite_temp_schema")).toEqual([[0]]);
  });

  test("a failing second statement takes the first one back, and nothing else", async () => {
    const failed = await onlyGuiltyFails({
      statements: [
        { sql: "INSERT INTO t (who) VALUES ('guilty')" },
        { sql: "INSERT INTO nowhere VALUES (1)" },
      ],
    });
    expect(failed.body.error).toMatchObject({ kind: "invalid", details: { statement: 1 } });
    expect(failed.body.error?.message).toContain("nowhere");
    expect(await count("t", "who = 'guilty'")).toBe(0);
  });

  test("a change of the schema that fails leaves the schema as it was", async () => {
    const failed = await onlyGuiltyFails({
      statements: [
        { sql: "ALTER TABLE t ADD COLUMN more TEXT DEFAULT 'more'" },
        { sql: "CREATE TABLE half (a)" },
        { sql: "INSERT INTO half VALUES (1)" },
        { sql: "INSERT INTO half (b) VALUES (1)" },
      ],
    });
    expect(failed.body.error?.kind).toBe("invalid");
    expect(await client.query("batch", "SELECT name FROM pragma_table_info('t')"))
      .toEqual([["id"], ["who"]]);
    expect(await count("sqlite_schema", "name = 'half'")).toBe(0);
  });

  test("each of several guilty ones gets its own error", async () => {
    const innocents = Array.from({ length: 6 }, innocent);
    const answers = await together([
      innocents[0]!.request,
      { statements: [{ sql: "INSERT OR ROLLBACK INTO t (who) VALUES ('first')" }] },
      innocents[1]!.request,
      { statements: [{ sql: "INSERT INTO child (id, parent) VALUES (3, 99)" }] },
      innocents[2]!.request,
      { statements: [{ sql: "INSERT INTO guarded VALUES ('bad')" }] },
      innocents[3]!.request,
      { statements: [{ sql: "SELECT 1 FROM nowhere" }] },
      innocents[4]!.request,
      innocents[5]!.request,
    ]);
    const kinds = answers.map(({ body }) => body.error?.kind ?? "ok");
    expect(kinds).toEqual([
      "ok",
      "conflict",
      "ok",
      "conflict",
      "ok",
      "conflict",
      "ok",
      "invalid",
      "ok",
      "ok",
    ]);
    const good = answers.filter(({ status }) => status === 200);
    await expectInnocent(innocents, good);
  });

  test("a transaction of 5 MB before another leaves the other's answer alone", async () => {
    const bytes = crypto.getRandomValues(new Uint8Array(65_536));
    const statements = Array.from({ length: 80 }, (_, index) => ({
      sql: "INSERT INTO large (id, bytes) VALUES (?, ?)",
      params: [index, { base64: Buffer.from(bytes).toString("base64") }],
    }));
    const all = Array.from({ length: 4 }, innocent);
    const [first, ...rest] = await together([
      { statements },
      ...all.map(({ request }) => request),
    ]);
    expect(first).toMatchObject({ status: 200 });
    expect(first!.body.results!.map(({ last_insert_id }) => last_insert_id))
      .toEqual(statements.map((_, index) => index));
    await expectInnocent(all, rest);
    expect(await client.query("batch", "SELECT count(*), sum(length(bytes)) FROM large"))
      .toEqual([[80, 80 * 65_536]]);
    expect(await count("large", `bytes <> x'${Buffer.from(bytes).toString("hex")}'`)).toBe(0);
  });
});

describe("the counters of a request are its own", () => {
  test("rows that a trigger writes are not counted, nor are their ids given", async () => {
    const [answer, other] = await together([
      { statements: [{ sql: "INSERT INTO logged (id, x) VALUES (41, 'x'), (42, 'y')" }] },
      { statements: [{ sql: "SELECT last_insert_rowid(), changes()" }] },
    ]);
    expect(answer!.body.results).toEqual([{ rows_affected: 2, last_insert_id: 42 }]);
    expect(other!.body.results![0]!.rows).toEqual([[0, 0]]);
  });

  test("statements that insert nothing have no last_insert_id", async () => {
    const insert = "INSERT INTO logged (id, x) VALUES (?, 'z')";
    const [, update, remove, nothing, select] = await together([
      { statements: [{ sql: insert, params: [50] }] },
      { statements: [{ sql: "UPDATE logged SET x = 'zz' WHERE id IN (41, 42)" }] },
      { statements: [{ sql: "DELETE FROM logged WHERE id = 41" }] },
      { statements: [{ sql: "INSERT OR IGNORE INTO t (who) VALUES ('first')" }] },
      { statements: [{ sql: "SELECT count(*) AS n FROM logged" }] },
    ]);
    expect(update!.body.results).toEqual([{ rows_affected: 2, last_insert_id: null }]);
    expect(remove!.body.results).toEqual([{ rows_affected: 1, last_insert_id: null }]);
    expect(nothing!.body.results).toEqual([{ rows_affected: 0, last_insert_id: null }]);
    expect(select!.body.results![0]).toMatchObject({
      rows_affected: 0,
      last_insert_id: null,
      columns: ["n"],
    });
  });

  test("a failed request leaves no counter behind for the next", async () => {
    const [failed, next] = await together([
      {
        statements: [
          { sql: "INSERT INTO logged (id, x) VALUES (77, 'lost')" },
          { sql: "INSERT INTO nowhere VALUES (1)" },
        ],
      },
      { statements: [{ sql: "SELECT last_insert_rowid(), changes()" }] },
    ]);
    expect(failed!.status).toBe(400);
    expect(next!.body.results![0]!.rows).toEqual([[0, 0]]);
  });

  test("a pragma that one request sets does not hold for the next", async () => {
    const [set, next] = await together([
      { statements: [{ sql: "PRAGMA defer_foreign_keys = 1" }] },
      { statements: [{ sql: "INSERT INTO parent (id) VALUES (8)" }] },
    ]);
    expect(set!.body.error?.kind).toBe("invalid");
    expect(next!.status).toBe(200);
  });
});
