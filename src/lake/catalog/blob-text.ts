/** Bytes as DuckDB's text of a blob: printable ASCII as it is, all else as `\x` and two digits. */
import { corruptText } from "./corrupt-text.ts";

/** Escapes every byte: DuckDB reads it as well, and no character has a meaning around it. */
export function blobText(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += `\\x${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  return text;
}

/** Throws `corrupt`. */
export function parseBlob(text: string): Uint8Array {
  const bytes: number[] = [];
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code > 0x7f) throw corruptText(text, "a blob");
    if (text[at] !== "\\") {
      bytes.push(code);
      continue;
    }
    const digits = /^x[0-9A-Fa-f]{2}/.exec(text.slice(at + 1, at + 4))?.[0];
    if (digits === undefined) throw corruptText(text, "a blob");
    bytes.push(Number.parseInt(digits.slice(1), 16));
    at += 3;
  }
  return Uint8Array.from(bytes);
}
