/** One result as the text that the client gets; what is large goes to a file as it is made. */
import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { Failure } from "../base/failure.ts";
import { RESULT_TEXT_CHARACTERS_MAX } from "../base/limits.ts";
import type { ResultFile } from "./reader-message.ts";
import { encodeColumns, encodeRow, type SqlValue } from "./value.ts";

export interface ResultShape {
  readonly byLine: boolean;
  /** Encoded bytes above which the result is `too_large`. */
  readonly bytesMax: number;
  readonly epoch: number;
  /** Where to put a large result. */
  readonly file: () => string;
}

export class ResultText {
  readonly #shape: ResultShape;
  #text = "";
  #rows = 0;
  #file: { readonly path: string; readonly descriptor: number } | null = null;
  #bytes = 0;

  constructor(shape: ResultShape) {
    this.#shape = shape;
  }

  begin(columns: readonly string[]): void {
    const names = encodeColumns(columns);
    this.#text = this.#shape.byLine ? `{"columns":${names}}\n` : `{"columns":${names},"rows":[`;
  }

  /** Throws `too_large` before a row is encoded that would be it alone. */
  row(values: readonly SqlValue[]): void {
    this.#refuseLargeValues(values);
    if (this.#shape.byLine) this.#text += `${encodeRow(values)}\n`;
    else this.#text += this.#rows === 0 ? encodeRow(values) : `,${encodeRow(values)}`;
    this.#rows++;
    if (this.#text.length > RESULT_TEXT_CHARACTERS_MAX) this.#spool();
  }

  end(): string | ResultFile {
    const { epoch, byLine, bytesMax } = this.#shape;
    this.#text += byLine ? `{"epoch":${epoch}}\n` : `],"epoch":${epoch}}`;
    const file = this.#file;
    if (!file) {
      // A character has at most 3 bytes in UTF-8.
      if (this.#text.length * 3 > bytesMax) this.#count(Buffer.byteLength(this.#text));
      return this.#text;
    }
    this.#spool();
    closeSync(file.descriptor);
    this.#file = null;
    return { path: file.path, size: this.#bytes };
  }

  /** Removes what was written, unless it ended. */
  abandon(): void {
    if (!this.#file) return;
    closeSync(this.#file.descriptor);
    rmSync(this.#file.path, { force: true });
    this.#file = null;
  }

  #refuseLargeValues(values: readonly SqlValue[]): void {
    let size = 0;
    for (const value of values) {
      if (typeof value === "string") size += value.length;
      else if (value instanceof Uint8Array) size += value.length * 4 / 3;
    }
    if (size > RESULT_TEXT_CHARACTERS_MAX && this.#bytes + size > this.#shape.bytesMax) {
      this.#refuse();
    }
  }

  #spool(): void {
    const bytes = Buffer.from(this.#text);
    this.#text = "";
    this.#count(bytes.length);
    if (!this.#file) {
      const path = this.#shape.file();
      this.#file = { path, descriptor: openSync(path, "wx", 0o600) };
    }
    for (let at = 0; at < bytes.length;) at += writeSync(this.#file.descriptor, bytes, at);
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > this.#shape.bytesMax) this.#refuse();
  }

  #refuse(): never {
    throw new Failure("too_large", `the result is larger than ${this.#shape.bytesMax} bytes`, {
      details: { reason: "result", result_bytes_max: this.#shape.bytesMax },
    });
  }
}
