/** The database and tables that a bench needs, made with plain requests before it starts. */
import { describe, Failure } from "../../base/failure.ts";
import { databasePath, READS_ROWS, READS_TABLE, readsText, type Target } from "./workload.ts";
import { WRITES_TABLE } from "./workload.ts";

const REQUEST_TIMEOUT_MS = 30_000;

/** Makes the database if it is not there, and the table that `writes` fills. */
export async function prepareWrites(target: Target): Promise<void> {
  await createDatabase(target);
  await execute(
    target,
    `CREATE TABLE IF NOT EXISTS ${WRITES_TABLE} (id INTEGER PRIMARY KEY, number INTEGER, text TEXT)`,
  );
}

/** Makes and fills the table that `reads` reads, then checks one answer. */
export async function prepareReads(target: Target): Promise<void> {
  await createDatabase(target);
  await execute(
    target,
    `CREATE TABLE IF NOT EXISTS ${READS_TABLE} (id INTEGER PRIMARY KEY, text TEXT NOT NULL)`,
  );
  const epoch = await execute(
    target,
    `INSERT OR REPLACE INTO ${READS_TABLE} (id, text) ` +
      `WITH RECURSIVE key(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM key WHERE id < ${READS_ROWS}) ` +
      `SELECT id, 'the text of row ' || id FROM key`,
  );
  const found = await query(target, `SELECT text FROM ${READS_TABLE} WHERE id = 4711`, epoch);
  if (found !== readsText(4711)) {
    throw new Failure("corrupt", `Cannot bench reads: row 4711 reads ${JSON.stringify(found)}`);
  }
}

/** Rows in the table of `writes`, of an epoch that holds everything acknowledged so far. */
export async function countWrites(target: Target): Promise<number> {
  // A write that changes nothing is answered with an epoch that no earlier answer is above.
  const epoch = await execute(target, `DELETE FROM ${WRITES_TABLE} WHERE id < 0`);
  const count = await query(target, `SELECT count(*) FROM ${WRITES_TABLE}`, epoch);
  if (typeof count === "number") return count;
  throw new Failure("corrupt", `Cannot count rows: the answer is ${JSON.stringify(count)}`);
}

async function createDatabase(target: Target): Promise<void> {
  const path = databasePath({ ...target, database: "" }).replace(/\/$/, "");
  const { status, text } = await post(target, path, { name: target.database });
  // "conflict" says that it is there, which is as good.
  if (status !== 409 && (status < 200 || status > 299)) {
    throw refusal(`create database ${target.database}`, status, text);
  }
}

/** Resolves with the epoch of the answer. */
async function execute(target: Target, sql: string): Promise<number> {
  const body = { statements: [{ sql, params: [] }], timeout_ms: REQUEST_TIMEOUT_MS };
  const { status, text } = await post(target, databasePath(target, "/execute"), body);
  const answer = status === 200 ? fieldsOf(text) : null;
  if (typeof answer?.["epoch"] === "number") return answer["epoch"];
  throw refusal(`execute "${sql}"`, status, text);
}

/** Resolves with the first value of the first row. */
async function query(target: Target, sql: string, epoch: number): Promise<unknown> {
  const body = {
    sql,
    params: [],
    level: "session",
    min_epoch: epoch,
    timeout_ms: REQUEST_TIMEOUT_MS,
  };
  const { status, text } = await post(target, databasePath(target, "/query"), body);
  const rows = status === 200 ? fieldsOf(text)?.["rows"] : null;
  const row: unknown = Array.isArray(rows) ? rows[0] : null;
  if (Array.isArray(row)) return row[0];
  throw refusal(`query "${sql}"`, status, text);
}

async function post(
  target: Target,
  path: string,
  body: unknown,
): Promise<{ status: number; text: string }> {
  try {
    const answer = await fetch(new URL(path, target.url), {
      method: "POST",
      headers: {
        "content-type": "application/json",
        ...(target.token === undefined ? {} : { authorization: `Bearer ${target.token}` }),
      },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
    return { status: answer.status, text: await answer.text() };
  } catch (cause) {
    throw new Failure("unavailable", `Cannot reach ${target.url.origin}: ${describe(cause)}`, {
      cause,
    });
  }
}

function fieldsOf(text: string): Record<string, unknown> | null {
  const value: unknown = JSON.parse(text);
  return typeof value === "object" && value !== null ? { ...value } : null;
}

function refusal(action: string, status: number, text: string): Failure {
  const kind = status === 401 || status === 403 ? "denied" : "unavailable";
  return new Failure(kind, `Cannot ${action}: the answer was ${status} ${text.slice(0, 300)}`);
}
