/** Clients know lakes, not the databases that hold their catalogs. */
import { Failure, isFailure } from "../base/failure.ts";
import { catalogDatabase } from "../epoch/name.ts";
import type { TableName } from "./catalog/read-tables.ts";

/** Does the work; where it finds no such database, there is no such lake. */
export async function ofLake<T>(lake: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const isAbout = isFailure(error, "missing") &&
      error.message.includes(JSON.stringify(catalogDatabase(lake)));
    throw isAbout ? new Failure("missing", `There is no lake ${lake}`, { cause: error }) : error;
  }
}

export function noTable(lake: string, { schema, name }: TableName): Failure {
  return new Failure("missing", `There is no table ${schema}.${name} in the lake ${lake}`);
}
