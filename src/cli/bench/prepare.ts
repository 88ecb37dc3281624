/** The database and tables that a bench needs, made with plain requests before it starts. */
import { Failure, isFailure } from "../../base/failure.ts";
import { ApiClient } from "../client.ts";
import {
  databasePath,
  READS_ROWS,
  READS_TABLE,
  readsText,
  type Target,
  WRITES_TABLE,
} from "./workload.ts";

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
  try {
    await clientOf(target).json({
      method: "POST",
      path: "/v1/databases",
      body: { name: target.database },
    });
  } catch (error) {
    // It is there, which is as good.
    if (!isFailure(error, "conflict")) throw error;
  }
}

/** Resolves with the epoch of the answer. */
async function execute(target: Target, sql: string): Promise<number> {
  const answer = await clientOf(target).json<{ epoch: number }>({
    method: "POST",
    path: databasePath(target, "/execute"),
    body: { statements: [{ sql, params: [] }], timeout_ms: REQUEST_TIMEOUT_MS },
  });
  return answer.epoch;
}

/** Resolves with the first value of the first row. */
async function query(target: Target, sql: string, epoch: number): Promise<unknown> {
  const { rows } = await clientOf(target).json<{ rows: readonly (readonly unknown[])[] }>({
    method: "POST",
    path: databasePath(target, "/query"),
    body: { sql, params: [], level: "session", min_epoch: epoch, timeout_ms: REQUEST_TIMEOUT_MS },
  });
  return rows[0]?.[0];
}

function clientOf({ url, token }: Target): ApiClient {
  return new ApiClient(url.href, token);
}
