/** The catalog of one lake as a node's databases give it: each request that changes it is an epoch. */
import type { LakeDatabases } from "../../src/lake/lake-databases.ts";
import { LakeCatalog } from "./lake-catalog.ts";

export class MemoryCatalogs implements LakeDatabases {
  readonly catalog: LakeCatalog;
  /** Levels of the questions that were asked. */
  readonly asked: string[] = [];
  epoch = 1;
  /** Called before a question of this level is answered. */
  before: Partial<Record<string, () => void>> = {};

  constructor(dataPath: string) {
    this.catalog = new LakeCatalog(":memory:", { dataPath });
  }

  // deno-lint-ignore require-await -- the port is asynchronous
  async execute(_name: string, { statements }: Parameters<LakeDatabases["execute"]>[1]) {
    const results = this.catalog.execute(statements);
    return { text: JSON.stringify({ results }), epoch: ++this.epoch };
  }

  // deno-lint-ignore require-await
  async query(_name: string, { sql, params, level }: Parameters<LakeDatabases["query"]>[1]) {
    this.asked.push(level);
    this.before[level]?.();
    const rows = this.catalog.ask({ sql, params, decode: (rows) => rows });
    const text = JSON.stringify(
      { rows },
      (_, value) => typeof value === "bigint" ? Number(value) : value,
    );
    return { text, epoch: this.epoch };
  }
}
