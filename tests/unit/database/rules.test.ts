import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { Failure } from "../../../src/base/failure.ts";
import { checkStatement, type StatementUse } from "../../../src/database/rules.ts";

function refusal(sql: string, use: StatementUse = "execute"): string {
  try {
    checkStatement(sql, use);
  } catch (error) {
    if (error instanceof Failure && error.kind === "invalid") return error.message;
    throw error;
  }
  return "";
}

const READING = [
  "SELECT 1",
  "select 1;",
  "select 1 ; ; -- done",
  ";; /* first */ \ufeff\n-- second\n select 1",
  "VALUES (1), (2)",
  "WITH RECURSIVE a(x) AS (SELECT 1 UNION SELECT x + 1 FROM a) SELECT * FROM a",
  "WITH replace AS (SELECT 1) SELECT * FROM replace",
  "WITH a AS NOT MATERIALIZED (SELECT 1), b AS (SELECT (2)) VALUES (1)",
  "EXPLAIN SELECT 1",
  "EXPLAIN QUERY PLAN WITH a AS (SELECT 1) SELECT * FROM a",
  "SELECT ';COMMIT', a AS \";\", a AS [;], a AS `;` FROM t",
  "SELECT temp.a FROM t AS temp",
  "SELECT * FROM _headgate_claims",
  "PRAGMA table_info(t)",
  "PRAGMA main.table_info = 't'",
  "PRAGMA integrity_check(5)",
  "PRAGMA user_version;",
  'pragma "user_version"',
  "SELECT 1 /* open to the end",
];

test("what reads passes in a query and in an execute", () => {
  for (const sql of READING) {
    for (const use of ["query", "execute"] as const) {
      expect(`${sql}: ${refusal(sql, use)}`).toBe(`${sql}: `);
      expect(checkStatement(sql, use).reads).toBe(true);
    }
  }
});

const WRITING = [
  "INSERT INTO t VALUES (1)",
  "REPLACE INTO t VALUES (1)",
  "insert or rollback into t values (1)",
  "UPDATE t SET a = 1",
  "DELETE FROM t",
  "WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a",
  "WITH a AS (SELECT 1) DELETE FROM t",
  "CREATE TABLE u (a)",
  "CREATE TABLE IF NOT EXISTS main.u (a DEFAULT ';')",
  "CREATE UNIQUE INDEX IF NOT EXISTS i ON t (a)",
  "CREATE VIRTUAL TABLE IF NOT EXISTS main.v USING fts5(a, tokenize = 'porter ascii')",
  'CREATE VIRTUAL TABLE v USING "rtree"(id, a, b)',
  "DROP TABLE IF EXISTS t",
  "ALTER TABLE t RENAME TO u",
  "ANALYZE",
  "ANALYZE main.t",
  "REINDEX",
  "PRAGMA user_version = 3",
  "PRAGMA main.application_id(-3)",
  "PRAGMA incremental_vacuum",
  "PRAGMA incremental_vacuum(10)",
  "CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT CASE WHEN 1 THEN 2 END; DELETE FROM t; END",
  "CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT 1; END;",
  "CREATE TRIGGER IF NOT EXISTS r BEFORE UPDATE OF a ON t WHEN new.a > CASE new.a WHEN 1 THEN 2 END " +
  "BEGIN UPDATE t SET a = (CASE WHEN a = ';' THEN 1 ELSE 2 END); WITH x AS (SELECT 1) SELECT * FROM x; end ;",
];

test("what writes passes in an execute and is sent there by a query", () => {
  for (const sql of WRITING) {
    expect(`${sql}: ${refusal(sql)}`).toBe(`${sql}: `);
    expect(checkStatement(sql, "execute").reads).toBe(false);
    expect(refusal(sql, "query")).not.toBe("");
  }
});

