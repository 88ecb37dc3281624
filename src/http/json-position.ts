/**
 * Where a text stops being JSON (RFC 8259). The engine's parser says what is wrong but not where;
 * this walk over the text is done only after it has refused it.
 */
export interface JsonPosition {
  readonly line: number;
  /** From 1, in UTF-16 units. */
  readonly column: number;
  /** "unexpected }", "unexpected end". */
  readonly reason: string;
}

const NUMBER = /-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y;
// deno-lint-ignore no-control-regex -- JSON forbids control characters in strings
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
// deno-lint-ignore no-control-regex -- the same, up to where a string goes wrong
const STRING_START = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*/y;
const WORD = /true|false|null/y;
const SPACE = /[ \t\n\r]*/y;

/** Null when the text is JSON. Does not recurse: a text of a million brackets is fine. */
export function findJsonError(text: string): JsonPosition | null {
  const offset = firstWrong(text);
  if (offset === null) return null;
  const before = text.slice(0, offset);
  const line = before.split("\n").length;
  const column = offset - before.lastIndexOf("\n");
  return { line, column, reason: reasonAt(text, offset) };
}

function reasonAt(text: string, offset: number): string {
  if (offset >= text.length) return "unexpected end";
  const [character = ""] = text.slice(offset, offset + 2);
  return `unexpected ${/[!-~]/.test(character) ? character : JSON.stringify(character)}`;
}

type Expected = "value" | "value or ]" | "key" | "key or }" | "colon" | "comma or end";

function firstWrong(text: string): number | null {
  const open: ("[" | "{")[] = [];
  let expected: Expected = "value";
  let at = 0;
  const match = (pattern: RegExp): boolean => {
    pattern.lastIndex = at;
    if (!pattern.test(text)) return false;
    at = pattern.lastIndex;
    return true;
  };
  for (;;) {
    match(SPACE);
    const character = text[at];
    if (expected === "comma or end" && open.length === 0) {
      return at === text.length ? null : at;
    }
    const inside = open.at(-1);
    if (expected === "colon") {
      if (character !== ":") return at;
      at += 1;
      expected = "value";
    } else if (closes(character, inside, expected)) {
      open.pop();
      at += 1;
      expected = "comma or end";
    } else if (expected === "comma or end") {
      if (character !== ",") return at;
      at += 1;
      expected = inside === "{" ? "key" : "value";
    } else if (character === '"') {
      if (!match(STRING)) {
        match(STRING_START);
        return at;
      }
      expected = expected.startsWith("key") ? "colon" : "comma or end";
    } else if (expected.startsWith("key")) {
      return at;
    } else if (character === "[" || character === "{") {
      open.push(character);
      at += 1;
      expected = character === "[" ? "value or ]" : "key or }";
    } else if (match(NUMBER) || match(WORD)) {
      expected = "comma or end";
    } else {
      return at;
    }
  }
}

function closes(
  character: string | undefined,
  inside: "[" | "{" | undefined,
  expected: Expected,
): boolean {
  if (character === "]") return inside === "[" && expected !== "value";
  if (character === "}") {
    return inside === "{" && (expected === "key or }" || expected === "comma or end");
  }
  return false;
}
