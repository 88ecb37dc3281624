/** A table that comes with its first rows. */
import { Failure } from "../base/failure.ts";
import { createTable } from "./catalog/create-table.ts";
import type { LakeTable, TableName } from "./catalog/read-tables.ts";
import type { KnownTables } from "./known-tables.ts";
import type { LakeCatalog } from "./lake-catalog.ts";
import type { Loaders } from "./load/loaders.ts";
import type { BodyPlace } from "./load/message.ts";

export interface MakeTableParts {
  readonly loaders: Pick<Loaders, "infer">;
  readonly tables: KnownTables;
  uuid(): string;
}

/** Rejects as changes of a catalog do (refused as `name_taken` too), and as `infer`. */
export async function makeTable(
  { loaders, tables, uuid }: MakeTableParts,
  catalog: LakeCatalog,
  of: { readonly name: TableName; readonly body: BodyPlace; readonly deadlineMs: number },
): Promise<LakeTable | null> {
  const { name, body, deadlineMs } = of;
  const columns = await loaders.infer(body, deadlineMs);
  const change = createTable({ ...name, uuid: uuid(), columns });
  const { epoch } = await catalog.change([change], { deadlineMs });
  return await tables.refresh(catalog, name, { level: "session", minEpoch: epoch, deadlineMs });
}

export function noTable({ lake }: LakeCatalog, { schema, name }: TableName): Failure {
  return new Failure(
    "missing",
    `There is no table ${schema}.${name} in the lake ${lake}; ?create=true makes it from the rows`,
  );
}
