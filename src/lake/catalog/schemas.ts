/** Schemas: folders of names for tables. */
import { checkLakeName, quoteName } from "./name.ts";
import { refuse } from "./refusal.ts";
import { type Change, NEXT_CATALOG_ID, takeCatalogIds, THIS_SNAPSHOT } from "./snapshot.ts";

export interface NewSchema {
  readonly name: string;
  /** Random. */
  readonly uuid: string;
}

/** The statement behind the guard that inserts it answers its id. Names are one in any case. */
export function createSchema({ name, uuid }: NewSchema): Change {
  checkLakeName(name, "schema");
  return {
    guard: refuse(
      [["name_taken", `EXISTS (${liveSchema(":name")})`]],
      { name },
    ),
    statements: [
      {
        sql: `INSERT INTO ducklake_schema VALUES (${NEXT_CATALOG_ID}, :uuid, ${THIS_SNAPSHOT}, ` +
          "NULL, :name, '', 1) RETURNING schema_id",
        params: { uuid, name },
      },
      takeCatalogIds(1),
    ],
    made: `created_schema:${quoteName(name)}`,
    changesSchema: true,
  };
}

/** Refused while the schema has tables or views. */
export function dropSchema(id: number): Change {
  const used = (table: string) =>
    `EXISTS (SELECT 1 FROM ${table} WHERE schema_id = :id AND end_snapshot IS NULL)`;
  return {
    guard: refuse([
      ["schema_missing", `NOT ${used("ducklake_schema")}`],
      ["schema_not_empty", `${used("ducklake_table")} OR ${used("ducklake_view")}`],
    ], { id }),
    statements: [{
      sql: `UPDATE ducklake_schema SET end_snapshot = ${THIS_SNAPSHOT} ` +
        "WHERE schema_id = :id AND end_snapshot IS NULL",
      params: { id },
    }],
    made: `dropped_schema:${id}`,
    changesSchema: true,
  };
}

/** SQL for the id of the schema of this name, no row where there is none. */
export function liveSchema(name: string): string {
  return "SELECT schema_id FROM ducklake_schema " +
    `WHERE lower(schema_name) = lower(${name}) AND end_snapshot IS NULL`;
}
