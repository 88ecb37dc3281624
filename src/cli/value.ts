/** Values of results → text for people, and parameters as people type them → values. */
import type { JsonValue, Parameters } from "../database/statement.ts";
import { UsageError } from "./arguments.ts";

export interface ResultSet {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly JsonValue[])[];
}

/** An answer's JSON. A real that JavaScript would show as an integer keeps its spelling. */
export function parseAnswer<T>(text: string): T {
  return JSON.parse(text, (_key, value: unknown, context?: { readonly source?: string }) => {
    const { source } = context ?? {};
    if (typeof value !== "number" || source === undefined || !Number.isInteger(value)) return value;
    return /[.eE]/.test(source) ? { real: source } : value;
  }) as T;
}

/** Hexadecimal digits of a blob that are shown. */
const BLOB_BYTES_SHOWN = 32;

/** One line: NULL is visible, blobs are SQL literals, what would break the line is escaped. */
export function cellText(value: JsonValue): string {
  if (value === null) return "NULL";
  if (typeof value === "string") return escaped(value);
  if (typeof value !== "object") return String(value);
  if ("integer" in value) return value.integer;
  if ("real" in value) return value.real;
  return blobText(value.base64);
}

export function isNumber(value: JsonValue): boolean {
  return typeof value === "number" ||
    (typeof value === "object" && value !== null && !("base64" in value));
}

/** The value as CSV has it (RFC 4180); NULL is empty. */
export function csvText(value: JsonValue): string {
  const text = value === null ? "" : typeof value === "string" ? value : cellText(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/**
 * Parameters as typed: JSON where it is JSON (`5`, `null`, `"5"`, `{"base64":"…"}`), else text;
 * `:name=value` (or @, $) gives a name.
 */
export function parseParameters(texts: readonly string[]): Parameters | undefined {
  if (texts.length === 0) return undefined;
  const named = texts.map((text) => /^([:@$][A-Za-z_]\w*)=(.*)$/s.exec(text));
  if (named.every((match) => match === null)) return texts.map(parseParameter);
  return Object.fromEntries(named.map((match, index) => {
    if (match === null) {
      throw new UsageError(
        `--param ${texts[index]} has no name and others have: name all of them, :name=value`,
      );
    }
    return [match[1] ?? "", parseParameter(match[2] ?? "")] as const;
  }));
}

function parseParameter(text: string): JsonValue {
  // What JavaScript's numbers cannot hold travels as text.
  if (/^-?(0|[1-9]\d*)$/.test(text)) {
    return Number.isSafeInteger(Number(text)) ? Number(text) : { integer: text };
  }
  if (/^-?(0|[1-9]\d*)\.\d+$/.test(text)) return { real: text };
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) ? text : value as JsonValue;
  } catch {
    return text;
  }
}

function escaped(text: string): string {
  // deno-lint-ignore no-control-regex -- control characters would move the terminal's cursor
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (character) => {
    if (character === "\n") return "\\n";
    if (character === "\t") return "\\t";
    if (character === "\r") return "\\r";
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

function blobText(base64: string): string {
  const bytes = Buffer.from(base64, "base64");
  const hex = bytes.subarray(0, BLOB_BYTES_SHOWN).toString("hex");
  return bytes.length > BLOB_BYTES_SHOWN ? `x'${hex}…' (${bytes.length} bytes)` : `x'${hex}'`;
}
