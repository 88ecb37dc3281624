/**
 * SQL text cut into tokens exactly as SQLite cuts it (facts from SQLite's tokenize.c, 3.54), so that
 * the statement rules judge what SQLite will read and not what a regular expression sees.
 * Positions are in UTF-16 units of the text. Any text gives tokens; none throws.
 */

export type TokenKind =
  | "space"
  | "comment"
  /** A bare keyword or identifier. */
  | "word"
  /** `"…"`, `[…]` or a back-quoted name. */
  | "quoted"
  /** `'…'`, which SQLite also takes where a name is wanted. */
  | "string"
  | "blob"
  | "number"
  /** `?`, `?1`, `:a`, `@a`, `$a`, `$a::b(c)`. */
  | "parameter"
  | "semicolon"
  | "open"
  | "close"
  | "comma"
  | "dot"
  | "equals"
  | "operator"
  /** What SQLite calls an unrecognized token. */
  | "illegal";

export interface Token {
  readonly kind: TokenKind;
  readonly start: number;
  readonly end: number;
}

/** All tokens of the text, white space and comments among them; they cover it without a gap. */
export function tokenize(sql: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (at < sql.length) {
    const token = tokenAt(sql, at);
    tokens.push(token);
    at = token.end;
  }
  return tokens;
}

/** The token's text; names and strings without their quotes. */
export function plainText(sql: string, token: Token): string {
  if (token.kind !== "quoted" && token.kind !== "string") return sql.slice(token.start, token.end);
  const quote = sql.charAt(token.start);
  const inner = sql.slice(token.start + 1, token.end - 1);
  return quote === "[" || !inner.includes(quote) ? inner : inner.replaceAll(quote + quote, quote);
}

/** ASCII letters to upper case and nothing else: SQLite folds no other letters. */
export function upperCase(text: string): string {
  return text.replace(/[a-z]+/g, (letters) => letters.toUpperCase());
}

