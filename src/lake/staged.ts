/**
 * A staged object: what a catalog has to know of rows that are in the bucket already. It is written
 * once, under a name that begins with the epoch of the catalog that its node had seen, and removed
 * when its rows are adopted.
 */
import { Failure } from "../base/failure.ts";
import type { AdoptedRows } from "./catalog/adopt.ts";
import type { RecordedFile } from "./catalog/data-files.ts";
import type { StatisticsRow } from "./catalog/statistics.ts";
import type { RequestKey } from "./kept-keys.ts";

const FORMAT = 1;

export interface Staged extends AdoptedRows {
  /** By the store's time, in ms since 1970. */
  readonly atMs: number;
}

/**
 * The same key gives the same id at nodes that have seen the same epoch; at others the key itself
 * tells the two apart from two requests. `random` is for requests without one.
 */
export function stagedId(epoch: number, key: RequestKey | undefined, random: string): string {
  const name = key === undefined
    ? random
    : new Bun.CryptoHasher("sha256").update(JSON.stringify([key.subject, key.key])).digest("hex");
  return `${epoch.toString(16).padStart(16, "0")}-${name}`;
}

export function isStagedId(text: string): boolean {
  return /^[0-9a-f]{16}-[0-9a-f-]+$/.test(text);
}

export function rowsOf({ files }: Pick<Staged, "files">): number {
  return files.reduce((sum, { rows }) => sum + rows, 0);
}

export function encodeStaged({ lakeId, table, files, keys, atMs }: Staged): Uint8Array {
  return Buffer.from(JSON.stringify({
    format: FORMAT,
    lake_id: lakeId,
    table,
    files: files.map(({ path, rows, bytes, footerBytes, statistics }) => ({
      path,
      rows,
      bytes,
      footer_bytes: footerBytes,
      statistics,
    })),
    keys,
    at: new Date(atMs).toISOString(),
  }));
}

/** Throws `corrupt` for what `encodeStaged` does not write. */
export function decodeStaged(id: string, bytes: Uint8Array): Staged {
  try {
    const { format, lake_id, table, files, keys, at } = fieldsOf(
      JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)),
    );
    if (format !== FORMAT) throw new Error(`format ${JSON.stringify(format)} is unknown`);
    const { id: tableId, uuid } = fieldsOf(table);
    return {
      id,
      lakeId: text(lake_id),
      table: { id: count(tableId), uuid: text(uuid) },
      files: listOf(files).map(fileOf),
      keys: listOf(keys).map(keyOf),
      atMs: Date.parse(text(at)),
    };
  } catch (error) {
    throw new Failure("corrupt", `Cannot read the staged rows ${id}`, { cause: error });
  }
}

function fileOf(value: unknown): RecordedFile {
  const { path, rows, bytes, footer_bytes, statistics } = fieldsOf(value);
  return {
    path: text(path),
    rows: count(rows),
    bytes: count(bytes),
    footerBytes: count(footer_bytes),
    statistics: listOf(statistics).map(statisticsOf),
  };
}

function keyOf(value: unknown): RequestKey & { readonly rows: number } {
  const { subject, key, hash, rows } = fieldsOf(value);
  return { subject: text(subject), key: text(key), hash: text(hash), rows: count(rows) };
}

/** It goes into the catalog as JSON, as it stands. */
function statisticsOf(value: unknown): StatisticsRow {
  const row = listOf(value);
  const isRow = row.length === 8 &&
    row.every((cell) => cell === null || typeof cell === "string" || typeof cell === "number");
  if (isRow) return value as StatisticsRow;
  throw new Error("statistics of a column are a list of 8 values");
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw new Error(`found ${typeof value} in place of an object`);
}

function listOf(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw new Error(`found ${typeof value} in place of a list`);
}

function text(value: unknown): string {
  if (typeof value === "string") return value;
  throw new Error(`found ${typeof value} in place of a text`);
}

function count(value: unknown): number {
  if (Number.isSafeInteger(value) && Number(value) >= 0) return Number(value);
  throw new Error(`found ${JSON.stringify(value)} in place of a count`);
}
