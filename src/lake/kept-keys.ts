/**
 * Idempotency keys of requests that brought rows: a row a key in the lake's own catalog, written in
 * the transaction that stores the rows, so that a retry on another node or under another leader
 * finds what the first attempt did.
 */
import { Failure, isFailure } from "../base/failure.ts";
import type { Statement } from "../database/statement.ts";
import { type CatalogQuery, text, whole } from "./catalog/query.ts";
import { THIS_SNAPSHOT } from "./catalog/snapshot.ts";

export const KEYS_TABLE = "_headgate_ingested";

export interface RequestKey {
  /** Who asks; keys of different subjects have nothing to do with each other. */
  readonly subject: string;
  readonly key: string;
  /** Of the body and of what else the request asks for. */
  readonly hash: string;
}

export interface KeptAnswer {
  readonly subject: string;
  readonly key: string;
  readonly hash: string;
  readonly rows: number;
  readonly snapshot: number;
}

export function createKeysTable(): string {
  return `CREATE TABLE ${KEYS_TABLE}(subject TEXT, key TEXT, hash TEXT, rows INTEGER, ` +
    "snapshot INTEGER, at INTEGER, PRIMARY KEY (subject, key)) WITHOUT ROWID";
}

/** Behind a change. Fails with `conflict`, as `isKeyTaken` tells, if one of the keys is there. */
export function keepKeys(
  requests: readonly (RequestKey & { readonly rows: number })[],
  storeMs: number,
): Statement {
  const keys = requests.map(({ subject, key, hash, rows }) => [subject, key, hash, rows]);
  return {
    sql: `INSERT INTO ${KEYS_TABLE} SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, ` +
      `${THIS_SNAPSHOT}, :at FROM json_each(:keys)`,
    params: { keys: JSON.stringify(keys), at: storeMs },
  };
}

export function isKeyTaken(error: unknown): boolean {
  return isFailure(error, "conflict") && error.message.includes(`${KEYS_TABLE}.subject`);
}

/** Which of the keys are there, and what their requests did. */
export function findKeys(requests: readonly RequestKey[]): CatalogQuery<readonly KeptAnswer[]> {
  return {
    sql: `SELECT subject, key, hash, rows, snapshot FROM ${KEYS_TABLE} WHERE (subject, key) IN ` +
      "(SELECT value ->> 0, value ->> 1 FROM json_each(:keys))",
    params: { keys: JSON.stringify(requests.map(({ subject, key }) => [subject, key])) },
    decode: (rows) =>
      rows.map(([subject, key, hash, count, snapshot]) => ({
        subject: text(subject),
        key: text(key),
        hash: text(hash),
        rows: whole(count),
        snapshot: whole(snapshot),
      })),
  };
}

export function hasKeysBefore(ms: number): CatalogQuery<boolean> {
  return {
    sql: `SELECT 1 FROM ${KEYS_TABLE} WHERE at < :before LIMIT 1`,
    params: { before: ms },
    decode: (rows) => rows.length > 0,
  };
}

/** Keys are kept for a day. */
export function forgetKeys(beforeMs: number): Statement {
  return { sql: `DELETE FROM ${KEYS_TABLE} WHERE at < :before`, params: { before: beforeMs } };
}

export function otherRequest(key: string): Failure {
  return new Failure(
    "conflict",
    `The idempotency key ${JSON.stringify(key)} was used for a request with other rows`,
  );
}
