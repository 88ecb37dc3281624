/** The port to the databases that hold the catalogs of lakes. `server/databases.ts` is one. */
import type { Parameters, WriteRequest } from "../database/statement.ts";

export interface LakeDatabases {
  execute(name: string, request: WriteRequest): Promise<{ text: string; epoch: number }>;
  query(name: string, request: CatalogRead): Promise<CatalogAnswer>;
}

export interface CatalogRead {
  readonly sql: string;
  readonly params: Parameters;
  readonly level: "local" | "session" | "linearizable";
  readonly minEpoch?: number;
  readonly deadlineMs: number;
}

/** Small answers are text; larger ones a file that the caller reads and then calls `done`. */
export type CatalogAnswer =
  | { readonly text: string; readonly epoch: number }
  | { readonly path: string; readonly epoch: number; done(): void };