const REFUSED: readonly (readonly [string, string])[] = [
  ["", "empty"],
  [" ;; -- nothing", "empty"],
  ["SELECT 1; SELECT 2", "second statement begins at character 11"],
  ["SELECT 1; garbage", "second statement"],
  ["SELECT 1\0; DROP TABLE t", "NUL"],
  ["BEGIN", "one transaction already"],
  ["COMMIT", "commits when"],
  ["END", "commits when"],
  ["ROLLBACK", "rolls back when"],
  ["SAVEPOINT a", "one execute"],
  ["RELEASE a", "one execute"],
  ["ATTACH 'x' AS y", "one database"],
  ["DETACH y", "one database"],
  ["VACUUM", "incremental_vacuum"],
  ["VACUUM INTO '/tmp/x'", "export"],
  ["EXPLAIN ATTACH 'x' AS y", "one database"],
  ["EXPLAIN QUERY PLAN COMMIT", "commits when"],
  ["EXPLAIN PRAGMA journal_mode = delete", "journal_mode"],
  ["PRAGMA journal_mode", "journal_mode is not allowed"],
  ["PRAGMA journal_mode = DELETE", "journal_mode is not allowed"],
  ["PRAGMA writable_schema(1)", "writable_schema is not allowed"],
  ["PRAGMA main.page_size = 512", "can be read, not set"],
  ["PRAGMA schema_version = 9", "can be read, not set"],
  ["PRAGMA encoding('UTF-16')", "can be read, not set"],
  ["PRAGMA temp.user_version = 3", "works on main"],
  ["PRAGMA", "not allowed"],
  ["CREATE TEMP TABLE x (a)", "temporary"],
  ["CREATE TEMPORARY TRIGGER r AFTER INSERT ON t BEGIN SELECT 1; END", "temporary"],
  ["EXPLAIN CREATE TEMP VIEW v AS SELECT 1", "temporary"],
  ["CREATE TABLE temp.x (a)", "temp schema"],
  ['CREATE TABLE IF NOT EXISTS "TEMP" /**/ . x (a)', "temp schema"],
  ["CREATE UNIQUE INDEX 'temp'.i ON t (a)", "temp schema"],
  ["CREATE VIRTUAL TABLE temp.v USING fts5(a)", "temp schema"],
  ["CREATE TRIGGER [temp].r AFTER INSERT ON t BEGIN SELECT 1; END", "temp schema"],
  ["DROP TABLE IF EXISTS temp.x", "temp schema"],
  ["ANALYZE temp", "temp schema"],
  ["CREATE VIRTUAL TABLE v USING csv(filename = '/etc/passwd')", "module csv"],
  ["SELECT load_extension('x')", "load_extension"],
  ["SELECT \"load_extension\"('x')", "load_extension"],
  ["SELECT fts3_tokenizer('simple')", "fts3_tokenizer"],
  ["ſELECT 1", "ſELECT is not allowed"],
  ["'SELECT' 1", "does not begin with a keyword"],
  ["(SELECT 1)", "does not begin with a keyword"],
  ["WITH", "WITH is not followed"],
  ["CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT 1; END; DROP TABLE t", "second statement"],
  ["CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT 1; END DROP TABLE t", "second statement"],
  ["SELECT ?0", "parameter ?0"],
  ["SELECT ?99999999999999999999", "is not from 1"],
];

test("everything else is refused with a sentence that says what is wrong", () => {
  for (const [sql, reason] of REFUSED) expect(refusal(sql)).toContain(reason);
});

