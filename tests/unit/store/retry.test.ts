import { describe, expect, test } from "bun:test";
import { Failure, type FailureKind } from "../../../src/base/failure.ts";
import { systemClock } from "../../../src/base/clock.ts";
import { STORE_ATTEMPTS_MAX } from "../../../src/base/limits.ts";
import { silentLog } from "../../../src/base/log.ts";
import { seededRandom } from "../../../src/base/random.ts";
import { MemoryStore } from "../../../src/store/memory.ts";
import { retrying } from "../../../src/store/retry.ts";
import type { Store } from "../../../src/store/store.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const parts = {
  clock: { ...systemClock, sleep: () => Promise.resolve() },
  random: seededRandom(3),
  log: silentLog,
};

/** Every operation fails `times` times with `kind`, before or after it was applied. */
function failing(kind: FailureKind, times: number, when: "before" | "after" = "before") {
  const memory = new MemoryStore(systemClock);
  const calls: Record<string, number> = {};
  const wrap = <T>(name: string, run: () => Promise<T>): Promise<T> => {
    calls[name] = (calls[name] ?? 0) + 1;
    if (calls[name] > times) return run();
    const failure = new Failure(kind, `${name} was told to fail`);
    return when === "before" ? Promise.reject(failure) : run().then(() => Promise.reject(failure));
  };
  const store: Store = {
    name: memory.name,
    get: (key) => wrap("get", () => memory.get(key)),
    getRange: (key, range) => wrap("getRange", () => memory.getRange(key, range)),
    head: (key) => wrap("head", () => memory.head(key)),
    create: (key, body) => wrap("create", () => memory.create(key, body)),
    replace: (key, body, etag) => wrap("replace", () => memory.replace(key, body, etag)),
    list: (prefix, options) => wrap("list", () => memory.list(prefix, options)),
    remove: (keys) => wrap("remove", () => memory.remove(keys)),
    clockOffsetMs: () => 7,
    close: () => memory.close(),
  };
  return { store: retrying(store, parts), memory, calls };
}

const failure = (run: Promise<unknown>) => run.then(() => null, (error: Failure) => error);

describe("retrying", () => {
  test("reads, lists and removes come through after a few failures", async () => {
    const { store, memory, calls } = failing("unavailable", 3);
    await memory.create("a", bytes("x"));
    expect((await store.get("a"))?.bytes).toEqual(bytes("x"));
    expect(await store.getRange("a", { offset: 0, length: 1 })).toEqual(bytes("x"));
    expect((await store.head("a"))?.size).toBe(1);
    expect((await store.list("")).objects).toHaveLength(1);
    await store.remove(["a"]);
    expect(await memory.head("a")).toBeNull();
    expect(calls).toEqual({ get: 4, getRange: 4, head: 4, list: 4, remove: 4 });
    expect(store.clockOffsetMs()).toBe(7);
  });

  test("attempts are bounded, and the last failure is thrown", async () => {
    const { store, calls } = failing("unavailable", 1000);
    expect((await failure(store.get("a")))?.message).toBe("get was told to fail");
    expect(calls).toEqual({ get: STORE_ATTEMPTS_MAX });
  });

  test("a create is never repeated [I8]", async () => {
    for (const kind of ["unavailable", "uncertain"] as const) {
      const { store, calls } = failing(kind, 1);
      expect((await failure(store.create("a", bytes("x"))))?.kind).toBe(kind);
      expect(calls).toEqual({ create: 1 });
    }
  });

  test("what cannot pass by itself is not repeated", async () => {
    for (const kind of ["denied", "invalid", "corrupt"] as const) {
      const { store, calls } = failing(kind, 1);
      expect((await failure(store.get("a")))?.kind).toBe(kind);
      expect(calls).toEqual({ get: 1 });
    }
  });

  test("a replace that was applied without an answer is not taken for somebody else's", async () => {
    const { store, memory, calls } = failing("uncertain", 1, "after");
    const etag = await memory.replace("a", bytes("1"), null);
    const next = await store.replace("a", bytes("2"), etag);
    expect(next).toBe((await memory.head("a"))?.etag ?? "");
    expect(calls["replace"]).toBe(1);
    const { store: fresh, memory: empty } = failing("uncertain", 1, "after");
    expect(await fresh.replace("b", bytes("1"), null)).toBe((await empty.head("b"))?.etag ?? "");
  });

  test("a replace that was not applied is sent again, unless the object changed", async () => {
    const { store, memory, calls } = failing("uncertain", 1);
    const etag = await memory.replace("a", bytes("1"), null);
    expect(await store.replace("a", bytes("2"), etag)).not.toBeNull();
    expect(calls["replace"]).toBe(2);
    const raced = failing("uncertain", 1);
    const old = await raced.memory.replace("a", bytes("1"), null);
    await raced.memory.replace("a", bytes("theirs"), old);
    expect(await raced.store.replace("a", bytes("2"), old)).toBeNull();
    expect(raced.calls["replace"]).toBe(1);
  });

  test("a replace that stays unknown is uncertain, not unavailable", async () => {
    const { store } = failing("uncertain", 1000);
    expect((await failure(store.replace("a", bytes("1"), null)))?.kind).toBe("uncertain");
  });

  test("an abort ends it with the failure that it waited for", async () => {
    const controller = new AbortController();
    const { store, calls } = failing("unavailable", 1000);
    controller.abort(new Error("stop"));
    const error = await failure(store.get("a", { signal: controller.signal }));
    expect(error?.message).toBe("get was told to fail");
    expect(calls).toEqual({ get: 1 });
  });
});
