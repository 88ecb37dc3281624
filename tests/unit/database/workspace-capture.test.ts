/** What the log of a database leaves out or holds too much of, without savepoints in the way. */
import { Database } from "bun:sqlite";
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Capture } from "../../../src/database/capture.ts";
import { emptyLog } from "../../../src/database/workspace-database.ts";
import { pageHash, PageHashes } from "../../../src/epoch/checksum.ts";

const PAGE_SIZE = 1024;

let directory: string;
let database: Database;
let capture: Capture;
let pages: Map<number, Uint8Array>;
let epoch: number;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "headgate-capture-"));
  const path = join(directory, "a.db");
  writeFileSync(path, "");
  const file = openSync(path, "r");
  database = new Database(path, { readwrite: true, safeIntegers: true });
  database.run(`PRAGMA page_size = ${PAGE_SIZE}`);
  database.run("PRAGMA auto_vacuum = INCREMENTAL");
  database.run("PRAGMA locking_mode = EXCLUSIVE");
  database.run("PRAGMA journal_mode = WAL");
  database.run("PRAGMA wal_autocheckpoint = 0");
  const hashes = new PageHashes(PAGE_SIZE);
  capture = new Capture({ path, file, pageSize: PAGE_SIZE, hashes, page1: null });
  pages = new Map();
  epoch = 0;
  run("CREATE TABLE t(id INTEGER PRIMARY KEY, a)");
  take();
});

afterEach(() => {
  database.close();
  rmSync(directory, { recursive: true, force: true });
});

function run(...statements: string[]): void {
  database.run("BEGIN");
  for (const sql of statements) database.run(sql);
  database.run("COMMIT");
}

function accept(): void {
  const commits = capture.scan();
  if (commits === null) throw new Error("nothing was committed");
  capture.accept(commits);
}

/** Takes an epoch, applies it, and holds the result against SQLite's own file. */
function take() {
  if (capture.scan() !== null) accept();
  const bound = capture.pagesAccepted;
  const captured = capture.take(++epoch);
  // Page 1 comes by itself.
  expect(captured.pages.length).toBeLessThanOrEqual(bound + 1);
  let last = 0;
  for (const { number, bytes } of captured.pages) {
    expect(number).toBeGreaterThan(last);
    expect(number).toBeLessThanOrEqual(captured.commit);
    last = number;
    pages.set(number, bytes);
  }
  for (const number of [...pages.keys()]) if (number > captured.commit) pages.delete(number);
  expect(pages.size).toBe(captured.commit);
  let sum = 0n;
  for (const [number, bytes] of pages) sum += pageHash(bytes, number);
  expect(captured.databaseChecksum).toBe(BigInt.asUintN(64, sum));
  return captured;
}

/** Every page but the first, which is stamped, is byte by byte SQLite's. */
function compareWithFile(): void {
  emptyLog(database);
  capture.forgetLog();
  const file = readFileSync(join(directory, "a.db"));
  expect(file.length).toBe(pages.size * PAGE_SIZE);
  for (const [number, bytes] of pages) {
    if (number === 1) continue;
    const there = file.subarray((number - 1) * PAGE_SIZE, number * PAGE_SIZE);
    if (!there.equals(bytes)) throw new Error(`page ${number} differs from SQLite's`);
  }
}

const grow = (id: number) => `INSERT INTO t VALUES (${id}, randomblob(60000))`;

/** As if SQLite had not written page `page`. */
function acceptWithout(page: number): void {
  const commits = capture.scan();
  if (commits === null) throw new Error("nothing was committed");
  const frames = commits.frames.filter((frame) => frame.page !== page);
  expect(frames.length).toBeLessThan(commits.frames.length);
  capture.accept({ ...commits, frames });
}

function shrink(): void {
  database.run("DELETE FROM t");
  database.query("PRAGMA incremental_vacuum").all();
}

test("a page that no frame holds is in the epoch that grew, with zeros", () => {
  run(grow(1));
  acceptWithout(30);
  const taken = take().pages.find(({ number }) => number === 30);
  expect(taken?.bytes).toEqual(new Uint8Array(PAGE_SIZE));
});

test("or with the bytes of its last frame, as SQLite reads it", () => {
  run(grow(1));
  take();
  const before = pages.get(30);
  shrink();
  take();
  expect(pages.has(30)).toBe(false);
  run(grow(2));
  acceptWithout(30);
  take();
  expect(pages.get(30)).toEqual(before ?? new Uint8Array());
});

test("or with those of the file", () => {
  run(grow(1));
  take();
  compareWithFile();
  const before = pages.get(30);
  shrink();
  take();
  run(grow(2));
  acceptWithout(30);
  take();
  expect(pages.get(30)).toEqual(before ?? new Uint8Array());
});

test("after the log was emptied nothing is read from where it stood", () => {
  run(grow(1));
  take();
  database.query("DELETE FROM t").run();
  database.query("PRAGMA incremental_vacuum").all();
  take();
  compareWithFile();
  run("CREATE TABLE u(a)", grow(2));
  acceptWithout(30);
  take();
  expect(pages.get(30)).toEqual(new Uint8Array(PAGE_SIZE));
});

test("pages above the last commit are left out although the log holds them", () => {
  run(grow(1));
  accept();
  database.query("DELETE FROM t").run();
  accept();
  database.query("PRAGMA incremental_vacuum").all();
  accept();
  const { commit, pages: taken } = take();
  expect(commit).toBeLessThan(10);
  expect(taken.length).toBeLessThanOrEqual(commit);
  compareWithFile();
});
