/**
 * Group commit against the plainest model: one SQLite database in which each request is a
 * transaction of its own. However requests are cut into batches, whoever among them is guilty, the
 * epochs hold what the model holds and each request gets the model's verdict.
 */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import fc from "fast-check";
import { request, SessionHarness } from "../unit/database/workspace-harness.ts";

/** `deferral` is what the foreign key of `c` says of when it is checked. */
const schema = (deferral: string) => [
  "CREATE TABLE p(id INTEGER PRIMARY KEY, n INTEGER NOT NULL DEFAULT 0)",
  `CREATE TABLE c(id INTEGER PRIMARY KEY, p REFERENCES p(id) ${deferral}, b)`,
  "CREATE TABLE log(what)",
  "CREATE TRIGGER ci AFTER INSERT ON c BEGIN UPDATE p SET n = n + 1 WHERE id = new.p; END",
  "CREATE TRIGGER cd BEFORE DELETE ON c WHEN old.id % 7 = 3 BEGIN SELECT RAISE(ROLLBACK, 'no'); END",
  "CREATE TRIGGER pu BEFORE UPDATE ON p WHEN new.n > 5 BEGIN SELECT RAISE(FAIL, 'full'); END",
];

const id = fc.integer({ min: 1, max: 12 });
const statement = fc.oneof(
  id.map((n) => `INSERT INTO p(id) VALUES (${n})`),
  id.map((n) => `INSERT OR ROLLBACK INTO p(id) VALUES (${n})`),
  id.map((n) => `INSERT OR REPLACE INTO p(id, n) VALUES (${n}, 0)`),
  fc.tuple(id, id).map(([a, b]) =>
    `INSERT INTO c(id, p, b) VALUES (${a}, ${b}, zeroblob(${a * 900}))`
  ),
  fc.tuple(id, id).map(([a, b]) => `INSERT INTO c(p, b) SELECT id, ${a} FROM p WHERE id <= ${b}`),
  id.map((n) => `DELETE FROM p WHERE id = ${n}`),
  id.map((n) => `DELETE FROM c WHERE id <= ${n}`),
  id.map((n) => `UPDATE OR FAIL p SET n = n + 1 WHERE id <= ${n}`),
  id.map((n) => `UPDATE c SET p = ${n}`),
  fc.constant("INSERT INTO log SELECT last_insert_rowid() || ' ' || changes()"),
  fc.constant("PRAGMA incremental_vacuum"),
  id.map((n) => `PRAGMA user_version = ${n}`),
  id.map((n) => `CREATE TABLE t${n}(a)`),
  id.map((n) => `INSERT INTO t${n} SELECT count(*) FROM c`),
  id.map((n) => `DROP TABLE t${n}`),
  id.map((n) => `ALTER TABLE t${n} ADD COLUMN b${n}`),
  fc.constant("INSERT INTO nowhere VALUES (1)"),
);
const batches = fc.array(
  fc.record({
    requests: fc.array(fc.array(statement, { minLength: 1, maxLength: 4 }), {
      minLength: 1,
      maxLength: 8,
    }),
    alone: fc.boolean(),
  }),
  { minLength: 1, maxLength: 6 },
);

/** Executes one request as its own transaction, counters reset; true when it succeeded. */
function transact(model: Database, statements: readonly string[]): boolean {
  model.run("INSERT OR REPLACE INTO counters.counters VALUES (0)");
  model.run("DELETE FROM counters.counters WHERE 0");
  model.run("BEGIN");
  try {
    for (const sql of statements) model.prepare(sql).run();
    model.run("COMMIT");
    return true;
  } catch {
    if (model.inTransaction) model.run("ROLLBACK");
    return false;
  }
}

function content(database: Database): unknown {
  const objects = database.prepare(
    "SELECT type, name, sql FROM sqlite_schema WHERE name NOT GLOB '_headgate*' ORDER BY name",
  ).values();
  const tables = objects.filter(([type]) => type === "table").map(([, name]) => {
    return [name, database.prepare(`SELECT * FROM "${name}" ORDER BY rowid`).values()];
  });
  return { objects, tables, version: database.prepare("PRAGMA user_version").values() };
}

for (const deferral of ["", "DEFERRABLE INITIALLY DEFERRED"]) {
  test(`epochs of any batches hold what one transaction after another holds (${deferral})`, () => {
    fc.assert(
      fc.property(batches, (cuts) => {
        const harness = new SessionHarness(1024);
        const model = new Database(":memory:", { safeIntegers: true });
        try {
          model.run("PRAGMA foreign_keys = ON");
          model.run("ATTACH ':memory:' AS counters");
          model.run("CREATE TABLE counters.counters(id INTEGER PRIMARY KEY)");
          for (const sql of schema(deferral)) model.run(sql);
          harness.batch(request(...schema(deferral)));
          for (const { requests, alone } of cuts) {
            harness.execute(requests.map((lines) => request(...lines)), { alone });
            const { answers } = harness.take();
            const verdicts = requests.map((lines) => transact(model, lines));
            expect(answers.map((answer) => typeof answer === "string")).toEqual(verdicts);
            const copy = harness.pages.open();
            try {
              expect(content(copy)).toEqual(content(model));
            } finally {
              copy.close();
            }
          }
        } finally {
          model.close();
          harness.close();
        }
      }),
      { numRuns: 60 },
    );
  }, 60_000);
}