/** ASCII letters to lower case and nothing else. */
export function lowerCase(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

const SINGLE: Readonly<Record<string, TokenKind>> = {
  ";": "semicolon",
  "(": "open",
  ")": "close",
  ",": "comma",
  "+": "operator",
  "*": "operator",
  "%": "operator",
  "&": "operator",
  "~": "operator",
};

const DOUBLE = new Set(["<=", "<>", "<<", ">=", ">>", "!=", "||", "->"]);

function tokenAt(sql: string, start: number): Token {
  const char = sql.charAt(start);
  const single = SINGLE[char];
  if (single !== undefined) return token(single, start, start + 1);
  const code = sql.charCodeAt(start);
  if (code === 0xfeff) return token("space", start, start + 1);
  if (isSpaceStart(code)) {
    let end = start + 1;
    while (isSpace(sql.charCodeAt(end))) end++;
    return token("space", start, end);
  }
  if (isDigit(code)) return numberAt(sql, start);
  if ((char === "x" || char === "X") && sql[start + 1] === "'") return blobAt(sql, start);
  if (isIdentifier(code) && char !== "$") {
    return token("word", start, identifierEnd(sql, start + 1));
  }
  switch (char) {
    case "'":
    case '"':
    case "`":
      return quotedAt(sql, start, char);
    case "[": {
      const end = sql.indexOf("]", start + 1);
      return end < 0 ? token("illegal", start, sql.length) : token("quoted", start, end + 1);
    }
    case "?": {
      let end = start + 1;
      while (isDigit(sql.charCodeAt(end))) end++;
      return token("parameter", start, end);
    }
    case "$":
    case "@":
    case "#":
    case ":":
      return namedParameterAt(sql, start);
    case ".":
      return isDigit(sql.charCodeAt(start + 1))
        ? numberAt(sql, start)
        : token("dot", start, start + 1);
    default:
      return operatorAt(sql, start, char);
  }
}

function operatorAt(sql: string, start: number, char: string): Token {
  const next = sql.charAt(start + 1);
  if (char === "-" && next === "-") {
    const end = sql.indexOf("\n", start + 2);
    return token("comment", start, end < 0 ? sql.length : end);
  }
  if (char === "/" && next === "*" && start + 2 < sql.length) {
    // A block comment that never ends is a comment up to the end of the text.
    const end = sql.indexOf("*/", start + 2);
    return token("comment", start, end < 0 ? sql.length : end + 2);
  }
  if (char === "=") return token("equals", start, start + (next === "=" ? 2 : 1));
  if (char === "-" && next === ">" && sql[start + 2] === ">") {
    return token("operator", start, start + 3);
  }
  if (DOUBLE.has(char + next)) return token("operator", start, start + 2);
  return token("-/<>|".includes(char) ? "operator" : "illegal", start, start + 1);
}

function quotedAt(sql: string, start: number, quote: string): Token {
  let at = start + 1;
  while (true) {
    const end = sql.indexOf(quote, at);
    if (end < 0) return token("illegal", start, sql.length);
    if (sql[end + 1] !== quote) return token(quote === "'" ? "string" : "quoted", start, end + 1);
    at = end + 2;
  }
}

function blobAt(sql: string, start: number): Token {
  let end = start + 2;
  while (isHex(sql.charCodeAt(end))) end++;
  if (sql[end] === "'" && (end - start) % 2 === 0) return token("blob", start, end + 1);
  const close = sql.indexOf("'", end);
  return token("illegal", start, close < 0 ? sql.length : close + 1);
}

function numberAt(sql: string, start: number): Token {
  let end = start;
  const hex = sql[start] === "0" && (sql[start + 1] === "x" || sql[start + 1] === "X");
  if (hex && isHex(sql.charCodeAt(start + 2))) {
    end = digitsEnd(sql, start + 3, isHex);
  } else {
    end = digitsEnd(sql, start, isDigit);
    if (sql[end] === ".") end = digitsEnd(sql, end + 1, isDigit);
    if (sql[end] === "e" || sql[end] === "E") {
      const signed = sql[end + 1] === "+" || sql[end + 1] === "-";
      const first = end + (signed ? 2 : 1);
      if (isDigit(sql.charCodeAt(first))) end = digitsEnd(sql, first, isDigit);
    }
  }
  const last = identifierEnd(sql, end);
  return token(last > end ? "illegal" : "number", start, last);
}

/** Digits may be separated by underscores; where they stand is the parser's business. */
function digitsEnd(sql: string, start: number, isOne: (code: number) => boolean): number {
  let end = start;
  while (isOne(sql.charCodeAt(end)) || sql[end] === "_") end++;
  return end;
}

function namedParameterAt(sql: string, start: number): Token {
  let end = start + 1;
  let letters = 0;
  while (end < sql.length) {
    if (isIdentifier(sql.charCodeAt(end))) {
      letters++;
      end++;
    } else if (sql[end] === "(" && letters > 0) {
      do end++; while (end < sql.length && sql[end] !== ")" && !isSpace(sql.charCodeAt(end)));
      if (sql[end] !== ")") return token("illegal", start, end);
      end++;
      break;
    } else if (sql[end] === ":" && sql[end + 1] === ":") {
      end += 2;
    } else {
      break;
    }
  }
  // `#1` is for SQLite's own parser only; it refuses it from anybody else.
  return token(letters === 0 || sql[start] === "#" ? "illegal" : "parameter", start, end);
}

function identifierEnd(sql: string, start: number): number {
  let end = start;
  while (isIdentifier(sql.charCodeAt(end))) end++;
  return end;
}

function token(kind: TokenKind, start: number, end: number): Token {
  return { kind, start, end };
}

/** Letters, digits, `_`, `$` and everything beyond ASCII. False for NaN, the end of the text. */
function isIdentifier(code: number): boolean {
  return code >= 0x80 || isDigit(code) || (code >= 97 && code <= 122) ||
    (code >= 65 && code <= 90) || code === 95 || code === 36;
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57;
}

function isHex(code: number): boolean {
  return isDigit(code) || (code >= 97 && code <= 102) || (code >= 65 && code <= 70);
}

/** A vertical tab goes on with white space but does not begin it. */
function isSpaceStart(code: number): boolean {
  return code === 32 || code === 9 || code === 10 || code === 12 || code === 13;
}

function isSpace(code: number): boolean {
  return code === 32 || (code >= 9 && code <= 13);
}
