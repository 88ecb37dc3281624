import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { pageHash, PageHashes } from "../../src/epoch/checksum.ts";
import { Crc64 } from "../../src/epoch/crc64.ts";
import { lockPage } from "../../src/epoch/epoch.ts";

const MAX = (1n << 64n) - 1n;

describe("CRC-64/GO-ISO", () => {
  test("equals the bitwise definition, whatever pieces the bytes come in", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 600 }),
        fc.array(fc.nat(600), { maxLength: 5 }),
        fc.nat(7),
        (bytes, cuts, shift) => {
          // A shifted copy, so that words do not lie at multiples of 8.
          const shifted = new Uint8Array(shift + bytes.length).subarray(shift);
          shifted.set(bytes);
          const crc = new Crc64();
          let start = 0;
          for (const cut of [...cuts, bytes.length].sort((a, b) => a - b)) {
            const end = Math.min(cut, bytes.length);
            crc.update(shifted, start, end);
            start = end;
          }
          expect(crc.value).toBe(bitwise(bytes));
        },
      ),
    );
  });
});

describe("the database checksum", () => {
  const change = fc.oneof(
    fc.record({ page: fc.integer({ min: 1, max: 60 }), hash: fc.bigInt({ min: 0n, max: MAX }) }),
    fc.record({ commit: fc.integer({ min: 1, max: 60 }) }),
  );

  test("kept by difference equals the sum over all pages, after any changes", () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 60 }), (changes) => {
        const hashes = new PageHashes(65_536);
        const naive = new Map<number, bigint>();
        let commit = 0;
        for (const step of changes) {
          if ("page" in step) {
            hashes.set(step.page, step.hash);
            naive.set(step.page, step.hash);
            commit = Math.max(commit, step.page);
          } else {
            hashes.truncate(step.commit);
            commit = Math.min(commit, step.commit);
            for (const page of naive.keys()) if (page > step.commit) naive.delete(page);
          }
          const sum = [...naive.values()].reduce((total, hash) => total + hash, 0n);
          expect(hashes.sum).toBe(BigInt.asUintN(64, sum));
          expect(hashes.commit).toBe(commit);
        }
        const copy = hashes.clone();
        expect(copy.equals(hashes)).toBe(true);
        expect(copy.sum).toBe(hashes.sum);
        copy.set(61, 1n);
        expect(copy.firstDifference(hashes)).toBe(61);
        expect(hashes.commit).toBeLessThanOrEqual(60);
      }),
    );
  });

  test("notices equal changes in two pages, and pages that change places", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 512, maxLength: 512 }), fc.nat(511), (bytes, at) => {
        const before = new PageHashes(512);
        const after = new PageHashes(512);
        const changed = bytes.slice();
        changed[at]! ^= 1;
        for (const page of [1, 2]) {
          before.setPage(page, bytes);
          after.setPage(page, changed);
        }
        expect(after.sum).not.toBe(before.sum);
        expect(pageHash(bytes, 1) + pageHash(changed, 2))
          .not.toBe(pageHash(bytes, 2) + pageHash(changed, 1));
      }),
    );
  });

  test("has no hash for the lock page", () => {
    const hashes = new PageHashes(65_536);
    expect(() => hashes.set(lockPage(65_536), 1n)).toThrow("lock page");
    expect(lockPage(4096)).toBe(262_145);
  });
});

/** The definition, one bit a step. */
function bitwise(bytes: Uint8Array): bigint {
  let crc = MAX;
  for (const byte of bytes) {
    crc ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit++) {
      crc = (crc & 1n) === 1n ? (crc >> 1n) ^ 0xd800_0000_0000_0000n : crc >> 1n;
    }
  }
  return crc ^ MAX;
}
