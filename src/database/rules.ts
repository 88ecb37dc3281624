/**
 * Which SQL may come from outside: an allow-list on SQLite's own tokens. bun:sqlite has no
 * authorizer, and SQLite's `readonly` is true for ATTACH, BEGIN, VACUUM INTO and many PRAGMAs, so
 * the first keyword decides, and nothing may follow the first statement.
 * What passes must in a `query` also be readonly in SQLite's eyes; so must what mentions machinery.
 */
import { Failure } from "../base/failure.ts";
import { type NumberedParameters, numberParameters } from "./parameters.ts";
import { TokenReader } from "./token-reader.ts";
import { lowerCase, plainText, type Token, tokenize, upperCase } from "./tokens.ts";

/** `trusted` is the machinery's own SQL: described like the rest, but nothing is refused. */
export type StatementUse = "query" | "execute" | "trusted";

export interface CheckedStatement extends NumberedParameters {
  readonly sql: string;
  /** The verb, in upper case: after EXPLAIN [QUERY PLAN] and after the tables of WITH. */
  readonly keyword: string;
  readonly explains: boolean;
  /** What the tokens say: it only reads. SQLite's own verdict is to be asked as well. */
  readonly reads: boolean;
  /** It may insert rows, so that its last insert id means something. */
  readonly mayInsert: boolean;
  /** Names a `_headgate_` table: SQLite must call it readonly (I14). */
  readonly mentionsMachinery: boolean;
  /** Mentions last_insert_rowid, changes or total_changes. */
  readonly usesRowCounters: boolean;
  readonly isSchemaChange: boolean;
}

const READS = new Set(["SELECT", "VALUES", "PRAGMA"]);
const WRITES = new Set(["INSERT", "REPLACE", "UPDATE", "DELETE"]);
const SCHEMA = new Set(["CREATE", "DROP", "ALTER", "ANALYZE", "REINDEX"]);

const INSTEAD: Readonly<Record<string, string>> = {
  BEGIN: "the statements of one execute are one transaction already",
  COMMIT: "an execute commits when all its statements have succeeded",
  END: "an execute commits when all its statements have succeeded",
  ROLLBACK: "an execute rolls back when one of its statements fails",
  SAVEPOINT: "send the statements that belong together in one execute",
  RELEASE: "send the statements that belong together in one execute",
  ATTACH: "a statement sees one database; name it in the path of the request",
  DETACH: "a statement sees one database; name it in the path of the request",
  VACUUM: "use PRAGMA incremental_vacuum to give back free pages, and export for a copy",
};

/** Pragmas that answer a question; true when they take an argument to ask about. */
const ASKING_PRAGMAS = new Map([
  ["table_info", true],
  ["table_xinfo", true],
  ["table_list", true],
  ["index_list", true],
  ["index_info", true],
  ["index_xinfo", true],
  ["foreign_key_list", true],
  ["foreign_key_check", true],
  ["integrity_check", true],
  ["quick_check", true],
  ["page_count", false],
  ["page_size", false],
  ["freelist_count", false],
  ["encoding", false],
  ["user_version", false],
  ["application_id", false],
  ["schema_version", false],
]);
/** Pragmas that an `execute` may give a value. */
const WRITING_PRAGMAS = new Set(["user_version", "application_id", "incremental_vacuum"]);

/** Modules of virtual tables that keep all they know inside the database. */
const MODULES = new Set(
  ("fts3 fts4 fts5 fts3tokenize fts4aux fts5vocab rtree rtree_i32 geopoly dbstat").split(" "),
);

/** Functions and tables that reach outside the database or change what others see. */
const REFUSED_NAMES = new Set(["load_extension", "fts3_tokenizer", "pragma_optimize"]);
const ROW_COUNTERS = new Set(["last_insert_rowid", "changes", "total_changes"]);

/** Texts up to this length are remembered, in two generations of this many. */
const REMEMBERED_CHARACTERS_MAX = 8_192;
const REMEMBERED_STATEMENTS_MAX = 1_024;

interface Memory {
  young: Map<string, CheckedStatement>;
  old: Map<string, CheckedStatement>;
}

const memories: Readonly<Record<StatementUse, Memory>> = {
  query: { young: new Map(), old: new Map() },
  execute: { young: new Map(), old: new Map() },
  trusted: { young: new Map(), old: new Map() },
};

