/** The part of the stores' conformance suite about many objects: lists and removes. */
import { expect, test } from "bun:test";
import { Failure } from "../../src/base/failure.ts";
import type { ListedObject, Store } from "../../src/store/store.ts";

export const bytes = (text: string) => new TextEncoder().encode(text);

/** What a request fails with; it must be a `Failure`. */
export async function failure(run: Promise<unknown>): Promise<Failure> {
  const error = await run.then(() => new Error("it succeeded"), (thrown) => thrown);
  expect(error).toBeInstanceOf(Failure);
  return error;
}

async function listAll(store: Store, prefix: string, limit: number): Promise<ListedObject[]> {
  const all: ListedObject[] = [];
  while (true) {
    const after = all.at(-1)?.key;
    const page = await store.list(prefix, {
      limit,
      ...(after !== undefined && { startAfter: after }),
    });
    expect(page.objects.length).toBeLessThanOrEqual(limit);
    all.push(...page.objects);
    if (!page.more) return all;
    expect(page.objects.length).toBeGreaterThan(0);
  }
}

export function listTests(open: () => Store): void {
  // In the order of their UTF-8 bytes: "-" and "." before "/", "𐀀" (4 bytes) after "\uffee".
  const KEYS = [
    "list/a-b",
    "list/a.c",
    "list/a/1",
    "list/a/2/deep",
    "list/a/b",
    "list/a0",
    "list/b & c <d> \"e\" 'f' +g%20",
    "list/b=1/part=2",
    "list/z",
    "list/é",
    "list/ﬀ",
    "list/ﾮ/x",
    "list/𐀀",
    "list/𐀀/x".replace("/𐀀/", "/𐀁/"),
  ];

  test("a list is in the order of the keys' bytes, whatever its pages", async () => {
    const store = open();
    await Promise.all([...KEYS].reverse().map((key) => store.create(key, bytes(key))));
    await store.create("lisu", bytes("outside"));
    for (const limit of [1, 2, 3, 5, 1000]) {
      const all = await listAll(store, "list/", limit);
      expect(all.map((object) => object.key)).toEqual(KEYS);
      for (const object of all) expect(object.size).toBe(bytes(object.key).length);
    }
    expect((await listAll(store, "", 4)).map((object) => object.key)).toContain("lisu");
  });

  test("a list starts after any key, there or not, and keeps to its prefix", async () => {
    const store = open();
    const keys = async (prefix: string, startAfter: string) =>
      (await store.list(prefix, { startAfter })).objects.map((object) => object.key);
    for (const [at, key] of KEYS.entries()) {
      expect(await keys("list/", key)).toEqual(KEYS.slice(at + 1));
      expect(await keys("list/", `${key}!`)).toEqual(
        KEYS.filter((other) => Buffer.compare(Buffer.from(other), Buffer.from(`${key}!`)) > 0),
      );
    }
    expect(await keys("list/a", "")).toEqual(KEYS.slice(0, 6));
    expect(await keys("list/a/", "")).toEqual(KEYS.slice(2, 5));
    expect(await keys("list/a/", "list/a/2")).toEqual(KEYS.slice(3, 5));
    expect(await keys("list/a/", "list/a/2/deep")).toEqual(["list/a/b"]);
    expect(await keys("list/a/", "list/b")).toEqual([]);
    expect(await keys("list/", "list0")).toEqual([]);
    expect(await keys("list/", "a")).toEqual(KEYS);
    expect(await keys("list/a/2/deep", "")).toEqual(["list/a/2/deep"]);
  });

  test("a list of exactly one page has no more", async () => {
    const store = open();
    expect((await store.list("list/", { limit: KEYS.length })).more).toBe(false);
    expect((await store.list("list/", { limit: KEYS.length - 1 })).more).toBe(true);
    expect((await failure(store.list("list/", { limit: 0 }))).kind).toBe("invalid");
    expect((await failure(store.list("list/", { limit: 1001 }))).kind).toBe("invalid");
  });

  test("a new object is in the next list", async () => {
    const store = open();
    for (let at = 0; at < 20; at++) {
      const key = `fresh/${String(at).padStart(4, "0")}`;
      await store.create(key, bytes("x"));
      const page = await store.list(
        "fresh/",
        at === 0 ? {} : { startAfter: `fresh/${String(at - 1).padStart(4, "0")}` },
      );
      expect(page.objects.map((object) => object.key)).toEqual([key]);
    }
  });
}

export function removeTests(open: () => Store): void {
  test("removing takes away what is there, and absent keys are fine", async () => {
    const store = open();
    await store.create("gone/1", bytes("1"));
    await store.create("gone/deep/2", bytes("2"));
    await store.create("gone/kept", bytes("3"));
    await store.remove(["gone/1", "gone/absent", "gone/deep/2", "gone/none/x", "gone/1/x"]);
    await store.remove([]);
    expect((await store.list("gone/")).objects.map((object) => object.key)).toEqual(["gone/kept"]);
    expect(await store.get("gone/1")).toBeNull();
    expect(await store.create("gone/1", bytes("again"))).toBe("created");
    expect(await store.create("gone/deep/2", bytes("again"))).toBe("created");
  });

  test("more keys than one request takes are removed", async () => {
    const store = open();
    const keys = Array.from({ length: 1_205 }, (_, at) => `many/${String(at).padStart(5, "0")}`);
    for (let at = 0; at < keys.length; at += 50) {
      await Promise.all(keys.slice(at, at + 50).map((key) => store.create(key, bytes(key))));
    }
    const first = await store.list("many/");
    expect(first.objects.length).toBe(1000);
    expect(first.more).toBe(true);
    expect((await listAll(store, "many/", 1000)).map((object) => object.key)).toEqual(keys);
    await store.remove(keys.slice(1));
    expect((await store.list("many/")).objects.map((object) => object.key)).toEqual(["many/00000"]);
  }, 60_000);
}
