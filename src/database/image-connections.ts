/**
 * Connections of this process to an image. One reads. The other rehearses: its statements may write,
 * and nothing of that ever leaves its cache. It never spills, never commits, and holds SQLite's
 * RESERVED lock, beside which readers go on, only while one synchronous function runs.
 */
import { Database } from "bun:sqlite";
import { assert } from "../base/assert.ts";
import { Failure } from "../base/failure.ts";
import { EPOCH_BYTES_MAX } from "../base/limits.ts";
import type { Rehearsal } from "./image.ts";
import { checkStatement } from "./rules.ts";
import { type StatementResult, StatementRunner } from "./run-statement.ts";
import type { Statement } from "./statement.ts";

export class ImageConnections {
  readonly #path: string;
  readonly #pageSize: number;
  #reader: Database | null = null;
  #stage: Stage | null = null;

  constructor(path: string, pageSize: number) {
    this.#path = path;
    this.#pageSize = pageSize;
  }

  /** Between two epochs; `read` is synchronous. */
  read<T>(read: (database: Database) => T): T {
    this.#reader ??= new Database(this.#path, { readonly: true });
    this.#reader.run("BEGIN");
    try {
      return read(this.#reader);
    } finally {
      this.#reader.run("ROLLBACK");
    }
  }

  /** Between two epochs; `run` is synchronous. */
  rehearse<T>(run: (rehearsal: Rehearsal) => T): T {
    this.#stage ??= new Stage(this.#path, this.#pageSize);
    return this.#stage.rehearse(run);
  }

  close(): void {
    this.#reader?.close(true);
    this.#stage?.close();
  }
}

class Stage {
  readonly #database: Database;
  readonly #runner: StatementRunner;
  readonly #pagesMax: number;
  #schemaVersion: unknown = null;

  constructor(path: string, pageSize: number) {
    const options = { readwrite: true, create: false, safeIntegers: true };
    const database = this.#database = new Database(path, options);
    database.run("PRAGMA busy_timeout = 0");
    database.run("PRAGMA cache_spill = OFF");
    // A journal in memory; nothing is ever synced, since nothing is ever written.
    database.run("PRAGMA journal_mode = MEMORY");
    database.run("PRAGMA temp_store = MEMORY");
    database.run("PRAGMA foreign_keys = ON");
    this.#runner = new StatementRunner(database);
    this.#pagesMax = Math.floor(EPOCH_BYTES_MAX / pageSize);
  }

  rehearse<T>(run: (rehearsal: Rehearsal) => T): T {
    const database = this.#database;
    // Another process cannot have it: only this one writes to the image, between such functions.
    database.run("BEGIN IMMEDIATE");
    let isOpen = true;
    try {
      this.#prepare();
      return run({
        run: (statement) => {
          assert(isOpen, "a rehearsal is over when its function returns");
          return this.#run(statement);
        },
        read: (statement) => {
          checkStatement(statement.sql, "query");
          assert(isOpen, "a rehearsal is over when its function returns");
          return this.#run(statement);
        },
      });
    } finally {
      isOpen = false;
      const { schemaTouched } = this.#runner;
      if (database.inTransaction) database.run("ROLLBACK");
      if (schemaTouched) this.#runner.forgetStatements();
    }
  }

  close(): void {
    this.#runner.forgetStatements();
    this.#database.close(true);
  }

  /** An epoch may have changed the schema since the last time; bun:sqlite would not notice. */
  #prepare(): void {
    const [version] = this.#database.query("PRAGMA main.schema_version").values()[0] ?? [];
    if (version !== this.#schemaVersion) this.#runner.forgetStatements();
    this.#schemaVersion = version;
    const [pages] = this.#database.query("PRAGMA main.page_count").values()[0] ?? [];
    this.#database.run(`PRAGMA main.max_page_count = ${Number(pages) + this.#pagesMax}`);
    this.#runner.begin(true);
  }

  /** Outside a transaction a statement would write to the image: one that ended it was the last. */
  #run(statement: Statement): StatementResult {
    if (this.#database.inTransaction) return this.#runner.run(statement, false);
    throw new Failure("conflict", "A statement has ended the transaction");
  }
}