/** As `describeStatement`, but fast for a text that was checked lately. */
export function checkStatement(sql: string, use: StatementUse): CheckedStatement {
  const memory = memories[use];
  const known = memory.young.get(sql);
  if (known !== undefined) return known;
  const checked = memory.old.get(sql) ?? describeStatement(sql, use);
  if (sql.length <= REMEMBERED_CHARACTERS_MAX) {
    if (memory.young.size >= REMEMBERED_STATEMENTS_MAX) {
      memory.old = memory.young;
      memory.young = new Map();
    }
    memory.young.set(sql, checked);
  }
  return checked;
}

/**
 * Describes one statement.
 * Throws `invalid`, with a sentence that says what to do instead, unless it is exactly one statement
 * of a kind that `use` allows. It need not be correct SQL: SQLite judges that.
 */
export function describeStatement(sql: string, use: StatementUse): CheckedStatement {
  if (sql.includes("\0")) throw refused("it contains a NUL character; send it as a parameter");
  const all = tokenize(sql);
  const tokens = firstStatement(
    sql,
    all.filter(({ kind }) => kind !== "space" && kind !== "comment"),
  );
  const reader = new TokenReader(sql, tokens);
  const explains = reader.take("EXPLAIN");
  if (explains && reader.take("QUERY")) reader.take("PLAN");
  const keyword = verb(reader);
  const reads = keyword === "PRAGMA" ? pragmaReads(reader, use) : READS.has(keyword);
  const names = mentions(sql, tokens);
  if (use !== "trusted") {
    allow(keyword, reads, use);
    refuseTemporary(reader, keyword);
    for (const name of REFUSED_NAMES) {
      if (names.has(name)) throw refused(`${name} is not available`);
    }
    if (names.has(MACHINERY) && !reads && !explains) {
      throw refused(
        "names that begin with _headgate_ belong to Headgate and can only be read; " +
          "as data, send them as a parameter [I14]",
      );
    }
  }
  return {
    sql,
    keyword,
    explains,
    reads: reads || explains,
    mayInsert: !explains && (keyword === "INSERT" || keyword === "REPLACE"),
    mentionsMachinery: names.has(MACHINERY),
    usesRowCounters: [...ROW_COUNTERS].some((name) => names.has(name)),
    isSchemaChange: !explains && SCHEMA.has(keyword) && keyword !== "REINDEX",
    ...numberParameters(sql, tokens),
  };
}

function refused(reason: string): Failure {
  return new Failure("invalid", `Cannot run this statement: ${reason}`);
}

/** The tokens of the first statement without its semicolon. Throws when another one follows. */
function firstStatement(sql: string, tokens: readonly Token[]): readonly Token[] {
  let start = 0;
  while (tokens[start]?.kind === "semicolon") start++;
  if (start === tokens.length) throw refused("it is empty");
  let end = start;
  const isTrigger = beginsTrigger(sql, tokens, start);
  while (end < tokens.length) {
    if (tokens[end]?.kind === "semicolon") {
      const next = tokens[end + 1];
      // Inside a trigger only END or another command can follow a semicolon, so the first
      // "; END" is its end, whatever CASE … END came before.
      if (!isTrigger) break;
      if (next?.kind === "word" && upperCase(plainText(sql, next)) === "END") {
        end += 2;
        break;
      }
    }
    end++;
  }
  const rest = tokens.slice(end).find(({ kind }) => kind !== "semicolon");
  if (rest !== undefined) {
    throw refused(
      `a second statement begins at character ${rest.start + 1}; send one statement at a time`,
    );
  }
  return tokens.slice(start, end);
}

function beginsTrigger(sql: string, tokens: readonly Token[], start: number): boolean {
  const reader = new TokenReader(sql, tokens, start);
  if (reader.take("EXPLAIN") && reader.take("QUERY")) reader.take("PLAN");
  if (!reader.take("CREATE")) return false;
  if (!reader.take("TEMP")) reader.take("TEMPORARY");
  return reader.take("TRIGGER");
}

