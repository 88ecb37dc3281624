/**
 * What every store must do, whatever it is made of. Registers the tests with the runner; the memory
 * store is the reference.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Failure } from "../../src/base/failure.ts";
import type { Store } from "../../src/store/store.ts";
import { bytes, failure, listTests, removeTests } from "./store-conformance-list.ts";

export interface ConformanceOptions {
  /** Opens an empty store. With `sharedWith`: a second client of the same objects. */
  open(sharedWith?: Store): Promise<Store>;
  /** Bytes of a large object. */
  readonly largeBytes?: number;
}

const text = (found: { bytes: Uint8Array } | null) =>
  found && new TextDecoder().decode(found.bytes);

function pattern(length: number, seed = 1): Uint8Array {
  const made = new Uint8Array(length);
  let state = seed;
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    made[at] = state >>> 24;
  }
  return made;
}

export function storeConformance(name: string, options: ConformanceOptions): void {
  describe(`${name} as a store`, () => {
    let store: Store;
    let other: Store;
    let folder: string;
    beforeAll(async () => {
      store = await options.open();
      other = await options.open(store);
      folder = await mkdtemp(join(tmpdir(), "headgate-conformance-"));
    });
    afterAll(async () => {
      await other.close();
      await store.close();
      await rm(folder, { recursive: true, force: true });
    });

    test("an object comes back as it was created, to another client too", async () => {
      expect(await store.create("a/first", bytes("hello"))).toBe("created");
      for (const client of [store, other]) {
        const found = await client.get("a/first");
        expect(text(found)).toBe("hello");
        expect(found?.size).toBe(5);
        expect(await client.head("a/first")).toEqual({
          size: 5,
          etag: found?.etag ?? "",
          modifiedAtMs: found?.modifiedAtMs ?? 0,
        });
      }
    });

    test("what is not there is null", async () => {
      expect(await store.get("absent/x")).toBeNull();
      expect(await store.head("absent/x")).toBeNull();
      expect(await store.getRange("absent/x", { offset: 0, length: 4 })).toBeNull();
      expect(await store.getRange("absent/x", { offset: 0, length: 0 })).toBeNull();
      expect(await store.get("a/first/below")).toBeNull();
      expect(await store.get("a")).toBeNull();
      expect(await store.head("a")).toBeNull();
      expect(await store.list("absent/")).toEqual({ objects: [], more: false });
    });

    test("a second create is refused and changes nothing [I1]", async () => {
      expect(await store.create("a/once", bytes("mine"))).toBe("created");
      expect(await store.create("a/once", bytes("theirs"))).toBe("exists");
      expect(await other.create("a/once", bytes("mine"))).toBe("exists");
      expect(text(await store.get("a/once"))).toBe("mine");
    });

    test("of 50 creators of one key exactly one wins, and its bytes stay [I1]", async () => {
      for (let round = 0; round < 5; round++) {
        const key = `race/${round}`;
        const outcomes = await Promise.all(
          Array.from({ length: 50 }, (_, racer) => {
            const client = racer % 2 === 0 ? store : other;
            return client.create(key, bytes(`racer ${racer}`)).catch((error: Failure) => {
              // A store may say "conflict, try again" to a loser; it must not say so to a winner.
              expect(error.kind).toBe("uncertain");
              return "conflict";
            });
          }),
        );
        const winners = outcomes.flatMap((outcome, racer) => outcome === "created" ? [racer] : []);
        expect(winners).toHaveLength(1);
        expect(text(await other.get(key))).toBe(`racer ${winners[0]}`);
      }
    });

    test("the caller's array may change after a create, and the answer's is its own", async () => {
      const body = bytes("before");
      await store.create("a/copied", body);
      body.fill(0);
      const first = await store.get("a/copied");
      expect(text(first)).toBe("before");
      first?.bytes.fill(0);
      expect(text(await store.get("a/copied"))).toBe("before");
    });

    test("a part of a larger array is stored as that part", async () => {
      await store.create("a/view", bytes("0123456789").subarray(3, 7));
      expect(text(await store.get("a/view"))).toBe("3456");
    });

    test("an empty object is an object", async () => {
      expect(await store.create("a/empty", new Uint8Array())).toBe("created");
      expect(await store.create("a/empty", new Uint8Array())).toBe("exists");
      expect((await store.get("a/empty"))?.bytes.length).toBe(0);
      expect((await store.head("a/empty"))?.size).toBe(0);
      expect(await store.getRange("a/empty", { offset: 0, length: 8 })).toEqual(new Uint8Array());
    });

    test("a range is cut at the object's end", async () => {
      await store.create("a/range", bytes("0123456789"));
      const range = async (offset: number, length: number) => {
        const found = await store.getRange("a/range", { offset, length });
        return found && new TextDecoder().decode(found);
      };
      expect(await range(0, 4)).toBe("0123");
      expect(await range(4, 1)).toBe("4");
      expect(await range(7, 100)).toBe("789");
      expect(await range(9, 1)).toBe("9");
      expect(await range(10, 5)).toBe("");
      expect(await range(99, 5)).toBe("");
      expect(await range(3, 0)).toBe("");
      expect((await failure(store.getRange("a/range", { offset: -1, length: 4 }))).kind)
        .toBe("invalid");
    });

    test("a large object comes through exactly, from memory and from a file", async () => {
      const body = pattern(options.largeBytes ?? 20 * 1024 * 1024);
      const path = join(folder, "large");
      await writeFile(path, body);
      expect(await store.create("large/memory", body)).toBe("created");
      expect(await store.create("large/file", { path, size: body.length })).toBe("created");
      expect(await store.create("large/file", { path, size: body.length })).toBe("exists");
      for (const key of ["large/memory", "large/file"]) {
        const found = await other.get(key);
        expect(found?.size).toBe(body.length);
        expect(Buffer.compare(found?.bytes ?? new Uint8Array(), body)).toBe(0);
        expect((await store.head(key))?.etag).toBe(found?.etag ?? "");
        const end = await store.getRange(key, { offset: body.length - 16, length: 16 });
        expect(end).toEqual(body.slice(-16));
      }
    });

    test("a file that is absent or has another size creates nothing", async () => {
      const path = join(folder, "small");
      await writeFile(path, "four");
      expect((await failure(store.create("a/wrong", { path, size: 5 }))).kind).toBe("invalid");
      const absent = { path: join(folder, "absent"), size: 5 };
      await failure(store.create("a/wrong", absent));
      expect(await store.head("a/wrong")).toBeNull();
      const empty = join(folder, "empty");
      await writeFile(empty, "");
      expect(await store.create("a/empty-file", { path: empty, size: 0 })).toBe("created");
      expect((await store.head("a/empty-file"))?.size).toBe(0);
    });

    test("replace writes only over the ETag that it was given", async () => {
      const first = await store.replace("hint/one", bytes("1"), null);
      expect(first).not.toBeNull();
      expect(await store.replace("hint/one", bytes("x"), null)).toBeNull();
      const second = await store.replace("hint/one", bytes("2"), first);
      expect(second).not.toBeNull();
      expect(second).not.toBe(first);
      expect((await other.head("hint/one"))?.etag).toBe(second ?? "");
      expect(await other.replace("hint/one", bytes("x"), first)).toBeNull();
      expect(text(await store.get("hint/one"))).toBe("2");
      expect(await other.replace("hint/one", bytes("3"), second)).not.toBeNull();
      expect(await store.replace("hint/absent", bytes("x"), second)).toBeNull();
      expect(await store.head("hint/absent")).toBeNull();
    });

    test("of many replaces of one ETag by one client at most one succeeds", async () => {
      const etag = await store.replace("hint/race", bytes("start"), null);
      const outcomes = await Promise.all(
        Array.from(
          { length: 20 },
          (_, racer) =>
            store.replace("hint/race", bytes(`racer ${racer}`), etag).catch((error: Failure) => {
              expect(error.kind).toBe("uncertain");
              return null;
            }),
        ),
      );
      expect(outcomes.filter((outcome) => outcome !== null).length).toBeLessThanOrEqual(1);
    });

    listTests(() => store);
    removeTests(() => store);

    test("keys that mean different things on different stores are refused", async () => {
      const wrong = [
        "",
        "/a",
        "a/",
        "a//b",
        "..",
        "a/../b",
        "./a",
        "a\\b",
        "a\nb",
        "\ud800",
        ".headgate/x",
      ];
      for (const key of [...wrong, "x".repeat(300), "é/".repeat(400) + "x"]) {
        expect((await failure(store.create(key, bytes("x")))).kind).toBe("invalid");
        expect((await failure(store.get(key))).kind).toBe("invalid");
        expect((await failure(store.remove([key]))).kind).toBe("invalid");
      }
    });

    test("a request that was cancelled before it began does nothing", async () => {
      const cancelled = { signal: AbortSignal.abort(new Error("stop")) };
      expect((await failure(store.create("a/cancelled", bytes("x"), cancelled))).kind)
        .toBe("unavailable");
      expect((await failure(store.get("a/first", cancelled))).kind).toBe("unavailable");
      expect(await store.head("a/cancelled")).toBeNull();
    });

    test("the store's time is known after an answer", async () => {
      await store.create("a/time", bytes("x"));
      expect(Math.abs(store.clockOffsetMs())).toBeLessThan(5_000);
      const info = await store.head("a/time");
      expect(Math.abs(Date.now() - (info?.modifiedAtMs ?? 0))).toBeLessThan(60_000);
    });
  });
}
