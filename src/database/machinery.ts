/**
 * The tables that every database carries for the machinery itself (DESIGN section 5): who owned its
 * chain, and the answers of idempotency keys. They travel in the pages like any other table.
 */
import type { Statement } from "./statement.ts";

export const CLAIMS_TABLE = "_headgate_claims";
export const REQUESTS_TABLE = "_headgate_requests";

/** Objects of other files with such names never survive an import (I14). */
export const MACHINERY_PREFIX = "_headgate_";

const CLAIMS_COLUMNS =
  "(epoch INTEGER PRIMARY KEY, node TEXT, address TEXT, system_claim INTEGER, successor TEXT, at TEXT)";
const REQUESTS_COLUMNS =
  "(subject TEXT, key TEXT, hash BLOB, answer TEXT, epoch INTEGER, at INTEGER, " +
  "PRIMARY KEY (subject, key)) WITHOUT ROWID";

/** What makes both tables in a schema of an open connection: "main", or an attached one. */
export function createMachinery(schema = "main"): readonly string[] {
  return [
    `CREATE TABLE ${schema}.${CLAIMS_TABLE}${CLAIMS_COLUMNS}`,
    `CREATE TABLE ${schema}.${REQUESTS_TABLE}${REQUESTS_COLUMNS}`,
  ];
}

/**
 * Forgets answers that were given before `beforeMs` (ms since 1970, on the store's time). For a
 * trusted request of the caller.
 */
export function purgeRequests(beforeMs: number): Statement {
  return { sql: `DELETE FROM ${REQUESTS_TABLE} WHERE at < ?`, params: [beforeMs] };
}
