/**
 * What a client may try to leave its query by. Nothing that it is answered may hold the secret or
 * the place of a file, and nothing may be written; first at the front door, then without the gate.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { isFailure } from "../../src/base/failure.ts";
import type { LakeQueries } from "../../src/lake/query/queries.ts";
import { ask, column, type LakeStage, lakeStage, table, textOf } from "../support/lake-queries.ts";

const SECRET = "s3cr3t-0f-another-lake";

let stage: LakeStage;
let queries: LakeQueries;
let file: string;
let outside: string;

beforeAll(async () => {
  stage = lakeStage();
  queries = stage.queries();
  file = await stage.parquet("SELECT 1 AS a", "a: 1");
  outside = join(stage.directory, "data/outside");
  mkdirSync(outside);
  for (const name of ["x.csv", "x.json", "x.txt", "x.db", "x.sql"]) {
    writeFileSync(join(outside, name), `{"a": "${SECRET}"}\n`);
  }
  const other = await stage.parquet(`SELECT '${SECRET}' AS a`, "a: 1");
  copyFileSync(other, join(outside, "x.parquet"));
});
afterAll(() => stage.close());

/** Statements that would read, list or write if nothing held them. `%` is the folder outside. */
const ATTEMPTS: readonly string[] = [
  // Files, by function, by name, by glob, by the way back.
  "FROM read_csv('%/x.csv')",
  "FROM read_csv_auto('%/x.csv', all_varchar = true)",
  "FROM read_json('%/x.json')",
  "FROM read_json_objects('%/x.json')",
  "FROM read_ndjson_auto('%/x.json')",
  "FROM read_text('%/x.txt')",
  "FROM read_blob('%/x.txt')",
  "FROM read_parquet('%/x.parquet')",
  "FROM parquet_scan(['%/x.parquet', '1'])",
  "FROM read_parquet('%/*.parquet')",
  "FROM read_parquet('1/../../data/outside/x.parquet')",
  "FROM read_parquet('../../data/outside/x.parquet')",
  "FROM read_parquet('file://%/x.parquet')",
  "FROM read_parquet('/proc/self/cwd/../../data/outside/x.parquet')",
  "FROM '%/x.parquet'",
  "FROM '%/x.csv'",
  'FROM "%/x.json"',
  "SELECT * FROM t, '%/x.csv' AS x",
  "SELECT (SELECT a FROM '%/x.parquet')",
  "WITH a AS (FROM '%/x.parquet') FROM a",
  "DESCRIBE FROM '%/x.parquet'",
  "SUMMARIZE '%/x.parquet'",
  "FROM glob('%/*')",
  "FROM glob('/etc/*')",
  "FROM read_text('/proc/self/environ')",
  "FROM read_text('/proc/self/cmdline')",
  "FROM read_blob('/proc/self/exe')",
  "FROM sniff_csv('%/x.csv')",
  "FROM read_duckdb('%/x.db')",
  "FROM parquet_metadata('%/x.parquet')",
  "FROM parquet_kv_metadata('%/x.parquet')",
  "FROM parquet_bloom_probe('%/x.parquet', 'a', 'b')",
  "FROM read_csv('/dev/stdin')",
  "FROM read_parquet('https://example.com/x.parquet')",
  "FROM read_csv('s3://bucket/x.csv')",
  "FROM 'https://example.com/x.csv'",
  // SQL that comes from a text.
  "FROM query('FROM read_text(''%/x.txt'')')",
  "FROM query_table('%/x.parquet')",
  "FROM json_execute_serialized_sql(json_serialize_sql('FROM read_text(''%/x.txt'')'))",
  "PREPARE p AS FROM read_text('%/x.txt')",
  "EXECUTE p",
  "CREATE MACRO m() AS TABLE FROM read_text('%/x.txt')",
  "IMPORT DATABASE '%'",
  // Writing.
  "COPY t TO '%/new.csv'",
  "COPY t TO '1' (FORMAT parquet, USE_TMP_FILE false)",
  "COPY (SELECT 1) TO '%/new.parquet'",
  "COPY t FROM '%/x.csv'",
  "EXPORT DATABASE '%/new'",
  "EXPLAIN ANALYZE COPY t TO '%/new.csv'",
  "/* EXPLAIN */ EXPLAIN ANALYZE COPY t TO '%/new.csv'",
  "ATTACH '%/new.db' AS x",
  "ATTACH '%/x.db' AS x (READ_ONLY)",
  "CREATE TABLE x AS FROM read_text('%/x.txt')",
  "CALL enable_logging(storage = 'file', storage_path = '%/new')",
  "FROM enable_logging(storage = 'file', storage_path = '%/new')",
  "PRAGMA enable_profiling = 'json'; PRAGMA profiling_output = '%/new'",
  "FROM enable_profiling(save_location = '%/new')",
  "CREATE PERSISTENT SECRET s (TYPE http)",
  // Settings and extensions.
  "SET enable_external_access = true",
  "SET allowed_paths = ['%']",
  "SET allowed_directories = ['/']",
  "SET lock_configuration = false",
  "RESET lock_configuration",
  "SET GLOBAL temp_directory = '%'",
  "SET memory_limit = '100GB'",
  "PRAGMA temp_directory = '%'",
  "SET file_search_path = '%'",
  "SET home_directory = '%'",
  "SET extension_directory = '%'",
  "INSTALL httpfs",
  "INSTALL '%/x.so'",
  "LOAD '%/x.so'",
  "FORCE INSTALL sqlite FROM community",
  "SELECT 1; FROM read_text('%/x.txt')",
  "SELECT 1;\u00a0FROM read_text('%/x.txt')",
  "SELECT 1 -- \r\n; FROM read_text('%/x.txt')",
  "SELECT 1 /* ; */ ; FROM read_text('%/x.txt') -- */",
  "FROM\u200bread_text('%/x.txt')",
  "FROM ｒｅａｄ_text('%/x.txt')",
  "FROM U&\"read\\005Ftext\"('%/x.txt')",
  "SELECT $$x$$; FROM read_text($$%/x.txt$$)",
  "FROM read_text($a$%/x.txt$a$)",
  "FROM read_text(E'%/x.txt')",
  "FROM read_text('%/' || 'x.txt')",
  "FROM (VALUES ('%/x.txt')) v(p), read_text(v.p)",
  "FROM (VALUES ('%/x.txt')) v(p), LATERAL (FROM read_text(v.p))",
  // What tells of the machine.
  "SELECT getenv('HOME')",
  "SELECT current_setting('allowed_paths')",
  "FROM duckdb_settings()",
  "FROM duckdb_settings() WHERE name = 'allowed_paths'",
  "FROM pg_catalog.pg_settings",
  "FROM duckdb_secrets()",
  "FROM duckdb_logs",
  "FROM duckdb_external_file_cache()",
  "FROM duckdb_temporary_files()",
  "FROM which_secret('%', 'http')",
  "FROM arrow_scan(1, 2, 3)",
  "FROM histogram_values('pg_settings', setting)",
  "FROM histogram('%/x.csv', a)",
  "FROM pragma_table_info('%/x.parquet')",
  "FROM (SHOW pg_settings) CROSS JOIN pg_settings",
  "SELECT pg_catalog.current_setting('allowed_paths')",
  "SELECT system.main.\"CURRENT_SETTING\"('secret_directory')",
  "SELECT list_transform(['allowed_paths'], lambda x: current_setting(x))",
  "SELECT COLUMNS(c -> current_setting('threads') = c) FROM t",
  "SELECT * REPLACE (current_setting('allowed_paths') AS a) FROM t",
  "VALUES (current_setting('allowed_paths'))",
  "SELECT 1 LIMIT (SELECT length(current_setting('allowed_paths')))",
  "SELECT row_number() OVER w FROM t WINDOW w AS (ORDER BY current_setting('allowed_paths'))",
  "FROM t TABLESAMPLE reservoir(current_setting('threads'))",
  "FROM t AT (VERSION => current_setting('threads'))",
  "FROM t ASOF JOIN pg_settings s ON t.a >= s.setting",
  "FROM duckdb_approx_database_count()",
  "MERGE INTO t USING t AS s ON true WHEN MATCHED THEN DELETE",
];

