/**
 * Prepared statements of a writer by their text, with what is known of each. Statements that change
 * the schema or a setting are never kept, and each makes all others be prepared anew: SQLite would
 * do that by itself, but bun:sqlite remembers the names of columns.
 */
import type { Database, Statement } from "bun:sqlite";
import { Failure } from "../base/failure.ts";
import { PREPARED_STATEMENTS_MAX } from "../base/limits.ts";
import { type CheckedStatement, describeStatement } from "./rules.ts";
import { plainText, tokenize, upperCase } from "./tokens.ts";

export interface Prepared {
  readonly checked: CheckedStatement;
  readonly statement: Statement;
  /** The names of its columns when it gives rows, else null. */
  readonly columns: readonly string[] | null;
  /** It reads or writes rows and nothing else. */
  readonly isPlain: boolean;
  /**
   * Where its last insert id comes from: `none` when it inserts nothing into a rowid table, `upsert`
   * when it may have updated instead.
   */
  readonly insertId: "none" | "inserted" | "upsert";
}

const PLAIN = new Set(["SELECT", "VALUES", "INSERT", "REPLACE", "UPDATE", "DELETE"]);

/** Functions through which a request could see what the one before it did. */
const ROW_COUNTERS = /last_insert_rowid|changes/i;

export class PreparedStatements {
  readonly #database: Database;
  readonly #fromClients = new Map<string, Prepared>();
  readonly #trusted = new Map<string, Prepared>();
  #schema: SchemaFacts | null = null;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Throws `invalid`, or what SQLite throws. `release` it after use. */
  get(sql: string, trusted: boolean): Prepared {
    const kept = trusted ? this.#trusted : this.#fromClients;
    const found = kept.get(sql);
    if (found !== undefined) {
      // A map keeps its order, so the first is the one unused for longest.
      if (kept.size > PREPARED_STATEMENTS_MAX / 2) {
        kept.delete(sql);
        kept.set(sql, found);
      }
      return found;
    }
    const prepared = this.#prepare(sql, trusted);
    if (!prepared.isPlain) return prepared;
    if (kept.size >= PREPARED_STATEMENTS_MAX) {
      const [oldest] = kept;
      oldest?.[1].statement.finalize();
      if (oldest !== undefined) kept.delete(oldest[0]);
    }
    kept.set(sql, prepared);
    return prepared;
  }

  /** Ends a statement that is not kept, and forgets the others, which may mean something else now. */
  release(prepared: Prepared): void {
    if (prepared.isPlain) return;
    prepared.statement.finalize();
    this.forget();
  }

  /** Forgets every statement: the schema may be another one. */
  forget(): void {
    for (const kept of [this.#fromClients, this.#trusted]) {
      for (const { statement } of kept.values()) statement.finalize();
      kept.clear();
    }
    this.#schema = null;
  }

  /** True when one of these statements, or a trigger, view or default, may read the row counters. */
  mayReadRowCounters(statements: readonly { readonly sql: string }[]): boolean {
    this.#schema ??= this.#readSchema();
    return this.#schema.usesRowCounters || statements.some(({ sql }) => ROW_COUNTERS.test(sql));
  }

  /** True when a constraint may be checked only at COMMIT. */
  mayDefer(): boolean {
    this.#schema ??= this.#readSchema();
    return this.#schema.mayDefer;
  }

  #prepare(sql: string, trusted: boolean): Prepared {
    const checked = describeStatement(sql, trusted ? "trusted" : "execute");
    const statement = this.#database.prepare(sql);
    if (!trusted && checked.mentionsMachinery && !statement.readonly) {
      statement.finalize();
      throw new Failure(
        "invalid",
        "Cannot run this statement: _headgate_ tables belong to Headgate and can only be read [I14]",
      );
    }
    return {
      checked,
      statement,
      columns: statement.reader ? statement.columnNames : null,
      // SQLite counts an EXPLAIN as running until it is finalized, and no savepoint ends before.
      isPlain: !checked.explains && PLAIN.has(checked.keyword),
      insertId: checked.mayInsert ? this.#insertId(sql) : "none",
    };
  }

  #insertId(sql: string): Prepared["insertId"] {
    const { target, isUpsert } = describeInsert(sql);
    const query = this.#database.prepare(
      "SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ? COLLATE NOCASE",
    );
    const withoutRowid = query.values(target)[0]?.[0] === 1n;
    query.finalize();
    return withoutRowid ? "none" : isUpsert ? "upsert" : "inserted";
  }

  #readSchema(): SchemaFacts {
    const query = this.#database.prepare(
      "SELECT max(sql LIKE '%last_insert_rowid%' OR sql LIKE '%changes%'), " +
        "max(sql LIKE '%deferred%') FROM main.sqlite_schema",
    );
    const [usesRowCounters, mayDefer] = query.values()[0] ?? [];
    query.finalize();
    return { usesRowCounters: usesRowCounters === 1n, mayDefer: mayDefer === 1n };
  }
}

/** What the words of the schema allow to be; they say too much rather than too little. */
interface SchemaFacts {
  readonly usesRowCounters: boolean;
  readonly mayDefer: boolean;
}

/** The table that an INSERT names, and whether it has an ON CONFLICT clause. */
function describeInsert(sql: string): { target: string; isUpsert: boolean } {
  const tokens = tokenize(sql).filter(({ kind }) => kind !== "space" && kind !== "comment");
  let depth = 0;
  let target = "";
  let isUpsert = false;
  tokens.forEach((token, index) => {
    if (token.kind === "open") depth++;
    else if (token.kind === "close") depth--;
    if (token.kind !== "word" || depth > 0) return;
    const word = upperCase(plainText(sql, token));
    if (word === "CONFLICT") isUpsert = true;
    if (word !== "INTO" || target !== "") return;
    const isQualified = tokens[index + 2]?.kind === "dot";
    const name = tokens[index + (isQualified ? 3 : 1)];
    if (name !== undefined) target = plainText(sql, name);
  });
  return { target, isUpsert };
}
