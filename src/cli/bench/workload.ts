/**
 * What is sent: one prepared header block, and bodies that differ only in numbers, written
 * straight into a buffer without making strings.
 */
import { encodeFields, type HeaderField } from "./hpack.ts";

export interface Workload {
  readonly block: Uint8Array;
  readonly bodyBytesMax: number;
  /** Writes the body of request `sequence` to the start of `into`; returns its length. */
  body(into: Uint8Array, sequence: number): number;
}

export interface Target {
  readonly url: URL;
  readonly token?: string;
  readonly database: string;
}

export const WRITES_TABLE = "bench_writes";
export const READS_TABLE = "bench_reads";
/** Rows of the table that point reads go to. */
export const READS_ROWS = 10_000;

/** Single-row `INSERT` transactions whose parameters all differ. */
export function writesWorkload(target: Target): Workload {
  const sql = `INSERT INTO ${WRITES_TABLE} (number, text) VALUES (?, ?)`;
  const head = `{"statements":[{"sql":${JSON.stringify(sql)},"params":[`;
  return {
    block: postBlock(target, "execute"),
    ...bodyOf([head, ',"the text of row ', '"]}]}'], (sequence) => sequence),
  };
}

/** Reads of one row by its key, the keys in an order that looks random and hits each as often. */
export function readsWorkload(target: Target): Workload {
  const sql = `SELECT text FROM ${READS_TABLE} WHERE id = ?`;
  const head = `{"sql":${JSON.stringify(sql)},"params":[`;
  return {
    block: postBlock(target, "query"),
    // 7,919 has no factor in common with 10,000, so the keys repeat only after all were read.
    ...bodyOf([head, "]}"], (sequence) => 1 + (sequence * 7_919) % READS_ROWS),
  };
}

/** The text that `fillReads` stores under a key. */
export function readsText(id: number): string {
  return `the text of row ${id}`;
}

/** A body of fixed parts with the same number between each two of them. */
function bodyOf(
  texts: readonly string[],
  number: (sequence: number) => number,
): Omit<Workload, "block"> {
  const parts = texts.map((text) => new TextEncoder().encode(text));
  const bytes = parts.reduce((sum, part) => sum + part.length, 0);
  return {
    bodyBytesMax: bytes + (parts.length - 1) * 16,
    body: (into, sequence) => {
      let offset = 0;
      for (let index = 0; index < parts.length; index++) {
        if (index > 0) offset = writeDecimal(into, offset, number(sequence));
        const part = parts[index] ?? new Uint8Array(0);
        into.set(part, offset);
        offset += part.length;
      }
      return offset;
    },
  };
}

/** Digits of a whole number from 0 to 2^53 − 1; returns the end. */
export function writeDecimal(into: Uint8Array, offset: number, value: number): number {
  let end = offset + 1;
  for (let rest = value; rest >= 10; rest = Math.floor(rest / 10)) end++;
  let rest = value;
  for (let place = end - 1; place >= offset; place--) {
    const next = Math.floor(rest / 10);
    into[place] = 48 + (rest - next * 10);
    rest = next;
  }
  return end;
}

function postBlock(target: Target, action: "execute" | "query"): Uint8Array {
  const path = databasePath(target, `/${action}`);
  return workloadBlock(target, { path, contentType: "application/json" });
}

/** The header block of all requests; `path` is from the root of the API. */
export function workloadBlock(
  target: Target,
  { path, contentType }: { readonly path: string; readonly contentType: string },
): Uint8Array {
  const fields: HeaderField[] = [
    { name: ":method", value: "POST" },
    { name: ":scheme", value: target.url.protocol.slice(0, -1) },
    { name: ":path", value: basePath(target.url) + path },
    { name: ":authority", value: target.url.host },
    { name: "content-type", value: contentType },
  ];
  if (target.token !== undefined) {
    fields.push({ name: "authorization", value: `Bearer ${target.token}`, secret: true });
  }
  return encodeFields(fields);
}

/** From the root of the API, which may itself lie below the root of its server. */
export function databasePath({ database }: Target, rest = ""): string {
  return `/v1/databases/${encodeURIComponent(database)}${rest}`;
}

function basePath({ pathname }: URL): string {
  return pathname.replace(/\/+$/, "");
}
