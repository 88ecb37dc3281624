/** A walk over the tokens of a statement, white space and comments left out. */
import { plainText, type Token, upperCase } from "./tokens.ts";

export class TokenReader {
  readonly #sql: string;
  readonly #tokens: readonly Token[];
  #at: number;

  constructor(sql: string, tokens: readonly Token[], at = 0) {
    this.#sql = sql;
    this.#tokens = tokens;
    this.#at = at;
  }

  atEnd(): boolean {
    return this.#at >= this.#tokens.length;
  }

  kind(): Token["kind"] | "end" {
    return this.#tokens[this.#at]?.kind ?? "end";
  }

  next(): void {
    this.#at++;
  }

  /** Goes over the next token if it is this bare keyword. */
  take(keyword: string): boolean {
    const token = this.#tokens[this.#at];
    if (token?.kind !== "word" || upperCase(plainText(this.#sql, token)) !== keyword) return false;
    this.#at++;
    return true;
  }

  /** The next token as a keyword, in upper case; empty when it is none. */
  word(): string {
    return this.kind() === "word" ? upperCase(this.name()) : "";
  }

  /** The next token as a name, unquoted. */
  name(): string {
    const token = this.#tokens[this.#at];
    this.#at++;
    return token === undefined ? "" : plainText(this.#sql, token);
  }
}
