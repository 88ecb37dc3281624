import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import fc from "fast-check";
import { Failure } from "../../src/base/failure.ts";
import { type CheckedStatement, describeStatement } from "../../src/database/rules.ts";
import { plainText, tokenize } from "../../src/database/tokens.ts";

function check(sql: string, use: "query" | "execute" = "execute"): CheckedStatement | undefined {
  try {
    return describeStatement(sql, use);
  } catch (error) {
    if (error instanceof Failure && error.kind === "invalid") return undefined;
    throw error;
  }
}

/** Pieces from which the traps are made. */
const PIECES = (
  "SELECT|1|select|VALUES(1)|WITH|a AS (SELECT 1)|EXPLAIN|QUERY PLAN|INSERT INTO t VALUES(1)|CREATE|" +
  "TRIGGER|TEMP|r|AFTER INSERT ON t|BEGIN|END|CASE WHEN 1 THEN 2 END|CASE|WHEN 1 THEN 2|;|;;|; END|END;|" +
  "'|\"|`|[|]|''|\"\"|--|\n|/*|*/|/|*|-|x'|x'00'|?|?1|:a|$a::b(c|)|(|,|.|=|\ufeff|\t|\v|é|#1|0x|1e|_1|" +
  "PRAGMA user_version|PRAGMA|table_info(t)|COMMIT|ROLLBACK|'a;b'|\"a;b\"|[a;b]|DELETE FROM t|\ud800|💧|" +
  "CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT 1"
).split("|");
const piece = fc.constantFrom(...PIECES, " ", " ", " ");
const soup = fc.array(fc.oneof({ weight: 9, arbitrary: piece }, fc.string({ maxLength: 4 })), {
  maxLength: 14,
}).map((pieces) => pieces.join(" ".repeat(pieces.length % 2)));

test("any text gives tokens that cover it and an answer or a Failure", () => {
  fc.assert(
    fc.property(fc.oneof(soup, fc.string({ unit: "binary" })), (sql) => {
      let at = 0;
      for (const token of tokenize(sql)) {
        expect(token.start).toBe(at);
        expect(token.end).toBeGreaterThan(at);
        plainText(sql, token);
        at = token.end;
      }
      expect(at).toBe(sql.length);
      check(sql);
      check(sql, "query");
    }),
    { numRuns: 3_000 },
  );
});

/** A statement that SQLite takes, with traps behind it or within it. */
const beginning = fc.tuple(
  fc.constantFrom(
    "SELECT 1",
    "VALUES(1)",
    "SELECT 1 AS ",
    "SELECT ';' ",
    "EXPLAIN SELECT 1",
    "CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT 1; END",
    "CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT CASE WHEN 1 THEN 2 END; DELETE FROM t; END",
    "CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT 1",
    "BEGIN",
  ),
  fc.array(piece, { maxLength: 4 }),
).map(([statement, pieces]) => statement + pieces.join(""));

/** True if what `act` did to a fresh database reached the INSERT INTO reached. */
function reaches(act: (database: Database) => void): boolean {
  const database = new Database(":memory:");
  database.run("CREATE TABLE t (a); CREATE TABLE reached (a)");
  try {
    act(database);
  } catch {
    // What SQLite refuses is not our matter here.
  }
  const count = database.prepare("SELECT count(*) FROM reached").values()[0]?.[0];
  database.close();
  return count !== 0;
}

test("where SQLite runs a second statement, the rules refuse the text", () => {
  let seconds = 0;
  fc.assert(
    fc.property(
      fc.oneof(soup, beginning),
      fc.constantFrom(";", "; ", ";\n", "\n;/**/"),
      (first, end) => {
        const sql = `${first}${end}INSERT INTO reached VALUES (1)`;
        const all = reaches((database) => database.run(sql));
        // `prepare` takes only the first statement: if that is the INSERT, there is no second.
        if (!all || reaches((database) => database.prepare(sql).values())) return;
        seconds++;
        expect(check(sql)).toBeUndefined();
      },
    ),
    { numRuns: 3_000 },
  );
  expect(seconds).toBeGreaterThan(100);
});