/** Statements that are answered, and say nothing of where files are. */
const TELLING: readonly string[] = [
  "FROM duckdb_views()",
  "FROM duckdb_views",
  "SELECT view_definition FROM information_schema.views",
  "FROM pg_catalog.pg_views",
  "FROM duckdb_columns()",
  "FROM duckdb_databases()",
  "FROM pragma_database_list",
  "SHOW DATABASES",
  "SHOW ALL TABLES",
  "EXPLAIN FROM t",
  "EXPLAIN ANALYZE FROM t",
  "SELECT t FROM t",
  "FROM duckdb_functions() WHERE function_name = 'read_text'",
  "SELECT current_query(), current_user, current_database(), version()",
];

const filled = (sql: string) => sql.replaceAll("%", outside);

/** None of what a client is told may have this. */
function expectHarmless(said: string, sql: string): void {
  expect(said, sql).not.toContain(SECRET);
  // What the client itself has said may come back to it.
  const places = filled(sql) === sql ? [stage.directory, homedir() + "/"] : [file];
  for (const place of places) expect(said, sql).not.toContain(place);
}

function outsideNow(): string {
  const names = readdirSync(outside).sort();
  return names.map((name) => `${name} ${statSync(join(outside, name)).mtimeMs}`).join("\n");
}

