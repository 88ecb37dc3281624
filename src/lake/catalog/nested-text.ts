/**
 * Lists, structs and maps as DuckDB's text: `[1, NULL]`, `{'a': 1, 'b c': 'x'}`, `{'k'=1.5}`. What
 * we write has every value in quotes that is neither a number nor a boolean, so that no character in
 * it can be taken for structure; what DuckDB writes leaves out quotes where it can, and is read too.
 */
import type { Column, ColumnType } from "../column.ts";
import type { LakeValue } from "../rows.ts";
import { corruptText } from "./corrupt-text.ts";

type WritePlain = (value: Exclude<LakeValue, null>, type: ColumnType) => string;
type ReadPlain = (text: string, type: ColumnType) => LakeValue;

export function nestedText(value: LakeValue, column: Column, plain: WritePlain): string {
  if (value === null) return "NULL";
  const { type, children } = column;
  if (!Array.isArray(value)) return bare(value) ? plain(value, type) : quote(plain(value, type));
  const parts = value as readonly LakeValue[];
  const text = (part: LakeValue, child: number) => {
    const of = children[child];
    return of === undefined ? "NULL" : nestedText(part, of, plain);
  };
  switch (type.name) {
    case "list":
      return `[${parts.map((part) => text(part, 0)).join(", ")}]`;
    case "struct": {
      const fields = children.map(({ name }, index) =>
        `${quote(name)}: ${text(parts[index] ?? null, index)}`
      );
      return `{${fields.join(", ")}}`;
    }
    default: {
      const pairs = parts.map((pair) => {
        const [key = null, mapped = null] = pair as readonly LakeValue[];
        return `${text(key, 0)}=${text(mapped, 1)}`;
      });
      return `{${pairs.join(", ")}}`;
    }
  }
}

function bare(value: LakeValue): boolean {
  return typeof value === "number" || typeof value === "boolean";
}

function quote(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}

/** Throws `corrupt`. */
export function parseNested(text: string, column: Column, plain: ReadPlain): LakeValue {
  const reader = new Reader(text, plain);
  const value = reader.value(column, "");
  reader.end();
  return value;
}

class Reader {
  readonly #text: string;
  readonly #plain: ReadPlain;
  #at = 0;

  constructor(text: string, plain: ReadPlain) {
    this.#text = text;
    this.#plain = plain;
  }

  end(): void {
    this.#space();
    if (this.#at !== this.#text.length) throw this.#corrupt();
  }

  /** `stops` are the characters that may follow. */
  value({ type, children }: Column, stops: string): LakeValue {
    this.#space();
    const [first, second] = children;
    const next = this.#text[this.#at];
    if (type.name === "list" && next === "[" && first) {
      return this.#items("[]", () => this.value(first, ",]"));
    }
    if (type.name === "struct" && next === "{") {
      let index = 0;
      return this.#items("{}", () => {
        this.#word(":");
        this.#expect(":");
        const child = children[index++];
        if (child === undefined) throw this.#corrupt();
        return this.value(child, ",}");
      });
    }
    if (type.name === "map" && next === "{" && first && second) {
      return this.#items("{}", () => {
        const key = this.value(first, "=");
        this.#expect("=");
        return [key, this.value(second, ",}")];
      });
    }
    const word = this.#word(stops);
    if (word.text === "NULL" && !word.isQuoted) return null;
    if (children.length > 0) throw this.#corrupt();
    return this.#plain(word.text, type);
  }

  #items(brackets: string, item: () => LakeValue): LakeValue[] {
    const close = brackets.charAt(1);
    const items: LakeValue[] = [];
    this.#at++;
    this.#space();
    if (this.#text[this.#at] === close) {
      this.#at++;
      return items;
    }
    while (true) {
      items.push(item());
      this.#space();
      const next = this.#text[this.#at++];
      if (next === close) return items;
      if (next !== ",") throw this.#corrupt();
    }
  }

  #word(stops: string): { readonly text: string; readonly isQuoted: boolean } {
    this.#space();
    const mark = this.#text[this.#at];
    if (mark === "'" || mark === '"') return { text: this.#quoted(mark), isQuoted: true };
    const start = this.#at;
    while (this.#at < this.#text.length && !stops.includes(this.#text.charAt(this.#at))) this.#at++;
    return { text: this.#text.slice(start, this.#at).trimEnd(), isQuoted: false };
  }

  #quoted(mark: string): string {
    let text = "";
    this.#at++;
    while (this.#at < this.#text.length) {
      const character = this.#text.charAt(this.#at++);
      if (character === mark) return text;
      text += character === "\\" ? this.#text.charAt(this.#at++) : character;
    }
    throw this.#corrupt();
  }

  #expect(character: string): void {
    this.#space();
    if (this.#text[this.#at++] !== character) throw this.#corrupt();
  }

  #space(): void {
    while (this.#text[this.#at] === " ") this.#at++;
  }

  #corrupt(): Error {
    return corruptText(this.#text, `a nested value, at character ${this.#at + 1},`);
  }
}
