import { describe, expect, test } from "bun:test";
import { systemClock } from "../../../src/base/clock.ts";
import { Failure } from "../../../src/base/failure.ts";
import { systemRandom } from "../../../src/base/random.ts";
import { MemoryStore } from "../../../src/store/memory.ts";
import { probeStore } from "../../../src/store/probe.ts";
import { bodySize, type Store } from "../../../src/store/store.ts";

const parts = { clock: { ...systemClock, sleep: () => Promise.resolve() }, random: systemRandom };

/** A memory store with some of its promises broken. */
function broken(
  change: (memory: MemoryStore) => Partial<Store>,
): { store: Store; memory: MemoryStore } {
  const memory = new MemoryStore(systemClock, "memory:broken");
  const store: Store = {
    name: memory.name,
    get: (key) => memory.get(key),
    getRange: (key, range) => memory.getRange(key, range),
    head: (key) => memory.head(key),
    create: (key, body) => memory.create(key, body),
    replace: (key, body, etag) => memory.replace(key, body, etag),
    list: (prefix, options) => memory.list(prefix, options),
    remove: (keys) => memory.remove(keys),
    clockOffsetMs: () => 0,
    close: () => memory.close(),
    ...change(memory),
  };
  return { store, memory };
}

async function refusal(change: (memory: MemoryStore) => Partial<Store>) {
  const { store, memory } = broken(change);
  const error = await probeStore(store, parts).catch((thrown) => thrown);
  expect(error).toBeInstanceOf(Failure);
  return { error: error as Failure, left: (await memory.list("")).objects.length };
}

const overwrite = async (memory: MemoryStore, key: string, body: Uint8Array) => {
  await memory.remove([key]);
  return await memory.create(key, body);
};

describe("the probe [I12]", () => {
  test("passes a store that keeps its promises and leaves nothing behind", async () => {
    const { store, memory } = broken(() => ({}));
    const report = await probeStore(store, parts);
    expect(report.store).toBe("memory:broken");
    expect(report.conditionalReplace).toBe("honoured");
    const operations = new Set(report.steps.map((step) => step.operation));
    expect([...operations].sort()).toEqual(
      ["create", "get", "get_range", "head", "list", "remove", "replace"],
    );
    for (const step of report.steps) expect(step.ms).toBeGreaterThanOrEqual(0);
    expect((await memory.list("")).objects).toEqual([]);
  });

  test("refuses a store that ignores If-None-Match, and names it and the guarantee", async () => {
    const { error, left } = await refusal((memory) => ({
      create: (key, body) => overwrite(memory, key, body as Uint8Array),
    }));
    expect(error.kind).toBe("invalid");
    expect(error.message).toContain("memory:broken");
    expect(error.message).toContain("create-if-absent");
    expect(left).toBe(0);
  });

  test("refuses a store that says 'exists' but writes all the same", async () => {
    const { error } = await refusal((memory) => ({
      create: async (key, body) => {
        const taken = await memory.head(key) !== null;
        await overwrite(memory, key, body as Uint8Array);
        return taken ? "exists" : "created";
      },
    }));
    expect(error.details?.["guarantee"]).toBe("create-if-absent");
  });

  test("refuses a store that checks first and writes later, as a race shows", async () => {
    const { error } = await refusal((memory) => ({
      create: async (key, body) => {
        if (await memory.head(key) !== null) return "exists";
        await Bun.sleep(1);
        return await overwrite(memory, key, body as Uint8Array);
      },
    }));
    expect(error.details?.["guarantee"]).toBe("create-if-absent");
    expect(error.message).toContain("8 of 8 creates at once won");
  });

  test("refuses a store that does not implement the condition", async () => {
    const { error } = await refusal(() => ({
      create: () => {
        const details = { status: 501, code: "NotImplemented" };
        return Promise.reject(new Failure("invalid", "no such header", { details }));
      },
    }));
    expect(error.message).toContain("does not implement If-None-Match");
  });

  test("refuses lists that are unordered, stale or ignore where to start", async () => {
    const unordered = await refusal((memory) => ({
      list: async (prefix, options) => {
        const page = await memory.list(prefix, options);
        return { ...page, objects: page.objects.toReversed() };
      },
    }));
    expect(unordered.error.details?.["guarantee"]).toBe("ordered lists");
    const ignoring = await refusal((memory) => ({
      list: (prefix, options) => memory.list(prefix, { limit: options?.limit ?? 1000 }),
    }));
    expect(ignoring.error.details?.["guarantee"]).toBe("ordered lists");
  });

  test("refuses a store whose removes do nothing, or whose ranges are wrong", async () => {
    const kept = await refusal(() => ({ remove: () => Promise.resolve() }));
    expect(kept.error.details?.["guarantee"]).toBe("removal");
    const whole = await refusal((memory) => ({
      getRange: async (key) => (await memory.get(key))?.bytes ?? null,
    }));
    expect(whole.error.details?.["guarantee"]).toBe("range reads");
  });

  test("only reports a replace that heeds no ETag, since only hints are replaced", async () => {
    const { store } = broken((memory) => ({
      replace: async (key, body) => {
        await overwrite(memory, key, body);
        return `etag of ${bodySize(body)} bytes`;
      },
    }));
    expect((await probeStore(store, parts)).conditionalReplace).toBe("ignored");
    const { store: without } = broken(() => ({ replace: () => Promise.resolve(null) }));
    expect((await probeStore(without, parts)).conditionalReplace).toBe("refused");
  });

  test("missing rights are said as they are, and what was made is removed", async () => {
    const { error } = await refusal(() => ({
      create: () => Promise.reject(new Failure("denied", "Cannot create: AccessDenied")),
    }));
    expect(error.kind).toBe("denied");
    const unread = await refusal(() => ({
      get: () => Promise.reject(new Failure("denied", "Cannot read: AccessDenied")),
    }));
    expect(unread.error.kind).toBe("denied");
    expect(unread.left).toBe(0);
  });

  test("a conflict while racing is no winner", async () => {
    let busy = 0;
    const { store } = broken((memory) => ({
      create: (key, body) => {
        if (key.endsWith("race") && busy++ % 2 === 1) {
          return Promise.reject(new Failure("uncertain", "409"));
        }
        return memory.create(key, body);
      },
    }));
    expect((await probeStore(store, parts)).steps.length).toBeGreaterThan(8);
  });
});