test.each(ATTEMPTS)("does not get out: %j", async (sql) => {
  const before = outsideNow();
  const tables = [table("t", [column(1, "a", "int32")], [file])];
  const failure = await textOf(queries, ask(filled(sql), { tables })).catch((e) => e);
  if (typeof failure === "string") throw new Error(`answered: ${failure}`);
  expect(isFailure(failure, "invalid"), String(failure)).toBe(true);
  expectHarmless(failure.message, sql);
  expect(outsideNow()).toBe(before);
});

test.each(TELLING)("tells nothing of the machine: %j", async (sql) => {
  const tables = [table("t", [column(1, "a", "int32")], [file])];
  expectHarmless(await textOf(queries, ask(sql, { tables })), sql);
});

test("one query leaves nothing to the next in the same process", async () => {
  const tables = [table("mine", [column(1, "a", "int32")], [file])];
  expect(await textOf(queries, ask("SELECT setseed(0.5), a FROM mine", { tables }))).toContain("1");
  const failure = await textOf(queries, ask("FROM mine")).catch((e) => e);
  expect(failure.message).toContain("Table with name mine does not exist");
});

test("without the gate the lock still holds every file but the query's own", async () => {
  const folder = join(stage.directory, "locked");
  mkdirSync(folder);
  const bytes = readFileSync(file);
  const before = outsideNow();
  const program = join(import.meta.dir, "../support/locked-duckdb-program.ts");
  // This alone would overwrite a file that the query may read; only the gate refuses it.
  const attempts = ATTEMPTS.filter((sql) => !sql.startsWith("COPY t TO '1'")).map(filled);
  const child = Bun.spawn([process.execPath, program, folder, file], {
    stdin: new Blob([JSON.stringify(attempts)]),
    stderr: "inherit",
    env: { TZ: "UTC" },
  });
  const said = JSON.parse(await new Response(child.stdout).text()) as string[];
  expect(said).toHaveLength(attempts.length);
  said.forEach((text, at) => expect(text, attempts[at]).not.toContain(SECRET));
  expect(outsideNow()).toBe(before);
  expect(readFileSync(file)).toEqual(bytes);
  const answered = attempts.filter((_, at) => !said[at]?.startsWith("failed: "));
  expect(answered.filter((sql) => /^(SET|RESET|LOAD|INSTALL|FORCE)/.test(sql))).toEqual([]);
  // A log that would go to a file has written nothing, as seen above; a secret was only looked for.
  const isIdle = (sql: string) =>
    /^(PREPARE|(CALL|FROM) enable_logging|FROM which_secret)/.test(sql);
  expect(answered.filter((sql) => sql.includes(outside) && !isIdle(sql))).toEqual([]);
}, 60_000);
