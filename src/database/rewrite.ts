/**
 * A whole new content as one epoch, in a file (PROTOCOL sections 4 and 7): rollback, import and
 * tombstone. The machinery's tables are carried forward from the tip, never back (I14), and the
 * schema cookie goes on, so that readers of the old content notice.
 */
import { Database } from "bun:sqlite";
import { closeSync, copyFileSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { Failure } from "../base/failure.ts";
import { OBJECT_BYTES_MAX } from "../base/limits.ts";
import { PageHashes } from "../epoch/checksum.ts";
import { EpochEncoder } from "../epoch/encode.ts";
import { type EpochHeader, lockPage, type Page } from "../epoch/epoch.ts";
import { readPage1, stampPage1 } from "../epoch/page1.ts";
import { CLAIMS_TABLE, createMachinery, MACHINERY_PREFIX, REQUESTS_TABLE } from "./machinery.ts";

export interface RewriteDatabaseOptions {
  /** The tip, in no transaction. */
  readonly workspace: Database;
  /** A SQLite file, which is not changed; null for an empty database. */
  readonly sourcePath: string | null;
  /** Where the new content is put together; removed afterwards. */
  readonly contentPath: string;
  readonly outputPath: string;
  readonly keepRequests: boolean;
  readonly schemaCookie: number;
  readonly header: Omit<EpochHeader, "commit" | "databaseChecksum">;
  /** Names the database in messages. */
  readonly what: string;
}

export interface RewrittenFile {
  readonly size: number;
  readonly fileChecksum: bigint;
  readonly databaseChecksum: bigint;
}

/**
 * Throws `conflict` for content of another page size, `invalid` for what is no SQLite database or
 * not in UTF-8, `too_large` above `OBJECT_BYTES_MAX`.
 */
export function rewriteDatabase(options: RewriteDatabaseOptions): RewrittenFile {
  const { contentPath, outputPath } = options;
  remove(contentPath);
  try {
    prepareContent(options);
    carryMachinery(options);
    return encodeContent(options);
  } catch (error) {
    rmSync(outputPath, { force: true });
    throw error;
  } finally {
    remove(contentPath);
  }
}

function prepareContent({ sourcePath, contentPath, header, what }: RewriteDatabaseOptions): void {
  if (sourcePath !== null) {
    copyFileSync(sourcePath, contentPath);
    checkContent(contentPath, header.pageSize, what);
  }
  const database = new Database(contentPath, { readwrite: true, create: true });
  try {
    if (sourcePath === null) {
      database.run(`PRAGMA page_size = ${header.pageSize}`);
      database.run("PRAGMA encoding = 'UTF-8'");
      database.run("PRAGMA auto_vacuum = INCREMENTAL");
    }
    database.run("PRAGMA synchronous = OFF");
    database.run("PRAGMA journal_mode = DELETE");
    // What would run when rows go, such as a trigger, goes with its table.
    for (const { type, name } of machineryObjects(database)) {
      database.run(`DROP ${type} IF EXISTS ${quoted(name)}`);
    }
  } finally {
    database.close();
  }
}

function checkContent(path: string, pageSize: number, what: string): void {
  const file = openSync(path, "r");
  try {
    const bytes = new Uint8Array(100);
    const length = readSync(file, bytes, 0, 100, 0);
    const page1 = readHeader(bytes.subarray(0, length), what);
    if (page1.pageSize !== pageSize) {
      throw new Failure(
        "conflict",
        `Cannot replace the content of ${what}: its pages have ${pageSize} bytes, ` +
          `those of the new content ${page1.pageSize}`,
      );
    }
    if (page1.encoding !== "UTF-8" && page1.encoding !== "none yet") {
      throw new Failure(
        "invalid",
        `Cannot replace the content of ${what}: the new content is in ${page1.encoding}; ` +
          "only UTF-8 is possible",
      );
    }
  } finally {
    closeSync(file);
  }
}

function readHeader(bytes: Uint8Array, what: string): ReturnType<typeof readPage1> {
  try {
    return readPage1(bytes, "the new content");
  } catch (cause) {
    throw new Failure(
      "invalid",
      `Cannot replace the content of ${what}: the new content is not a SQLite database`,
      { cause },
    );
  }
}

interface SchemaObject {
  readonly type: string;
  readonly name: string;
}

/** Everything of the machinery's name, whatever it is; its own indexes go with their tables. */
function machineryObjects(database: Database): SchemaObject[] {
  const pattern = MACHINERY_PREFIX.replaceAll("_", "\\_") + "%";
  return database.prepare<SchemaObject, [string]>(
    "SELECT type, name FROM sqlite_schema WHERE name LIKE ? ESCAPE '\\' AND sql IS NOT NULL",
  ).all(pattern);
}

function carryMachinery({ workspace, contentPath, keepRequests }: RewriteDatabaseOptions): void {
  workspace.run("ATTACH ? AS _headgate_content", [contentPath]);
  try {
    workspace.run("PRAGMA _headgate_content.synchronous = OFF");
    workspace.run("PRAGMA _headgate_content.journal_mode = MEMORY");
    workspace.run("BEGIN");
    for (const sql of createMachinery("_headgate_content")) workspace.run(sql);
    for (const table of keepRequests ? [CLAIMS_TABLE, REQUESTS_TABLE] : [CLAIMS_TABLE]) {
      workspace.run(`INSERT INTO _headgate_content.${table} SELECT * FROM main.${table}`);
    }
    workspace.run("COMMIT");
  } catch (error) {
    if (workspace.inTransaction) workspace.run("ROLLBACK");
    throw error;
  } finally {
    workspace.run("DETACH _headgate_content");
  }
}

function encodeContent(options: RewriteDatabaseOptions): RewrittenFile {
  const { contentPath, outputPath, header, schemaCookie, what } = options;
  const content = openSync(contentPath, "r");
  const output = openSync(outputPath, "w");
  try {
    // SQLite has just written it; a file may be longer than its database.
    const page1 = new Uint8Array(header.pageSize);
    readFully(content, page1, 0);
    const { commit } = readPage1(page1, "the new content");
    const epoch = header.maxEpoch;
    const pages = () => contentPages(content, header.pageSize, { epoch, commit, schemaCookie });
    const hashes = new PageHashes(header.pageSize, commit);
    for (const { number, bytes } of pages()) hashes.setPage(number, bytes);
    const encoder = new EpochEncoder();
    const write = (bytes: Uint8Array): void => {
      writeFully(output, bytes);
      if (encoder.size > OBJECT_BYTES_MAX) {
        throw new Failure(
          "too_large",
          `Cannot replace the content of ${what}: it is encoded larger than ${OBJECT_BYTES_MAX} bytes`,
        );
      }
    };
    write(encoder.begin({ ...header, commit, databaseChecksum: hashes.sum }));
    for (const page of pages()) write(encoder.page(page));
    const { bytes, fileChecksum } = encoder.end();
    write(bytes);
    return { size: encoder.size, fileChecksum, databaseChecksum: hashes.sum };
  } finally {
    closeSync(content);
    closeSync(output);
  }
}

const READ_PAGES = 256;

/** Every page but the lock page. The bytes of one are valid until the next. */
function* contentPages(
  file: number,
  pageSize: number,
  stamp: { epoch: number; commit: number; schemaCookie: number },
): Generator<Page> {
  const lock = lockPage(pageSize);
  const chunk = new Uint8Array(READ_PAGES * pageSize);
  for (let first = 1; first <= stamp.commit; first += READ_PAGES) {
    const count = Math.min(READ_PAGES, stamp.commit - first + 1);
    readFully(file, chunk.subarray(0, count * pageSize), (first - 1) * pageSize);
    for (let index = 0; index < count; index++) {
      const number = first + index;
      if (number === lock) continue;
      const bytes = chunk.subarray(index * pageSize, (index + 1) * pageSize);
      yield { number, bytes: number === 1 ? stampPage1(bytes, stamp) : bytes };
    }
  }
}

function readFully(file: number, bytes: Uint8Array, offset: number): void {
  for (let done = 0; done < bytes.length;) {
    const read = readSync(file, bytes, done, bytes.length - done, offset + done);
    if (read === 0) throw new Error(`a file ended at ${offset + done}`);
    done += read;
  }
}

function writeFully(file: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) done += writeSync(file, bytes, done);
}

function remove(path: string): void {
  for (const suffix of ["", "-journal", "-wal", "-shm"]) rmSync(path + suffix, { force: true });
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