test("machinery can be read and never named in what writes, in any quotes and case [I14]", () => {
  for (
    const name of ["_headgate_claims", '"_HEADGATE_Claims"', "[_headgate_x]", "`_Headgate_`"]
  ) {
    expect(refusal(`SELECT * FROM ${name}`, "query")).toBe("");
    expect(checkStatement(`SELECT * FROM ${name}`, "query").mentionsMachinery).toBe(true);
    for (
      const sql of [
        `INSERT INTO ${name} VALUES (1)`,
        `INSERT INTO t SELECT * FROM ${name}`,
        `DELETE FROM main.${name}`,
        `ALTER TABLE t RENAME TO ${name}`,
        `CREATE TRIGGER r AFTER INSERT ON t BEGIN DELETE FROM ${name}; END`,
        `WITH a AS (SELECT 1) UPDATE ${name} SET a = 1`,
      ]
    ) expect(refusal(sql)).toContain("[I14]");
  }
  expect(refusal("INSERT INTO t VALUES ('_headgate_claims')")).toContain("[I14]");
  expect(refusal("UPDATE '_headgate_claims' SET a = 1")).toContain("[I14]");
  expect(refusal("INSERT INTO t VALUES ('a _headgate_claims')")).toBe("");
});

test("a full-text table cannot take a name whose shadow tables would be machinery's [I14]", () => {
  expect(refusal("CREATE VIRTUAL TABLE _headgate USING fts5(a)")).toContain("[I14]");
  expect(refusal("ALTER TABLE f RENAME TO '_HEADGATE'")).toContain("[I14]");
});

test("the machinery's own statements are described and not refused", () => {
  const checked = checkStatement("INSERT INTO _headgate_claims VALUES (?, :b)", "trusted");
  expect(checked.mayInsert).toBe(true);
  expect(checked.parameters).toEqual(["?", ":b"]);
  expect(checkStatement("PRAGMA journal_mode = WAL", "trusted").keyword).toBe("PRAGMA");
});

test("a statement that may insert is told from one that only looks like it", () => {
  const inserts = (sql: string) => checkStatement(sql, "execute").mayInsert;
  expect(inserts("INSERT INTO t VALUES (1)")).toBe(true);
  expect(inserts("REPLACE INTO t VALUES (1)")).toBe(true);
  expect(inserts("WITH a AS (SELECT 1), b(x) AS (SELECT 2) INSERT INTO t SELECT 1")).toBe(true);
  expect(inserts("WITH a AS (SELECT 1) SELECT 'INSERT'")).toBe(false);
  expect(inserts("EXPLAIN INSERT INTO t VALUES (1)")).toBe(false);
  expect(inserts("CREATE TRIGGER r AFTER DELETE ON t BEGIN INSERT INTO t VALUES (1); END"))
    .toBe(false);
});

test("row counters and schema changes are marked", () => {
  expect(checkStatement("SELECT Last_Insert_Rowid()", "query").usesRowCounters).toBe(true);
  expect(checkStatement('SELECT "changes"()', "query").usesRowCounters).toBe(true);
  expect(checkStatement("SELECT 'changes'", "query").usesRowCounters).toBe(false);
  expect(checkStatement("DROP TABLE t", "execute").isSchemaChange).toBe(true);
  expect(checkStatement("DELETE FROM t", "execute").isSchemaChange).toBe(false);
});

test("what the rules call reading is readonly to SQLite, and what they accept it compiles", () => {
  const database = new Database(":memory:");
  database.run("CREATE TABLE t (a); CREATE TABLE _headgate_claims (a)");
  for (const sql of READING) {
    const statement = database.prepare(sql);
    expect(`${sql} ${(statement as unknown as { readonly: boolean }).readonly}`).toBe(
      `${sql} true`,
    );
    statement.finalize();
  }
  for (const sql of WRITING) database.prepare(sql).finalize();
});

test("SQLite, too, refuses to load an extension from SQL", () => {
  expect(() => new Database(":memory:").prepare("SELECT load_extension('x')").values())
    .toThrow("not authorized");
});

test("the memory of checked texts is bounded and keeps uses apart", () => {
  for (let count = 0; count < 5_000; count++) checkStatement(`SELECT ${count}`, "query");
  const sql = "DELETE FROM t";
  expect(checkStatement(sql, "execute")).toBe(checkStatement(sql, "execute"));
  expect(refusal(sql, "query")).not.toBe("");
});
