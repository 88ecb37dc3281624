/**
 * CSV as RFC 4180 has it, with CR LF or LF between records. A quote may begin a field, and within
 * such a field is written twice; anywhere else it is an error, not a character.
 */
import { Misfit } from "./misfit.ts";

/** Null for an empty field without quotes. */
export type CsvField = string | null;

export class CsvRecords {
  readonly #text: string;
  #at = 0;

  /** `text` is whole records without the last line feed; an empty text is one record. */
  constructor(text: string) {
    this.#text = text;
  }

  get done(): boolean {
    return this.#at > this.#text.length;
  }

  /** Throws a misfit for what is no CSV. */
  next(): readonly CsvField[] {
    const feed = this.#text.indexOf("\n", this.#at);
    const end = feed < 0 ? this.#text.length : feed;
    const line = this.#text.slice(this.#at, end);
    if (line.includes('"')) return this.#quoted();
    this.#at = end + 1;
    const fields: CsvField[] = withoutReturn(line).split(",");
    for (let index = 0; index < fields.length; index++) {
      if (fields[index] === "") fields[index] = null;
    }
    return fields;
  }

  #quoted(): readonly CsvField[] {
    const fields: CsvField[] = [];
    for (;;) {
      fields.push(this.#text[this.#at] === '"' ? this.#quotedField() : this.#plainField());
      const after = this.#text[this.#at];
      this.#at += 1;
      if (after === ",") continue;
      if (after === undefined || after === "\n") return fields;
      throw new Misfit(null, `${JSON.stringify(after)} follows a closing quote; allowed: a comma`);
    }
  }

  /** Leaves the position after the closing quote, and after a carriage return that ends a line. */
  #quotedField(): string {
    const text = this.#text;
    let value = "";
    for (let from = this.#at + 1;;) {
      const quote = text.indexOf('"', from);
      if (quote < 0) throw new Misfit(null, "a quote is left open");
      value += text.slice(from, quote);
      from = quote + 2;
      if (text[quote + 1] === '"') {
        value += '"';
        continue;
      }
      const returned = text[quote + 1] === "\r" && (text[quote + 2] ?? "\n") === "\n";
      this.#at = quote + (returned ? 2 : 1);
      return value;
    }
  }

  #plainField(): CsvField {
    const text = this.#text;
    const end = endOfField(text, this.#at);
    let field = text.slice(this.#at, end);
    if (text[end] !== ",") field = withoutReturn(field);
    else checkReturn(field);
    this.#at = end;
    if (!field.includes('"')) return orNull(field);
    const reason = 'a quote is within a field that does not begin with one; allowed: "…""…"';
    throw new Misfit(null, reason);
  }
}

const COMMA = 44;
const LINE_FEED = 10;

function endOfField(text: string, from: number): number {
  for (let at = from; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === COMMA || code === LINE_FEED) return at;
  }
  return text.length;
}

function orNull(field: string): CsvField {
  return field === "" ? null : field;
}

function withoutReturn(line: string): string {
  const text = line.endsWith("\r") ? line.slice(0, -1) : line;
  checkReturn(text);
  return text;
}

function checkReturn(text: string): void {
  if (text.includes("\r")) throw new Misfit(null, "a carriage return is outside of quotes");
}
