import { Database } from "bun:sqlite";
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type ReadAt,
  readCommits,
  readWalHeader,
  WAL_HEADER_BYTES,
} from "../../../src/database/wal.ts";

const PAGE_SIZE = 1024;
const FRAME_BYTES = 24 + PAGE_SIZE;

let directory: string;
let database: Database;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "headgate-wal-"));
  database = new Database(join(directory, "a.db"));
  database.run(`PRAGMA page_size = ${PAGE_SIZE}`);
  database.run("PRAGMA journal_mode = WAL");
  database.run("PRAGMA wal_autocheckpoint = 0");
  database.run("PRAGMA cache_size = 10");
});

afterEach(() => {
  database.close();
  rmSync(directory, { recursive: true, force: true });
});

const log = () => new Uint8Array(readFileSync(join(directory, "a.db-wal")));
const reading = (bytes: Uint8Array): ReadAt => (offset, length) =>
  bytes.subarray(offset, offset + length);

function commitsOf(bytes: Uint8Array) {
  const header = readWalHeader(bytes.subarray(0, WAL_HEADER_BYTES), PAGE_SIZE);
  return header && readCommits(reading(bytes), header, PAGE_SIZE);
}

test("frames of real commits are found, the last with the size of the database", () => {
  database.run("CREATE TABLE t(a)");
  database.run("INSERT INTO t VALUES (randomblob(5000))");
  const commits = commitsOf(log());
  const pages = Number(database.query("PRAGMA page_count").values()[0]?.[0]);
  expect(commits?.commit).toBe(pages);
  expect(commits?.position.offset).toBe(log().length);
  expect(new Set(commits?.frames.map(({ page }) => page)).size).toBe(pages);
});

test("a later call goes on where the last commit ended", () => {
  database.run("CREATE TABLE t(a)");
  const first = commitsOf(log());
  if (!first) throw new Error("no commit");
  expect(readCommits(reading(log()), first.position, PAGE_SIZE)).toBeNull();
  database.run("INSERT INTO t VALUES (1)");
  const second = readCommits(reading(log()), first.position, PAGE_SIZE);
  expect(second?.frames.length).toBe(1);
  expect(second?.position.offset).toBe(log().length);
});

test("frames of an open or rolled back transaction are not taken", () => {
  database.run("CREATE TABLE t(a)");
  const committed = log().length;
  database.run("BEGIN");
  database.run("INSERT INTO t VALUES (randomblob(100000))");
  expect(log().length).toBeGreaterThan(committed);
  expect(commitsOf(log())?.position.offset).toBe(committed);
  expect(commitsOf(log())?.frames.length).toBe((committed - WAL_HEADER_BYTES) / FRAME_BYTES);
  database.run("ROLLBACK");
  database.run("INSERT INTO t VALUES (1)");
  // Behind the new commit still stand frames of the one that was rolled back.
  expect(commitsOf(log())?.position.offset).toBe(committed + FRAME_BYTES);
  expect(log().length).toBeGreaterThan(committed + FRAME_BYTES);
});

test("frames of an earlier log behind those of a new one are not taken", () => {
  database.run("CREATE TABLE t(a)");
  database.run("INSERT INTO t VALUES (randomblob(50000))");
  database.run("PRAGMA wal_checkpoint(RESTART)");
  database.run("INSERT INTO t VALUES (2)");
  expect(commitsOf(log())?.frames.length).toBe(1);
  expect(log().length).toBeGreaterThan(WAL_HEADER_BYTES + 40 * FRAME_BYTES);
});

test("every byte of a frame counts: a flipped one ends the log before its commit", () => {
  database.run("CREATE TABLE t(a)");
  const end = log().length;
  database.run("INSERT INTO t VALUES (1)");
  // Page number, commit size, both salts, both checksums, data.
  for (const at of [3, 7, 9, 14, 17, 22, 24, 500, FRAME_BYTES - 1]) {
    const bytes = log();
    bytes[end + at] = (bytes[end + at] ?? 0) ^ 0x10;
    expect(commitsOf(bytes)?.position.offset).toBe(end);
  }
});

test("a log that ends in the middle of a frame ends before it", () => {
  database.run("CREATE TABLE t(a)");
  const end = log().length;
  database.run("INSERT INTO t VALUES (1)");
  for (const length of [end, end + 1, end + 24, log().length - 1]) {
    expect(commitsOf(log().subarray(0, length))?.position.offset).toBe(end);
  }
});

test("a damaged, foreign, short or empty header is no log", () => {
  database.run("CREATE TABLE t(a)");
  const header = log().subarray(0, WAL_HEADER_BYTES);
  expect(readWalHeader(header, PAGE_SIZE)).not.toBeNull();
  expect(readWalHeader(header, 4096)).toBeNull();
  expect(readWalHeader(header.subarray(0, 31), PAGE_SIZE)).toBeNull();
  expect(readWalHeader(new Uint8Array(32), PAGE_SIZE)).toBeNull();
  for (let at = 0; at < WAL_HEADER_BYTES; at++) {
    const bytes = header.slice();
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    expect(readWalHeader(bytes, PAGE_SIZE)).toBeNull();
  }
});

test("more frames than are read at a time are all found", () => {
  database.run("CREATE TABLE t(a)");
  database.run("INSERT INTO t VALUES (zeroblob(3000000))");
  const commits = commitsOf(log());
  expect(commits?.frames.length).toBeGreaterThan(2900);
  expect(commits?.position.offset).toBe(log().length);
});

test("checksums over big-endian words are understood as well", () => {
  database.run("CREATE TABLE t(a)");
  database.run("INSERT INTO t VALUES (randomblob(3000))");
  const expected = commitsOf(log());
  const swapped = inBigEndian(log());
  const commits = commitsOf(swapped);
  expect(commits?.frames).toEqual(expected?.frames ?? []);
  expect(commits?.position.offset).toBe(swapped.length);
  // Read from an odd address, word by word.
  const shifted = new Uint8Array(swapped.length + 1).subarray(1);
  shifted.set(log());
  expect(commitsOf(shifted)?.frames).toEqual(expected?.frames ?? []);
});

/** The same log as a machine of the other byte order writes it, checksums in plain arithmetic. */
function inBigEndian(bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  const view = new DataView(copy.buffer);
  let sum = [0, 0];
  const add = (start: number, length: number) => {
    let [a = 0, b = 0] = sum;
    for (let at = start; at < start + length; at += 8) {
      a = (a + view.getUint32(at) + b) % 2 ** 32;
      b = (b + view.getUint32(at + 4) + a) % 2 ** 32;
    }
    sum = [a, b];
  };
  const put = (at: number) => {
    view.setUint32(at, sum[0] ?? 0);
    view.setUint32(at + 4, sum[1] ?? 0);
  };
  view.setUint32(0, 0x377f0683);
  add(0, 24);
  put(24);
  for (let at = WAL_HEADER_BYTES; at < copy.length; at += FRAME_BYTES) {
    add(at, 8);
    add(at + 24, PAGE_SIZE);
    put(at + 16);
  }
  return copy;
}