const blank = fc.constantFrom(" ", "\n", "\t ", " /* ; */ ", "-- ';\n", " \ufeff", "/**/");
const name = fc.constantFrom("t", '"t"', "[t]", "`t`", "'t'", "main.t", 'MAIN . "t"', "T");
const literal = fc.constantFrom(
  "1",
  "';'",
  "x'00'",
  "1.5e3",
  "0x1F",
  "NULL",
  "'it''s'",
  "(SELECT 1)",
);
const expression = fc.tuple(literal, literal).chain(([a, b]) =>
  fc.constantFrom(a, `CASE ${a} WHEN ${b} THEN 1 ELSE 2 END`, `(${a} + ${b})`, `${a} IN (${b}, 2)`)
);

/** Statements that SQLite takes, as lists of parts that blanks of any kind may separate. */
const valid = fc.tuple(name, expression, expression).chain((
  [table, one, two],
): fc.Arbitrary<readonly string[]> =>
  fc.constantFrom(
    ["SELECT", one, "AS", "a", "FROM", table, "WHERE", two],
    ["VALUES", "(", one, ",", two, ")"],
    ["WITH", "w", "AS", "(", "SELECT", one, ")", "SELECT", "*", "FROM", "w"],
    [
      "WITH",
      "RECURSIVE",
      "w",
      "(",
      "x",
      ")",
      "AS",
      "(",
      "SELECT",
      "1",
      ")",
      "DELETE",
      "FROM",
      table,
    ],
    ["EXPLAIN", "QUERY", "PLAN", "SELECT", one],
    ["EXPLAIN", "INSERT", "INTO", table, "VALUES", "(", one, ")"],
    ["INSERT", "OR", "IGNORE", "INTO", table, "SELECT", one, "RETURNING", "a"],
    ["REPLACE", "INTO", table, "(", "a", ")", "VALUES", "(", two, ")"],
    ["UPDATE", table, "SET", "a", "=", one, "WHERE", two],
    ["CREATE", "TABLE", "IF", "NOT", "EXISTS", "u", "(", "a", "DEFAULT", "(", "1", ")", ")"],
    ["CREATE", "VIEW", "v", "AS", "SELECT", one],
    [
      "CREATE",
      "TRIGGER",
      "r",
      "AFTER",
      "INSERT",
      "ON",
      "t",
      "WHEN",
      one,
      "BEGIN",
      "SELECT",
      two,
      ";",
      "DELETE",
      "FROM",
      "t",
      "WHERE",
      one,
      ";",
      "END",
    ],
    ["PRAGMA", "table_info", "(", "t", ")"],
    ["PRAGMA", "main", ".", "user_version", "=", "5"],
    ["ALTER", "TABLE", table, "ADD", "COLUMN", "b"],
    ["DROP", "TABLE", table],
    ["REINDEX"],
  )
);

test("what SQLite takes as one statement of an allowed kind is accepted", () => {
  fc.assert(
    fc.property(
      valid,
      fc.array(blank, { minLength: 64, maxLength: 64 }),
      fc.constantFrom("", ";", "; ;", " -- end", ";/* end"),
      fc.constantFrom("", ";", "\ufeff;\n", "/* x */"),
      (parts, blanks, tail, head) => {
        const body = parts.map((part, index) => part + (blanks[index] ?? " ")).join("");
        const sql = `${head}${blanks[63] ?? ""}${body}${tail}`;
        const database = new Database(":memory:");
        database.run("CREATE TABLE t (a)");
        database.prepare(sql).finalize();
        database.close();
        const checked = check(sql);
        expect(`${sql} ${checked === undefined}`).toBe(`${sql} false`);
        const second = `${sql}\n;SELECT 1`;
        expect(`${second} ${check(second) === undefined}`).toBe(
          `${second} ${!tail.includes("/*")}`,
        );
      },
    ),
    { numRuns: 1_500 },
  );
});

test("parameters get the numbers that SQLite gives them", () => {
  const parameter = fc.constantFrom(
    "?",
    "?",
    "?1",
    "?3",
    "?02",
    ":a",
    ":b",
    "@a",
    "$a",
    "$a::x(y)",
  );
  fc.assert(
    fc.property(fc.array(parameter, { minLength: 1, maxLength: 12 }), (list) => {
      const database = new Database(":memory:");
      const statement = database.prepare(`SELECT ${list.join(", ")}`);
      const checked = describeStatement(`SELECT ${list.join(", ")}`, "query");
      expect(checked.parameters).toHaveLength(statement.paramsCount);
      const numbers = checked.parameters.map((_, index) => index);
      expect(statement.values(...numbers)).toEqual([checked.occurrences.map(({ index }) => index)]);
      database.close();
    }),
    { numRuns: 1_000 },
  );
});
