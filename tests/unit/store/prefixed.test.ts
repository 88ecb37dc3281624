import { beforeEach, expect, test } from "bun:test";
import { systemClock } from "../../../src/base/clock.ts";
import { Failure } from "../../../src/base/failure.ts";
import { silentLog } from "../../../src/base/log.ts";
import { seededRandom } from "../../../src/base/random.ts";
import { delayed } from "../../../src/store/delay.ts";
import { MemoryStore } from "../../../src/store/memory.ts";
import { partOf, type PartOfStore } from "../../../src/store/prefixed.ts";
import type { Store } from "../../../src/store/store.ts";

let whole: MemoryStore;
let part: PartOfStore;

const bytes = (text: string) => new TextEncoder().encode(text);
const parts = { prefix: "app/", clock: systemClock, random: seededRandom(7), log: silentLog };

beforeEach(() => {
  whole = new MemoryStore(systemClock);
  part = partOf(whole, parts);
});

test("every key lies below the prefix, and the rest of the store is not there", async () => {
  await whole.create("databases/x/0000/1.ltx", bytes("epoch"));
  await whole.create("apple", bytes("no part of it"));
  expect(await part.create("a/1", bytes("one"))).toBe("created");
  expect(await part.create("b", bytes("two"))).toBe("created");
  expect((await whole.get("app/a/1"))?.bytes).toEqual(bytes("one"));
  const { objects, more } = await part.list("");
  expect([objects.map(({ key }) => key), more]).toEqual([["a/1", "b"], false]);
  expect((await part.list("", { startAfter: "a/1" })).objects.map(({ key }) => key)).toEqual(["b"]);
  expect((await part.list("", { limit: 1 })).more).toBe(true);
  expect(await part.get("databases/x/0000/1.ltx")).toBeNull();
  expect((await part.head("b"))?.size).toBe(3);
  expect(await part.getRange("b", { offset: 1, length: 1 })).toEqual(bytes("w"));
  await part.remove(["b"]);
  expect(await whole.head("app/b")).toBeNull();
});

test("no key and no prefix of a list leads out of it", async () => {
  const ways = ["../databases", "..", "a/../../databases", "/databases", "", "a//b"];
  for (const key of ways) {
    await expect(part.get(key)).rejects.toThrow("Cannot use the key");
    await expect(part.create(key, bytes("x"))).rejects.toThrow("Cannot use the key");
    await expect(part.remove([key])).rejects.toThrow("Cannot use the key");
  }
  for (const below of ["../", "a/../../", "/"]) {
    await expect(part.list(below)).rejects.toThrow("Cannot use the key");
  }
});

test("a create has one of two answers, however often the store is unsure", async () => {
  let lost = 2;
  const unsure: Store = {
    ...delayed(whole, 0, systemClock),
    create: async (...create: Parameters<Store["create"]>) => {
      const outcome = await whole.create(...create);
      if (lost-- > 0) throw new Failure("uncertain", "the answer was lost");
      return outcome;
    },
  };
  const there = partOf(unsure, parts);
  expect(await there.create("k", bytes("mine"))).toBe("created");
  expect(await there.create("k", bytes("theirs"))).toBe("exists");
});

test("a create that cannot be carried out ends at its deadline", async () => {
  const failing: Store = {
    ...delayed(whole, 0, systemClock),
    create: () => Promise.reject(new Failure("unavailable", "no network")),
  };
  const created = partOf(failing, parts).create("k", bytes("x"), { timeoutMs: 60 });
  await expect(created).rejects.toMatchObject({ kind: "unavailable" });
});

test("a replace is held against the tag of what it replaces", async () => {
  const tag = await part.replace("k", bytes("1"), null);
  expect(await part.replace("k", bytes("2"), "another")).toBeNull();
  expect(await part.replace("k", bytes("2"), tag)).not.toBeNull();
});