/** The verb, with the reader behind it. After WITH it is the word behind the last table's `)`. */
function verb(reader: TokenReader): string {
  const first = reader.word();
  if (first !== "WITH") return first;
  let depth = 0;
  while (!reader.atEnd()) {
    const kind = reader.kind();
    reader.next();
    if (kind === "open") depth++;
    if (kind !== "close" || --depth !== 0) continue;
    if (reader.kind() === "word" && !reader.take("AS")) return reader.word();
  }
  throw refused("WITH is not followed by SELECT, VALUES, INSERT, REPLACE, UPDATE or DELETE");
}

function allow(keyword: string, reads: boolean, use: StatementUse): void {
  if (reads) return;
  const instead = INSTEAD[keyword];
  if (instead !== undefined) throw refused(`${keyword} is not allowed: ${instead}`);
  const known = WRITES.has(keyword) || SCHEMA.has(keyword) || keyword === "PRAGMA";
  if (known && use === "execute") return;
  if (known) throw refused(`${keyword} changes the database; send it to execute, not to query`);
  const found = keyword === "" ? "it does not begin with a keyword" : `${keyword} is not allowed`;
  throw refused(
    `${found}; allowed: SELECT, VALUES, WITH, EXPLAIN, PRAGMA` +
      (use === "query" ? "" : `, ${[...WRITES, ...SCHEMA].join(", ")}`),
  );
}

/** True when this pragma asks, false when it writes. Throws when it is not on the list. */
function pragmaReads(reader: TokenReader, use: StatementUse): boolean {
  let name = lowerCase(reader.name());
  if (reader.kind() === "dot") {
    if (name !== "main" && use !== "trusted") throw refused(`PRAGMA works on main, not on ${name}`);
    reader.next();
    name = lowerCase(reader.name());
  }
  const hasValue = !reader.atEnd();
  const takesArgument = ASKING_PRAGMAS.get(name);
  if (takesArgument !== undefined && (takesArgument || !hasValue)) return true;
  if (WRITING_PRAGMAS.has(name) || use === "trusted") return false;
  throw refused(
    takesArgument === undefined
      ? `PRAGMA ${name} is not allowed; allowed: ${[...ASKING_PRAGMAS.keys()].join(", ")}, ` +
        "and in an execute incremental_vacuum"
      : `PRAGMA ${name} can be read, not set`,
  );
}

/** Temporary objects would outlive the request and swallow the writes of others. */
function refuseTemporary(reader: TokenReader, keyword: string): void {
  if (!SCHEMA.has(keyword)) return;
  if (keyword === "CREATE") {
    if (reader.take("TEMP") || reader.take("TEMPORARY")) {
      throw refused("temporary objects are not allowed; use WITH, or a table that you drop");
    }
    reader.take("UNIQUE");
  }
  const isVirtual = reader.take("VIRTUAL");
  if (keyword !== "ANALYZE" && keyword !== "REINDEX") reader.next();
  if (reader.take("IF")) {
    reader.take("NOT");
    reader.take("EXISTS");
  }
  let name = lowerCase(reader.name());
  const isQualified = reader.kind() === "dot";
  if (name === "temp" && (isQualified || (keyword === "ANALYZE" && reader.atEnd()))) {
    throw refused("the temp schema is not available; use main");
  }
  if (!isVirtual) return;
  if (isQualified) {
    reader.next();
    name = lowerCase(reader.name());
  }
  reader.take("USING");
  const module = lowerCase(reader.name());
  if (!MODULES.has(module)) {
    throw refused(`the module ${module} is not allowed; allowed: ${[...MODULES].join(", ")}`);
  }
}

/** Stands for any `_headgate_` name in what `mentions` gives. */
const MACHINERY = "_headgate_";

/** The names among these tokens that the rules care about, strings included: SQLite takes them as names. */
function mentions(sql: string, tokens: readonly Token[]): Set<string> {
  const found = new Set<string>();
  for (const token of tokens) {
    if (token.kind !== "word" && token.kind !== "quoted" && token.kind !== "string") continue;
    const name = lowerCase(plainText(sql, token));
    // A full-text table called _headgate would name its shadow tables _headgate_….
    if (name.startsWith(MACHINERY) || name === "_headgate") found.add(MACHINERY);
    else if (token.kind !== "string" && (REFUSED_NAMES.has(name) || ROW_COUNTERS.has(name))) {
      found.add(name);
    }
  }
  return found;
}
