/** A text of SQL → its statements, cut at the semicolons that SQLite would cut at. */
import { type Token, tokenize } from "../database/tokens.ts";

export interface SplitText {
  /** Statements that have ended, without their semicolons. */
  readonly complete: readonly string[];
  /** What follows the last of them; only white space or comments when nothing is open. */
  readonly rest: string;
}

/** Inside CREATE TRIGGER a statement ends at the semicolon after END. */
export function splitStatements(text: string): SplitText {
  const complete: string[] = [];
  let words: string[] = [];
  let start = 0;
  let previous = "";
  for (const token of tokenize(text)) {
    if (token.kind === "space" || token.kind === "comment") continue;
    if (token.kind !== "semicolon") {
      previous = wordOf(text, token);
      if (words.length < 3) words.push(previous);
      continue;
    }
    if (isTrigger(words) && previous !== "END") continue;
    if (words.length > 0) complete.push(text.slice(start, token.start).trim());
    start = token.end;
    words = [];
    previous = "";
  }
  return { complete, rest: words.length === 0 ? "" : text.slice(start) };
}

function wordOf(text: string, token: Token): string {
  return token.kind === "word" ? text.slice(token.start, token.end).toUpperCase() : token.kind;
}

function isTrigger([first, second, third]: readonly string[]): boolean {
  if (first !== "CREATE") return false;
  return second === "TRIGGER" ||
    ((second === "TEMP" || second === "TEMPORARY") && third === "TRIGGER");
}
