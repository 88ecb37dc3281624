/** A reader's connection to one image, and the statements that it has prepared. */
import { Database, type Statement } from "bun:sqlite";
import { Failure } from "../base/failure.ts";
import { PREPARED_STATEMENTS_MAX } from "../base/limits.ts";
import { bind, type BoundStatement } from "./parameters.ts";
import { checkStatement } from "./rules.ts";
import type { Parameters } from "./statement.ts";
import { tokenize } from "./tokens.ts";
import type { SqlValue } from "./value.ts";

/** SQLite maps at most this much of a file; the rest is read. */
const MAP_BYTES_MAX = 0x7fff_0000;
/** For trying out how a statement is run. */
export const IN_MEMORY = ":memory:";
/** Longer texts are prepared each time. */
const KEPT_CHARACTERS_MAX = 8_192;

interface Prepared {
  readonly statement: Statement<Record<string, SqlValue>, SqlValue[]>;
  /** What the client sees. */
  readonly columns: readonly string[];
  /** Where the values are in a row as bun:sqlite gives it. */
  readonly keys: readonly string[];
}

export class ReaderImage {
  readonly #database: Database;
  readonly #prepared = new Map<string, Prepared>();
  #schemaVersion: unknown = null;

  constructor(path: string) {
    // SQLite opens no empty database in memory that could not be written.
    const readonly = path !== IN_MEMORY;
    this.#database = new Database(path, { readonly, readwrite: !readonly, safeIntegers: true });
    // The gate keeps epochs away from reads; waiting here is the second line of defence.
    this.#database.run("PRAGMA busy_timeout = 5000");
    this.#database.run("PRAGMA query_only = 1");
    this.#database.run(`PRAGMA mmap_size = ${MAP_BYTES_MAX}`);
    // What a statement sorts and collects counts against this process's memory, and needs no disk.
    this.#database.run("PRAGMA temp_store = MEMORY");
  }

  /** Takes the shared lock: until `end` the image does not change. */
  begin(): void {
    this.#database.run("BEGIN");
    const version = this.#database.query("PRAGMA schema_version").values()[0]?.[0];
    if (version === this.#schemaVersion) return;
    // SQLite prepares anew by itself, but bun:sqlite remembers the names of columns; and SQLite looks
    // at the schema again only when a statement that uses it runs.
    this.#forgetStatements();
    this.#database.query("SELECT 1 FROM sqlite_schema LIMIT 1").values();
    this.#schemaVersion = version;
  }

  end(): void {
    if (this.#database.inTransaction) this.#database.run("ROLLBACK");
  }

  /**
   * Executes one statement, which `rules.ts` allows in a query: `begin` gets the names of its
   * columns, `row` each row, in a list that is used again.
   * Throws `invalid` for what only writes, or what `begin`, `row` and SQLite throw.
   */
  query(
    sql: string,
    params: Parameters | null,
    begin: (columns: readonly string[]) => void,
    row: (values: readonly SqlValue[]) => void,
  ): void {
    const bound = bind(checkStatement(sql, "query"), params ?? undefined);
    const prepared = this.#prepared.get(bound.sql) ?? this.#prepare(bound, sql);
    try {
      begin(prepared.columns);
      const { keys } = prepared;
      const values: SqlValue[] = new Array(keys.length).fill(null);
      for (const found of prepared.statement.iterate(...bound.values)) {
        for (let at = 0; at < keys.length; at++) values[at] = found[keys[at] ?? ""] ?? null;
        row(values);
      }
    } finally {
      if (bound.sql.length > KEPT_CHARACTERS_MAX) prepared.statement.finalize();
    }
  }

  close(): void {
    this.#forgetStatements();
    this.#database.close();
  }

  #prepare(bound: BoundStatement, sql: string): Prepared {
    let statement = this.#database.prepare<Record<string, SqlValue>, SqlValue[]>(bound.sql);
    if (!statement.readonly) {
      statement.finalize();
      throw new Failure("invalid", "it is not a read; send it to execute");
    }
    const found = statement.columnNames;
    let columns = found;
    if (bound.sql !== sql) {
      // Names of columns are the client's text, not what parameters were made into.
      const plain = this.#database.prepare(sql);
      columns = plain.columnNames;
      plain.finalize();
    }
    let keys = found;
    if (!namesKeepOrder(found)) {
      statement.finalize();
      keys = found.map((_, index) => `c${index}`);
      statement = this.#database.prepare(withNames(bound.sql, keys));
    }
    const prepared = { statement, columns, keys };
    if (bound.sql.length <= KEPT_CHARACTERS_MAX) this.#keep(bound.sql, prepared);
    return prepared;
  }

  #keep(sql: string, prepared: Prepared): void {
    if (this.#prepared.size >= PREPARED_STATEMENTS_MAX) {
      // A map keeps its order: the half that was prepared first goes.
      for (const [old, { statement }] of this.#prepared) {
        if (this.#prepared.size <= PREPARED_STATEMENTS_MAX / 2) break;
        statement.finalize();
        this.#prepared.delete(old);
      }
    }
    this.#prepared.set(sql, prepared);
  }

  #forgetStatements(): void {
    for (const { statement } of this.#prepared.values()) statement.finalize();
    this.#prepared.clear();
  }
}

/**
 * bun:sqlite gives rows one by one only as objects, which cannot hold two columns of one name and
 * put names that are whole numbers first.
 */
function namesKeepOrder(names: readonly string[]): boolean {
  return new Set(names).size === names.length &&
    names.every((name) => !/^\d+$/.test(name) && name !== "__proto__");
}

/** The same rows with columns named `names`. Only a SELECT, VALUES or WITH needs it. */
function withNames(sql: string, names: readonly string[]): string {
  const last = tokenize(sql).findLast(({ kind }) => kind !== "space" && kind !== "comment");
  const text = last?.kind === "semicolon" ? sql.slice(0, last.start) : sql;
  return `WITH "headgate rows"(${names.join(",")}) AS (${text}\n) SELECT * FROM "headgate rows"`;
}
