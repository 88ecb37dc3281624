/** A text of SQL → its statements, cut at the semicolons that SQLite would cut at. */
import { type Token, tokenize } from "../database/tokens.ts";

export interface SplitText {
  /** Statements that have ended, without their semicolons. */
  readonly complete: readonly string[];
  /** What follows the last of them; only white space or comments when nothing is open. */
  readonly rest: string;
}

/** CREATE TRIGGER ends at "; END;", as in sqlite3_complete: another END there ends a CASE. */
export function splitStatements(text: string): SplitText {
  const complete: string[] = [];
  let words: string[] = [];
  let start = 0;
  let previous = "";
  let beforePrevious = "";
  for (const token of tokenize(text)) {
    if (token.kind === "space" || token.kind === "comment") continue;
    const ends = previous === "END" && beforePrevious === "semicolon";
    beforePrevious = previous;
    previous = wordOf(text, token);
    if (token.kind !== "semicolon") {
      if (words.length < 3) words.push(previous);
      continue;
    }
    if (isTrigger(words) && !ends) continue;
    if (words.length > 0) complete.push(text.slice(start, token.start).trim());
    start = token.end;
    words = [];
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
