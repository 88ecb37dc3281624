import { afterAll, beforeAll, expect, test } from "bun:test";
import { type DuckDBConnection, DuckDBInstance } from "@duckdb/node-api";
import { isFailure } from "../../../../src/base/failure.ts";
import { checkStatement, type ParseSql } from "../../../../src/lake/query/statement-gate.ts";

let instance: DuckDBInstance;
let connection: DuckDBConnection;

beforeAll(async () => {
  instance = await DuckDBInstance.create(":memory:", { threads: "1" });
  connection = await instance.connect();
});
afterAll(() => {
  connection.closeSync();
  instance.closeSync();
});

/** DuckDB's own parser. */
const parse: ParseSql = async (sql) => {
  const text = `'${sql.replaceAll("'", "''")}'`;
  const reader = await connection.runAndReadAll(
    `SELECT json_serialize_sql(${text}, skip_null := true, skip_empty := true)`,
  );
  return String(reader.getRows()[0]?.[0]);
};

async function refusal(sql: string): Promise<string> {
  try {
    await checkStatement(sql, parse);
  } catch (error) {
    if (isFailure(error, "invalid")) return error.message;
    throw error;
  }
  throw new Error(`let through: ${sql}`);
}

const ALLOWED = [
  "SELECT 1",
  "  -- a comment\n SELECT 1 ; ;",
  "WITH a AS (SELECT 1 AS x) SELECT x FROM a",
  "WITH RECURSIVE a(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM a WHERE i < 5) FROM a",
  "VALUES (1, 2), (3, 4)",
  "FROM t WHERE id = $1",
  "TABLE t",
  "DESCRIBE t",
  "SUMMARIZE SELECT * FROM t",
  "SHOW TABLES",
  "EXPLAIN SELECT 1",
  "explain  analyze FROM t",
  "SELECT * FROM range(10) r(i), unnest([1, 2])",
  "PIVOT t ON name IN ('a', 'b') USING count(*)",
  "UNPIVOT t ON id INTO NAME n VALUE v",
  "SELECT list_transform([1], lambda x: x + 1)",
  "SELECT * FROM information_schema.tables",
];

const REFUSED = [
  ...["", " ", "-- nothing", ";", "SELEC 1", "SELECT 1; SELECT 2", "SELECT 1\0"],
  ...["COPY t TO 'x'", "COPY t FROM 'x'", "ATTACH 'x'", "DETACH x", "INSTALL httpfs"],
  ...["LOAD httpfs", "SET threads = 1", "RESET threads", "SET VARIABLE x = 1", "PRAGMA version"],
  ...["PRAGMA show_tables", "CALL pragma_version()", "CREATE TABLE x (a INT)", "DROP VIEW t"],
  ...["INSERT INTO t VALUES (1)", "UPDATE t SET id = 1", "DELETE FROM t", "EXPORT DATABASE 'x'"],
  ...["IMPORT DATABASE 'x'", "BEGIN", "VACUUM", "CHECKPOINT", "PREPARE a AS SELECT 1"],
  ...["EXECUTE a", "USE x", "CREATE SECRET s (TYPE s3)", "CREATE MACRO f() AS 1", "ANALYZE"],
  ...[
    "EXPLAIN COPY t TO 'x'",
    "EXPLAIN ANALYZE CREATE TABLE x AS FROM t",
    "EXPLAIN",
    "/**/EXPLAIN COPY t TO 'x'",
  ],
  ...[
    "EXPLAIN EXPLAIN SELECT 1",
    "EXPLAIN ANALYZE/**/COPY t TO 'x'",
    "EXPLAIN SELECT 1; DROP VIEW t",
  ],
  ...["FROM read_csv('x')", "FROM READ_TEXT('x')", "FROM \"read_blob\"('x')", "FROM glob('*')"],
  ...["SELECT (FROM read_parquet('1'))", "SELECT * FROM t WHERE EXISTS (FROM parquet_scan('1'))"],
  ...["FROM system.main.read_csv('x')", "DESCRIBE FROM read_json('x')", "FROM query('SELECT 1')"],
  ...["FROM query_table('t')", "FROM json_execute_serialized_sql('{}')", "FROM duckdb_settings()"],
  ...["FROM pg_settings", "FROM pg_catalog.PG_SETTINGS", "SELECT current_setting('threads')"],
  ...[
    "SELECT 'HOME'.getenv()",
    "FROM enable_logging()",
    "FROM enable_profiling()",
    "FROM checkpoint()",
  ],
  ...["FROM arrow_scan(NULL, NULL, NULL)", "FROM read_duckdb('x')", "FROM sniff_csv('x')"],
  ...["SELECT [x FOR x IN (SELECT list(content) FROM read_text('x'))]", "FROM seq_scan()"],
  ...["FROM t JOIN LATERAL (FROM glob(t.name)) ON true", "SELECT write_log('x')"],
  ...[
    "WITH a AS MATERIALIZED (FROM duckdb_secrets()) FROM a",
    "FROM (VALUES ((FROM which_secret('a', 'b'))))",
  ],
  ...[
    "PIVOT (FROM read_csv('x')) ON a IN (1) USING count(*)",
    "SELECT 1 ORDER BY (FROM glob('*'))",
  ],
  ...["SELECT max(a) FILTER (WHERE EXISTS (FROM glob('*'))) OVER () FROM t", "PIVOT t ON id"],
];

test.each(ALLOWED)("lets through: %j", async (sql) => {
  expect((await checkStatement(sql, parse)).sql).toBe(sql);
});

test.each(REFUSED)("refuses: %j", async (sql) => {
  expect(await refusal(sql)).toStartWith("Cannot run this query: ");
});

test("a refusal says what is allowed, or what is not", async () => {
  expect(await refusal("DROP TABLE t")).toContain("only SELECT, WITH, VALUES");
  expect(await refusal("FROM glob('*')")).toContain("the table function glob is not allowed");
  expect(await refusal("SELECT 1; SELECT 2")).toContain("2 statements; allowed: one");
  expect(await refusal("SELEC 1")).toContain('syntax error at or near "SELEC"');
});

test("a statement that is nested a thousand times is answered", async () => {
  const sql = `SELECT ${"(".repeat(5_000)}1${")".repeat(5_000)}`;
  const said = await checkStatement(sql, parse).then(() => "", String);
  expect(said).toMatch(/^$|Failure: Cannot run this query/);
});

test("names of tables are found at any depth, each once", async () => {
  const { tables, readsCatalog } = await checkStatement(
    "WITH c AS (FROM s.a) SELECT (SELECT max(id) FROM b) FROM c JOIN s.a ON true",
    parse,
  );
  expect(new Set(tables)).toEqual(
    new Set([
      { schema: "s", name: "a" },
      { schema: null, name: "b" },
      { schema: null, name: "c" },
    ]),
  );
  expect(readsCatalog).toBe(false);
});

test.each([
  "SHOW TABLES",
  "SHOW ALL TABLES",
  "FROM information_schema.columns",
  "FROM duckdb_columns()",
  "FROM pg_tables",
])("reads the lake's tables as such: %j", async (sql) => {
  expect((await checkStatement(sql, parse)).readsCatalog).toBe(true);
});
