import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import { Failure } from "../../../src/base/failure.ts";
import { isCanonicalPage1, readPage1, stampPage1 } from "../../../src/epoch/page1.ts";

/** A Buffer, whose `slice` is no copy, somewhere in the middle of its memory. */
function page1(pageSize: number, statements: readonly string[] = []): Uint8Array {
  const database = new Database(":memory:");
  database.run(`PRAGMA page_size=${pageSize}`);
  database.run("CREATE TABLE t (x)");
  for (const statement of statements) database.run(statement);
  const bytes = Buffer.concat([new Uint8Array(9), database.serialize()]).subarray(9, 9 + pageSize);
  database.close();
  return bytes;
}

describe("canonical page 1", () => {
  test("carries rollback mode, the epoch's low 32 bits and the commit, and nothing else changes", () => {
    const bytes = page1(4096);
    const before = new Uint8Array(bytes);
    const epoch = 3 * 2 ** 32 + 0xfffffffe;
    bytes[18] =
      bytes[19] =
      before[18] =
      before[19] =
        2;
    const stamped = stampPage1(bytes, { epoch, commit: 77 });
    expect(Buffer.compare(bytes, before)).toBe(0);
    const changed = [...stamped.keys()].filter((at) => stamped[at] !== bytes[at]);
    const allowed = [18, 19, 24, 25, 26, 27, 28, 29, 30, 31, 92, 93, 94, 95];
    expect(changed.filter((at) => !allowed.includes(at))).toEqual([]);
    expect(readPage1(stamped)).toMatchObject({
      writeVersion: 1,
      readVersion: 1,
      changeCounter: 0xfffffffe,
      versionValidFor: 0xfffffffe,
      commit: 77,
    });
    expect(isCanonicalPage1(stamped, { epoch, commit: 77 })).toBe(true);
    expect(isCanonicalPage1(stamped, { epoch: epoch + 1, commit: 77 })).toBe(false);
    expect(isCanonicalPage1(stamped, { epoch, commit: 78 })).toBe(false);
    expect(isCanonicalPage1(bytes, { epoch, commit: 77 })).toBe(false);
  });

  test("takes a new schema cookie where asked", () => {
    const bytes = page1(4096);
    const { schemaCookie } = readPage1(bytes);
    expect(readPage1(stampPage1(bytes, { epoch: 1, commit: 2 })).schemaCookie).toBe(schemaCookie);
    const stamp = { epoch: 1, commit: 2, schemaCookie: 0xffffffff };
    expect(readPage1(stampPage1(bytes, stamp)).schemaCookie).toBe(0xffffffff);
  });

  test("is read as SQLite wrote it, for all page sizes", () => {
    for (const pageSize of [512, 1024, 4096, 32768, 65536]) {
      const bytes = page1(pageSize, [
        "PRAGMA user_version=7",
        "PRAGMA application_id=9",
        "CREATE INDEX i ON t (x)",
      ]);
      expect(readPage1(bytes)).toMatchObject({
        pageSize,
        encoding: "UTF-8",
        schemaCookie: 2,
        userVersion: 7,
        applicationId: 9,
        freePages: 0,
        commit: 3,
      });
      expect(readPage1(bytes.subarray(0, 100)).pageSize).toBe(pageSize);
    }
  });

  test("that is no SQLite header is corrupt", () => {
    for (const bytes of [new Uint8Array(99), new Uint8Array(512), page1(512).fill(3, 16, 18)]) {
      expect(() => readPage1(bytes)).toThrow(Failure);
    }
  });
});
