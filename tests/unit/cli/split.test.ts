import { expect, test } from "bun:test";
import { splitStatements } from "../../../src/cli/split.ts";

const cases: [text: string, complete: string[], rest: string][] = [
  ["SELECT 1; SELECT 2;", ["SELECT 1", "SELECT 2"], ""],
  ["SELECT 1; SELECT", ["SELECT 1"], " SELECT"],
  ["SELECT ';'; x", ["SELECT ';'"], " x"],
  ["SELECT 'open; SELECT 1;", [], "SELECT 'open; SELECT 1;"],
  ["SELECT /* ; */ 1 -- ;\n;", ["SELECT /* ; */ 1 -- ;"], ""],
  [";;; -- nothing", [], ""],
  [
    "CREATE TRIGGER a AFTER INSERT ON t BEGIN SELECT CASE 1 WHEN 1 THEN 2 END; DELETE FROM t; END; SELECT 1;",
    [
      "CREATE TRIGGER a AFTER INSERT ON t BEGIN SELECT CASE 1 WHEN 1 THEN 2 END; DELETE FROM t; END",
      "SELECT 1",
    ],
    "",
  ],
  ["create temp trigger a BEGIN x; y", [], "create temp trigger a BEGIN x; y"],
];

for (const [text, complete, rest] of cases) {
  test(`cuts ${JSON.stringify(text.slice(0, 50))} where SQLite would`, () => {
    expect(splitStatements(text)).toEqual({ complete, rest });
  });
}
