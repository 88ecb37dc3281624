import { expect, test } from "bun:test";
import { lowerCase, plainText, tokenize, upperCase } from "../../../src/database/tokens.ts";

/** "kind:text" of each token but white space. */
function shape(sql: string): string[] {
  return tokenize(sql)
    .filter(({ kind }) => kind !== "space")
    .map((token) => `${token.kind}:${sql.slice(token.start, token.end)}`);
}

test("names go on through $, digits and everything beyond ASCII", () => {
  expect(shape("a$1 _b été 表 x1 😀")).toEqual(
    ["word:a$1", "word:_b", "word:été", "word:表", "word:x1", "word:😀"],
  );
});

test("a byte order mark is white space at the start of a token and a letter inside one", () => {
  expect(tokenize("\ufeffa\ufeff").map(({ kind }) => kind)).toEqual(["space", "word"]);
});

test("quotes double themselves, brackets do not, and each kind is told apart", () => {
  expect(shape(`'a''b' "c""d" [e]]`)).toEqual([
    "string:'a''b'",
    'quoted:"c""d"',
    "quoted:[e]",
    "illegal:]",
  ]);
  const sql = "`a``b`";
  expect(tokenize(sql).map((token) => plainText(sql, token))).toEqual(["a`b"]);
});

test("an unterminated quote swallows the rest and is illegal", () => {
  expect(shape("'a; b")).toEqual(["illegal:'a; b"]);
  expect(shape("[a; b")).toEqual(["illegal:[a; b"]);
});

test("a line comment ends at the line, a block comment that never ends is still one", () => {
  expect(shape("-- a;\nb /* c; */ d /* e;")).toEqual([
    "comment:-- a;",
    "word:b",
    "comment:/* c; */",
    "word:d",
    "comment:/* e;",
  ]);
  expect(shape("/*/ a */ b")).toEqual(["comment:/*/ a */", "word:b"]);
  expect(shape("a /*")).toEqual(["word:a", "operator:/", "operator:*"]);
});

test("numbers: hexadecimal, separators, exponents, and letters behind them are illegal", () => {
  expect(shape("0x1F 1_000 1.5e-3 .5 2. 1e 12ab")).toEqual([
    "number:0x1F",
    "number:1_000",
    "number:1.5e-3",
    "number:.5",
    "number:2.",
    "illegal:1e",
    "illegal:12ab",
  ]);
});

test("blobs need an even count of hexadecimal digits", () => {
  expect(shape("x'0a' X'' x'0' x'zz' xy")).toEqual([
    "blob:x'0a'",
    "blob:X''",
    "illegal:x'0'",
    "illegal:x'zz'",
    "word:xy",
  ]);
});

test("parameters of every form are told from what only looks like one", () => {
  expect(shape("? ?12 :a @b $c $d::e(f;g) ::x : #1 $h(i j)")).toEqual([
    "parameter:?",
    "parameter:?12",
    "parameter::a",
    "parameter:@b",
    "parameter:$c",
    "parameter:$d::e(f;g)",
    "illegal::",
    "parameter::x",
    "illegal::",
    "illegal:#1",
    "illegal:$h(i",
    "word:j",
    "close:)",
  ]);
});

test("case is folded for ASCII letters only", () => {
  expect(upperCase("ſelect ı é")).toBe("ſELECT ı é");
  expect(lowerCase("\u212a É AB")).toBe("\u212a É ab");
});
