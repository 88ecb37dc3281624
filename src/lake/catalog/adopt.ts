/**
 * Rows that were stored while they could not be registered: files that one change makes known, once.
 * Each lot has an id, and the catalog keeps the ids of all that it has adopted, so that anybody may
 * try, and try again. What is not to come any more, because its request was done another way or its
 * table is gone, is adopted without its files.
 */
import type { Statement } from "../../database/statement.ts";
import { keepKeys, KEYS_TABLE, type RequestKey } from "../kept-keys.ts";
import { type RecordedFile, registerRecorded } from "./data-files.ts";
import { type CatalogQuery, text } from "./query.ts";
import { type Condition, refuse } from "./refusal.ts";
import { type Change, THIS_SNAPSHOT } from "./snapshot.ts";

const ADOPTED_TABLE = "_headgate_adopted";
/** One row. `ducklake_metadata` is DuckLake's, and has what the real one writes and no more. */
const LAKE_TABLE = "_headgate_lake";

export interface AdoptedRows {
  readonly id: string;
  /** Which of all lakes that have had this name. */
  readonly lakeId: string;
  readonly table: { readonly id: number; readonly uuid: string };
  readonly files: readonly RecordedFile[];
  /** Of the requests that brought the rows. */
  readonly keys: readonly (RequestKey & { readonly rows: number })[];
}

/** With a new lake; its id is random. */
export function createAdoption(lakeId: string): readonly Statement[] {
  return [
    { sql: `CREATE TABLE ${LAKE_TABLE}(id TEXT NOT NULL)` },
    { sql: `INSERT INTO ${LAKE_TABLE} VALUES (:id)`, params: { id: lakeId } },
    { sql: `CREATE TABLE ${ADOPTED_TABLE}(id TEXT PRIMARY KEY, snapshot INTEGER, at INTEGER)` },
  ];
}

export function readLakeId(): CatalogQuery<string> {
  return {
    sql: `SELECT id FROM ${LAKE_TABLE}`,
    params: {},
    decode: (rows) => text(rows[0]?.[0]),
  };
}

const LAKE_DIFFERS: Condition = ["lake_differs", `(SELECT id FROM ${LAKE_TABLE}) IS NOT :lake`];

const IS_DONE = `(EXISTS (SELECT 1 FROM ${ADOPTED_TABLE} WHERE id = :id) ` +
  "OR NOT EXISTS (SELECT 1 FROM ducklake_table WHERE table_id = :table AND table_uuid = :uuid " +
  `AND end_snapshot IS NULL) OR EXISTS (SELECT 1 FROM ${KEYS_TABLE} WHERE (subject, key) IN ` +
  "(SELECT value ->> 0, value ->> 1 FROM json_each(:keys))))";

/**
 * The rows become visible. Refused as `lake_differs`, as `rows_done`, or where two of one snapshot
 * have the same key as `keepKeys` is.
 */
export function adoptRows(rows: AdoptedRows, storeMs: number): readonly Change[] {
  const { id, table, files, keys } = rows;
  // Columns go by their ids: files that were written for older ones are fine.
  const registered = registerRecorded({ table: table.id, files });
  const adopted: Change = {
    ...registered,
    guard: refuse([LAKE_DIFFERS, ["rows_done", IS_DONE]], facts(rows)),
    statements: [
      {
        sql: `INSERT INTO ${ADOPTED_TABLE} VALUES (:id, ${THIS_SNAPSHOT}, :at)`,
        params: { id, at: storeMs },
      },
      ...(keys.length > 0 ? [keepKeys(keys, storeMs)] : []),
    ],
  };
  return [adopted, registered];
}

/** What was refused as `rows_done` is done for ever. Refused itself where it is not. */
export function adoptNothing(rows: AdoptedRows, storeMs: number): readonly Statement[] {
  return [
    refuse([LAKE_DIFFERS, ["rows_wanted", `NOT ${IS_DONE}`]], facts(rows)),
    {
      sql: `INSERT OR IGNORE INTO ${ADOPTED_TABLE} VALUES (:id, NULL, :at)`,
      params: { id: rows.id, at: storeMs },
    },
  ];
}

function facts({ id, lakeId, table, keys }: AdoptedRows) {
  return {
    id,
    lake: lakeId,
    table: table.id,
    uuid: table.uuid,
    keys: JSON.stringify(keys.map(({ subject, key }) => [subject, key])),
  };
}
