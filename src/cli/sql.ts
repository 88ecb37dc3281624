/** `db query` and `db execute`: SQL from the command line or standard input, tables out. */
import type { ParsedArguments } from "./arguments.ts";
import { UsageError } from "./arguments.ts";
import { type ApiClient, clientOf } from "./client.ts";
import type { Parameters } from "../database/statement.ts";
import type { Surroundings } from "../server/surroundings.ts";
import { splitStatements } from "./split.ts";
import { formatTable } from "./table.ts";
import { parseAnswer, parseParameters, type ResultSet } from "./value.ts";

export interface QueryResult extends ResultSet {
  readonly epoch: number;
}

export interface ExecuteResult {
  readonly results: readonly StatementResult[];
  readonly epoch: number;
}

export interface StatementResult extends Partial<ResultSet> {
  readonly rows_affected: number;
  readonly last_insert_id: unknown;
}

export async function runQuery(args: ParsedArguments, around: Surroundings): Promise<number> {
  const [name = "", ...rest] = args.positionals;
  const minEpoch = args.whole("min-epoch", 1);
  const level = args.text("level");
  const timeoutMs = args.whole("timeout", 1);
  const params = parseParameters(args.all("param"));
  const { text } = await clientOf(args, around).text({
    method: "POST",
    path: `${databasePath(name)}/query`,
    body: {
      sql: sqlOf(rest[0], around),
      ...(params === undefined ? {} : { params }),
      ...(level === undefined ? {} : { level }),
      ...(minEpoch === undefined ? {} : { min_epoch: minEpoch }),
      ...(timeoutMs === undefined ? {} : { timeout_ms: timeoutMs }),
    },
  });
  if (args.has("json")) {
    around.write(`${text.trimEnd()}\n`);
    return 0;
  }
  const result = parseAnswer<QueryResult>(text);
  around.write(formatTable(result, around.columns()));
  around.write(`${countText(result.rows.length, "row")}, epoch ${result.epoch}\n`);
  return 0;
}

export async function runExecute(args: ParsedArguments, around: Surroundings): Promise<number> {
  const [name = "", ...rest] = args.positionals;
  const sql = sqlOf(rest[0], around);
  const { complete, rest: last } = splitStatements(sql);
  const statements = last.trim() === "" ? complete : [...complete, last.trim()];
  const params = parseParameters(args.all("param"));
  if (statements.length === 0) throw new UsageError("There is no statement to execute");
  if (params !== undefined && statements.length !== 1) {
    throw new UsageError(`--param goes with one statement; there are ${statements.length}`);
  }
  const key = args.text("idempotency-key");
  const timeoutMs = args.whole("timeout", 1);
  const answer = await execute(clientOf(args, around), around, name, {
    statements: statements.map((text) =>
      params === undefined ? { sql: text } : { sql: text, params }
    ),
    ...(key === undefined ? {} : { key }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  });
  if (args.has("json")) around.write(`${answer.text.trimEnd()}\n`);
  else around.write(executeText(parseAnswer<ExecuteResult>(answer.text), around.columns()));
  return 0;
}

export interface ExecuteOptions {
  readonly statements: readonly { readonly sql: string; readonly params?: Parameters }[];
  readonly key?: string;
  readonly timeoutMs?: number;
}

/** One transaction. It carries an idempotency key, so that it can never be applied twice. */
export function execute(
  client: ApiClient,
  around: Surroundings,
  database: string,
  options: ExecuteOptions,
): Promise<{ text: string; epoch: number }> {
  return client.text({
    method: "POST",
    path: `${databasePath(database)}/execute`,
    body: {
      statements: options.statements,
      idempotency_key: options.key ?? `cli-${Buffer.from(around.random.bytes(16)).toString("hex")}`,
      ...(options.timeoutMs === undefined ? {} : { timeout_ms: options.timeoutMs }),
    },
  });
}

/** What each statement did, a line each, tables where it returned rows. */
export function executeText(answer: ExecuteResult, width: number | null): string {
  const parts = answer.results.map((result) => {
    const rows = result.rows && result.columns
      ? formatTable({ columns: result.columns, rows: result.rows }, width)
      : "";
    const id = result.last_insert_id === null ? "" : `, last insert id ${idText(result)}`;
    return `${rows}${countText(result.rows_affected, "row")} affected${id}\n`;
  });
  return `${parts.join("")}committed in epoch ${answer.epoch}\n`;
}

export function databasePath(name: string): string {
  return `/v1/databases/${encodeURIComponent(name)}`;
}

export function countText(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

function idText({ last_insert_id: id }: StatementResult): string {
  return String(Object(id).integer ?? id);
}

/** SQL of the command line, or of the input. */
export function sqlOf(operand: string | undefined, around: Surroundings): string {
  if (operand !== undefined && operand !== "-") return operand;
  const text = around.readInput();
  if (text.trim() === "") {
    throw new UsageError("There is no SQL: give it after the name, or as input");
  }
  return text;
}
