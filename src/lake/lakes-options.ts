/** What the lakes of a node need of it. */
import type { Random } from "../base/random.ts";
import type { Log } from "../base/log.ts";
import type { CatalogCopiesOptions } from "./catalog-copies.ts";
import type { CatalogParts } from "./lake-catalog.ts";
import type { LakeDatabases } from "./lake-databases.ts";
import type { LakeFiles } from "./lake-files.ts";
import type { Loaders } from "./load/loaders.ts";
import type { LakeAnswer, LakeQuery, TableName } from "./query/lake-query.ts";
import type { StagedFiles } from "./staged-files.ts";

/** The engine of queries; `query/queries.ts` is one. */
export interface QueryEngine {
  query(query: LakeQuery): Promise<LakeAnswer>;
  inspect(
    query: Pick<LakeQuery, "sql" | "deadlineMs" | "signal">,
  ): Promise<readonly TableName[] | null>;
}

export interface LakesOptions extends CatalogParts {
  readonly databases: LakeDatabases & CatalogChains;
  readonly random: Random;
  readonly files: LakeFiles;
  readonly staged: StagedFiles;
  readonly loaders: Loaders;
  readonly queries: QueryEngine;
  readonly log: Log;
  readonly store: CatalogCopiesOptions["store"];
  /** For how long every epoch of a catalog can be restored. */
  readonly windowMs: number;
  leads(): boolean;
  uuid(): string;
}

/** Whole catalogs: only the leader makes and drops them. */
export interface CatalogChains {
  /** Names of all catalogs that this node knows. */
  catalogs(): readonly string[];
  /** The newest epoch that is known here; 0 for one that is not open. */
  tip(name: string): number;
  createCatalog(name: string): Promise<unknown>;
  dropCatalog(name: string): Promise<{ readonly epoch: number }>;
  /** The newest epoch as of a time, by the store; null where it cannot be restored any more. */
  epochAt(name: string, timeMs: number): Promise<number | null>;
  export: CatalogCopiesOptions["export"];
}
