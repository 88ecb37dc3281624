/**
 * A JSON body as lines, without reading its values: what parts the elements of the outermost array
 * becomes line feeds, and line feeds between the parts of an element become spaces. So an array of
 * any length streams, and both JSON formats have one reader.
 */
import { Failure } from "../../base/failure.ts";
import { rowFault } from "./misfit.ts";

export async function* jsonBodyLines(
  body: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const elements = new Elements();
  for await (const chunk of body) {
    const { lines, failure } = elements.push(chunk);
    yield lines;
    if (failure !== null) throw failure;
  }
  elements.end();
}

const SPACE = 0x20;
const LINE_FEED = 0x0a;
const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf] as const;

/**
 * Before the body's value; before the first element, or one after a comma; in an element; after
 * one; after the body's value.
 */
type Place = "start" | "first" | "next" | "element" | "after" | "end";

const ALLOWED: Readonly<Record<Exclude<Place, "element">, string>> = {
  start: "a JSON object, or an array of objects",
  first: "an object or ]",
  next: "an object",
  after: "a comma or ]",
  end: "nothing more (rows as lines are application/x-ndjson)",
};

class Elements {
  #place: Place = "start";
  #single = false;
  #row = 0;
  #bytes = 0;
  #depth = 0;
  #inString = false;
  #escaped = false;

  push(chunk: Uint8Array): { readonly lines: Uint8Array; readonly failure: Failure | null } {
    // The copy of a Buffer must be one too: slice() of a Buffer is a view.
    const lines = new Uint8Array(chunk);
    for (let at = 0; at < lines.length; at++) {
      if (this.#place === "element") {
        at = this.#throughElement(lines, at);
        if (at === lines.length) break;
      }
      const byte = lines[at] ?? 0;
      const found = this.#between(byte);
      if (found === null) return { lines: lines.subarray(0, at), failure: this.#unexpected(byte) };
      lines[at] = found;
      this.#bytes += 1;
    }
    return { lines, failure: null };
  }

  end(): void {
    if (this.#place === "end") return;
    if (this.#place === "start") {
      throw new Failure("invalid", `The body is empty; allowed: ${ALLOWED.start}`);
    }
    if (this.#place === "element") throw rowFault(this.#row, "the body ends within it");
    throw rowFault(this.#row + 1, `the body ends; allowed: ${ALLOWED[this.#place]}`);
  }

  /**
   * Where the first byte after the element is, or the end of the bytes. Nearly all bytes pass here,
   * so what is known of the element is kept in variables meanwhile.
   */
  #throughElement(lines: Uint8Array, from: number): number {
    let at = from;
    let depth = this.#depth;
    let inString = this.#inString;
    for (; at < lines.length; at++) {
      const byte = lines[at] ?? 0;
      if (inString) {
        if (this.#escaped) this.#escaped = false;
        else if (byte === BACKSLASH) this.#escaped = true;
        else if (byte === QUOTE) inString = false;
      } else if (byte === QUOTE) inString = true;
      else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) depth += 1;
      else if (depth > 0) {
        if (byte === LINE_FEED) lines[at] = SPACE;
        if (byte !== CLOSE_BRACE && byte !== CLOSE_BRACKET) continue;
        depth -= 1;
        if (depth > 0) continue;
        this.#place = this.#single ? "end" : "after";
        at += 1;
        break;
      } else if (byte === COMMA || byte === CLOSE_BRACKET || isSpace(byte)) {
        this.#place = "after";
        break;
      }
    }
    this.#depth = depth;
    this.#inString = inString;
    return at;
  }

  /** What stands for a byte outside of elements; null where it must not be. */
  #between(byte: number): number | null {
    if (isSpace(byte)) return byte;
    const place = this.#place;
    if (place === "start") {
      if (this.#bytes < 3 && byte === BYTE_ORDER_MARK[this.#bytes]) return SPACE;
      if (byte === OPEN_BRACE) this.#single = true;
      else if (byte !== OPEN_BRACKET) return null;
      if (this.#single) return this.#begin(byte);
      this.#place = "first";
      return LINE_FEED;
    }
    if (byte === CLOSE_BRACKET && (place === "first" || place === "after")) {
      this.#place = "end";
      return LINE_FEED;
    }
    if (byte === COMMA && place === "after") {
      this.#place = "next";
      return LINE_FEED;
    }
    const begins = (place === "first" || place === "next") && byte !== COMMA &&
      byte !== CLOSE_BRACKET;
    return begins ? this.#begin(byte) : null;
  }

  #begin(byte: number): number {
    this.#row += 1;
    this.#place = "element";
    this.#throughElement(Uint8Array.of(byte), 0);
    return byte;
  }

  #unexpected(byte: number): Failure {
    const place = this.#place;
    const found = byte > SPACE && byte < 0x7f
      ? JSON.stringify(String.fromCharCode(byte))
      : `byte ${byte}`;
    const allowed = place === "element" ? "" : ALLOWED[place];
    if (place === "start") {
      return new Failure("invalid", `The body begins with ${found}; allowed: ${allowed}`);
    }
    return rowFault(this.#row + 1, `it begins with ${found}; allowed: ${allowed}`);
  }
}

function isSpace(byte: number): boolean {
  return byte === SPACE || (byte >= 0x09 && byte <= 0x0d && byte !== 0x0b && byte !== 0x0c);
}
