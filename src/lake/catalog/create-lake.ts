/** A new lake's catalog, as the real DuckLake makes it: all tables, and snapshot 0 with `main`. */
import { VERSION } from "../../base/version.ts";
import type { Statement } from "../../database/statement.ts";
import { type CatalogQuery, text } from "./query.ts";
import { createRefusedTable } from "./refusal.ts";
import { timeText } from "./snapshot-time.ts";
import { createTables } from "./tables.ts";

export const DUCKLAKE_VERSION = "1.0";
/** The schema that every lake begins with, and its id. */
export const MAIN_SCHEMA = "main";
export const MAIN_SCHEMA_ID = 0;

export interface LakeOptions {
  /** Where the paths of files begin, with "/" at its end. */
  readonly dataPath: string;
  /** Random, of the schema `main`. */
  readonly schemaUuid: string;
  readonly nowMs: number;
}

/**
 * For a trusted request on a database without tables.
 *
 * Schemas and tables have an empty path, where the real DuckLake gives each a folder: a file has its
 * path before it is known which table takes it, so all paths begin at `dataPath`.
 */
export function createLake({ dataPath, schemaUuid, nowMs }: LakeOptions): readonly Statement[] {
  const metadata: readonly (readonly [string, string])[] = [
    ["version", DUCKLAKE_VERSION],
    ["created_by", `Headgate ${VERSION}`],
    ["data_path", folder(dataPath)],
    ["encrypted", "false"],
  ];
  return [
    ...[...createTables(), createRefusedTable()].map((sql) => ({ sql })),
    ...metadata.map(([key, value]) => ({
      sql: "INSERT INTO ducklake_metadata VALUES (:key, :value, NULL, NULL)",
      params: { key, value },
    })),
    {
      sql: `INSERT INTO ducklake_snapshot VALUES (0, ${timeText(":now")}, 0, :next, 0)`,
      params: { now: Math.floor(nowMs), next: MAIN_SCHEMA_ID + 1 },
    },
    {
      sql: "INSERT INTO ducklake_snapshot_changes VALUES (0, :made, NULL, NULL, NULL)",
      params: { made: `created_schema:"${MAIN_SCHEMA}"` },
    },
    {
      sql: "INSERT INTO ducklake_schema VALUES (:id, :uuid, 0, NULL, :name, '', 1)",
      params: { id: MAIN_SCHEMA_ID, uuid: schemaUuid, name: MAIN_SCHEMA },
    },
  ];
}

/** For a restored or copied lake whose files are elsewhere. Each path of a file stays as it is. */
export function moveLake(dataPath: string): Statement {
  return {
    sql: "UPDATE ducklake_metadata SET value = :path WHERE key = 'data_path' AND scope IS NULL",
    params: { path: folder(dataPath) },
  };
}

export interface LakeMetadata {
  readonly version: string;
  readonly createdBy: string;
  readonly dataPath: string;
}

/** Throws `corrupt` when it is not a lake. */
export function lakeMetadata(): CatalogQuery<LakeMetadata> {
  return {
    sql: "SELECT key, value FROM ducklake_metadata WHERE scope IS NULL",
    params: {},
    decode: (rows) => {
      const values = new Map(rows.map(([key, value]) => [key, value]));
      return {
        version: text(values.get("version")),
        createdBy: text(values.get("created_by")),
        dataPath: text(values.get("data_path")),
      };
    },
  };
}

function folder(path: string): string {
  return path.endsWith("/") ? path : `${path}/`;
}
