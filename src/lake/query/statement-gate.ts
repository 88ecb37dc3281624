/**
 * Which statements may run: one SELECT in all its spellings (WITH, VALUES, FROM, TABLE, DESCRIBE,
 * SUMMARIZE, SHOW, PIVOT … IN), or EXPLAIN [ANALYZE] of one. DuckDB's own parser says what a
 * statement is, as the tree that `json_serialize_sql` gives of SELECT statements alone; in the tree
 * every table function must be on a list, so that nothing that opens files, changes settings or
 * runs SQL from a string is called at all. The locked configuration stands behind this gate.
 */
import { Failure } from "../../base/failure.ts";
import { STATEMENT_BYTES_MAX } from "../../base/limits.ts";
import type { TableName } from "./lake-query.ts";

const ACTION = "Cannot run this query";

/**
 * Functions of FROM that compute, or that tell of the lake's own tables. None of them takes the name
 * of a table or a file: `histogram` does, and so is not among them.
 */
const TABLE_FUNCTIONS = new Set([
  ...["generate_series", "json_each", "json_tree", "range", "repeat", "repeat_row", "unnest"],
  ...["icu_calendar_names", "pg_timezone_names", "test_all_types"],
  ...["duckdb_columns", "duckdb_databases", "duckdb_functions", "duckdb_keywords"],
  ...["duckdb_schemas", "duckdb_tables", "duckdb_types", "duckdb_views", "pragma_table_info"],
]);

/** Functions of an expression that tell of the process or leave something behind. */
const FUNCTIONS_REFUSED = new Set(["current_setting", "getenv", "write_log"]);

/** Views over table functions that are not on the list. */
const VIEWS_REFUSED = new Set(["duckdb_logs", "duckdb_settings", "pg_settings"]);

/** Blanks, then EXPLAIN and what of its options is allowed. */
const EXPLAIN = /^\s*EXPLAIN\s+(?:ANALYZE\s+)?/i;

export interface CheckedStatement {
  /** For `prepare`: what DuckDB has parsed, without a word of ours. */
  readonly sql: string;
  /** Names of tables, views and common table expressions in the statement, each once. */
  readonly tables: readonly TableName[];
  /** True when it asks for the lake's tables as such (SHOW TABLES, information_schema). */
  readonly readsCatalog: boolean;
}

/** Gives the tree of a text, as `json_serialize_sql` does. */
export type ParseSql = (sql: string) => Promise<string>;

/** Throws `invalid`. */
export async function checkStatement(sql: string, parse: ParseSql): Promise<CheckedStatement> {
  if (sql.includes("\0")) throw refused("it has a NUL byte");
  if (Buffer.byteLength(sql) > STATEMENT_BYTES_MAX) {
    throw refused(`it has more than ${STATEMENT_BYTES_MAX} bytes`);
  }
  const explain = EXPLAIN.exec(sql)?.[0] ?? "";
  const tree = asTree(await parse(sql.slice(explain.length)));
  if (tree.error === true) throw refused(parserSays(tree));
  const statements = Array.isArray(tree.statements) ? tree.statements : [];
  if (statements.length === 0) throw refused("there is no statement in it");
  if (statements.length > 1) throw refused(`it has ${statements.length} statements; allowed: one`);
  return { sql, ...checkTree(statements[0]) };
}

interface Tree {
  readonly error?: unknown;
  readonly error_type?: unknown;
  readonly error_message?: unknown;
  readonly statements?: unknown;
}

function asTree(text: string): Tree {
  try {
    return JSON.parse(text) as Tree;
  } catch (cause) {
    throw new Failure("invalid", `${ACTION}: it is nested too deeply`, { cause });
  }
}

function parserSays({ error_type, error_message }: Tree): string {
  // DuckDB's word for statements that its serializer does not take: all but SELECT.
  if (error_type === "not implemented") {
    return "only SELECT, WITH, VALUES, FROM, DESCRIBE, SUMMARIZE, SHOW, PIVOT with IN, UNPIVOT, " +
      "and EXPLAIN of these are allowed";
  }
  return String(error_message);
}

/** Looks at each node of the tree, without recursion: a client decides how deep it is. */
function checkTree(statement: unknown): Omit<CheckedStatement, "sql"> {
  const tables = new Map<string, TableName>();
  let readsCatalog = false;
  const waiting: unknown[] = [statement];
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    if (typeof node !== "object" || node === null) continue;
    for (const child of Object.values(node)) waiting.push(child);
    const { type, function_name, table_name, schema_name, show_type } = node as TreeNode;
    if (typeof function_name === "string") checkFunction(function_name);
    if (type === "TABLE_FUNCTION") {
      const name = calledBy(node as TreeNode);
      if (!TABLE_FUNCTIONS.has(name)) throw refused(`the table function ${name} is not allowed`);
      readsCatalog ||= /^(duckdb|pragma)_/.test(name);
    }
    if (type === "SHOW_REF") readsCatalog ||= show_type !== "DESCRIBE" && show_type !== "SUMMARY";
    if (type === "BASE_TABLE" && typeof table_name === "string") {
      if (VIEWS_REFUSED.has(table_name.toLowerCase())) throw refused(`${table_name} is not shown`);
      const schema = typeof schema_name === "string" && schema_name !== "" ? schema_name : null;
      tables.set(`${schema} ${table_name}`, { schema, name: table_name });
      readsCatalog ||= isCatalog(schema, table_name);
    }
  }
  return { tables: [...tables.values()], readsCatalog };
}

interface TreeNode {
  readonly type?: unknown;
  readonly function_name?: unknown;
  readonly table_name?: unknown;
  readonly schema_name?: unknown;
  readonly show_type?: unknown;
  readonly function?: { readonly function_name?: unknown };
}

function checkFunction(name: string): void {
  if (FUNCTIONS_REFUSED.has(name.toLowerCase())) {
    throw refused(`the function ${name} is not allowed`);
  }
}

/** The table function of a node, or the node's own type where it calls something else. */
function calledBy(node: TreeNode): string {
  const name = node.function?.function_name;
  return typeof name === "string" ? name.toLowerCase() : "of this kind";
}

function isCatalog(schema: string | null, table: string): boolean {
  return /^(information_schema|pg_catalog)$/i.test(schema ?? "") ||
    /^(duckdb_|pragma_|pg_|sqlite_)/i.test(table);
}

function refused(why: string): Failure {
  return new Failure("invalid", `${ACTION}: ${why}`);
}
