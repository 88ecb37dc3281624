/**
 * Opens the SQLite database of a workspace: a new one, a fresh copy of an image, or one that a child
 * left behind when it ended. What comes from a file is proven by its checksum first.
 *
 * One connection, in exclusive locking mode, so there is no -shm file; it is never closed while the
 * workspace lives, since the last close would checkpoint.
 */
import { Database } from "bun:sqlite";
import { fstatSync, openSync, readSync, writeSync } from "node:fs";
import { Failure } from "../base/failure.ts";
import { PageHashes } from "../epoch/checksum.ts";
import { lockPage } from "../epoch/epoch.ts";
import { stampPage1 } from "../epoch/page1.ts";
import { Capture } from "./capture.ts";
import { createMachinery } from "./machinery.ts";

export interface DatabaseFacts {
  readonly epoch: number;
  readonly commit: number;
  readonly databaseChecksum: bigint;
}

export interface OpenOptions {
  readonly path: string;
  readonly pageSize: number;
  /** What the file must hold; null: nothing, a new database is made in it. */
  readonly head: DatabaseFacts | null;
  /** SQLite has not opened it since it was copied: it is checked before SQLite may touch it. */
  readonly isCopy: boolean;
}

export interface OpenDatabase {
  readonly database: Database;
  readonly capture: Capture;
}

/** Memory that holds changed pages before they must go to the log; in KiB, as SQLite has it. */
const CACHE_KIB = 32 * 1024;

/** Throws `corrupt` when the file does not hold what `head` says. */
export function openWorkspaceDatabase(options: OpenOptions): OpenDatabase {
  const { path, pageSize, head, isCopy } = options;
  const file = openSync(path, head === null ? "w+" : "r+");
  if (head === null) {
    const database = connect(path);
    createDatabase(database, pageSize);
    const hashes = new PageHashes(pageSize);
    const capture = new Capture({ path, file, pageSize, hashes, page1: null });
    const commits = capture.scan();
    if (commits !== null) capture.accept(commits);
    return { database, capture };
  }
  let checked: { hashes: PageHashes; page1: Uint8Array };
  let database: Database;
  if (isCopy) {
    checked = checkFile(file, options, head);
    // 2 in bytes 18 and 19 says WAL to SQLite.
    writeSync(file, Uint8Array.of(2, 2), 0, 2, 18);
    database = connect(path);
  } else {
    database = connect(path);
    emptyLog(database);
    checked = checkFile(file, options, head);
  }
  return { database, capture: new Capture({ path, file, pageSize, ...checked }) };
}

/** Copies the whole log into the file and truncates it. Only when all of it was taken. */
export function emptyLog(database: Database): void {
  const checkpoint = database.prepare("PRAGMA main.wal_checkpoint(TRUNCATE)");
  const [busy] = checkpoint.values()[0] ?? [];
  checkpoint.finalize();
  if (busy !== 0n) {
    throw new Failure("unavailable", "Cannot empty the log of a workspace: the database is busy");
  }
}

function connect(path: string): Database {
  const database = new Database(path, { readwrite: true, create: false, safeIntegers: true });
  database.run("PRAGMA locking_mode = EXCLUSIVE");
  database.run("PRAGMA wal_autocheckpoint = 0");
  database.run("PRAGMA synchronous = OFF");
  database.run("PRAGMA temp_store = MEMORY");
  database.run("PRAGMA foreign_keys = ON");
  database.run(`PRAGMA cache_size = -${CACHE_KIB}`);
  return database;
}

function createDatabase(database: Database, pageSize: number): void {
  database.run(`PRAGMA page_size = ${pageSize}`);
  database.run("PRAGMA encoding = 'UTF-8'");
  // VACUUM is refused, so free pages go back by incremental_vacuum.
  database.run("PRAGMA auto_vacuum = INCREMENTAL");
  database.run("PRAGMA journal_mode = WAL");
  database.run("BEGIN");
  for (const sql of createMachinery()) database.run(sql);
  database.run("COMMIT");
}

const READ_PAGES = 256;

function checkFile(
  file: number,
  { path, pageSize }: OpenOptions,
  head: DatabaseFacts,
): { hashes: PageHashes; page1: Uint8Array } {
  const { epoch, commit, databaseChecksum } = head;
  const hashes = new PageHashes(pageSize, commit);
  const lock = lockPage(pageSize);
  const size = fstatSync(file).size;
  if (size < pageSize) {
    throw new Failure("corrupt", `Cannot open the workspace ${path}: it has ${size} bytes`);
  }
  let page1: Uint8Array = new Uint8Array(pageSize);
  const chunk = new Uint8Array(READ_PAGES * pageSize);
  for (let first = 1; first <= commit; first += READ_PAGES) {
    const count = Math.min(READ_PAGES, commit - first + 1);
    const length = readFully(file, chunk, count * pageSize, (first - 1) * pageSize);
    chunk.fill(0, length);
    for (let index = 0; index < count; index++) {
      const number = first + index;
      if (number === lock) continue;
      let bytes: Uint8Array = chunk.subarray(index * pageSize, (index + 1) * pageSize);
      if (number === 1) {
        page1 = bytes.slice();
        bytes = stampPage1(bytes, { epoch, commit });
      }
      hashes.setPage(number, bytes);
    }
  }
  if (hashes.sum !== databaseChecksum) {
    throw new Failure(
      "corrupt",
      `Cannot open the workspace ${path}: the checksum of its ${commit} pages is ${hashes.sum}, ` +
        `epoch ${epoch} says ${databaseChecksum} [I6]`,
    );
  }
  return { hashes, page1 };
}

function readFully(file: number, bytes: Uint8Array, length: number, offset: number): number {
  let done = 0;
  while (done < length) {
    const read = readSync(file, bytes, done, length - done, offset + done);
    if (read === 0) break;
    done += read;
  }
  return done;
}
