import { describe, expect, test } from "bun:test";
import type { Clock } from "../../../src/base/clock.ts";
import { Failure, type FailureKind } from "../../../src/base/failure.ts";
import { createLog, silentLog } from "../../../src/base/log.ts";
import { seededRandom } from "../../../src/base/random.ts";
import { MemoryStore } from "../../../src/store/memory.ts";
import { settle } from "../../../src/store/settle.ts";
import type { Body, Store } from "../../../src/store/store.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

/** Time that passes when somebody sleeps, and counts how often and how long. */
function sleepingClock() {
  const sleeps: number[] = [];
  let now = 0;
  const clock: Clock = {
    nowMs: () => now,
    monotonicMs: () => now,
    sleep: async (ms, signal) => {
      sleeps.push(ms);
      now += ms;
      await Promise.resolve();
      if (signal?.aborted) throw signal.reason;
    },
    after: () => () => {},
    turn: () => Promise.resolve(),
  };
  return { clock, sleeps };
}

type Step =
  | FailureKind
  | "applied-then-uncertain"
  | "applied-then-exists"
  | "exists"
  | "through";

/** A memory store whose creates and reads go as they are told, and then go through. */
function scripted(creates: Step[], reads: Step[] = []) {
  const { clock, sleeps } = sleepingClock();
  const memory = new MemoryStore(clock);
  const calls: string[] = [];
  const fail = (kind: FailureKind) => new Failure(kind, `told to be ${kind}`);
  const read = async <T>(name: string, through: () => Promise<T>): Promise<T> => {
    calls.push(name);
    const step = reads.shift() ?? "through";
    if (step !== "through") throw fail(step as FailureKind);
    return await through();
  };
  const store: Store = {
    name: "memory:",
    create: async (key: string, body: Body) => {
      calls.push("create");
      const step = creates.shift() ?? "through";
      if (step === "through") return await memory.create(key, body);
      if (step === "exists") return "exists";
      if (step !== "applied-then-uncertain" && step !== "applied-then-exists") throw fail(step);
      await memory.create(key, body);
      if (step === "applied-then-exists") return "exists";
      throw fail("uncertain");
    },
    get: (key) => read("get", () => memory.get(key)),
    head: (key) => read("head", () => memory.head(key)),
    getRange: (key, range) => read("getRange", () => memory.getRange(key, range)),
    replace: (key, body, etag) => memory.replace(key, body, etag),
    list: (prefix) => memory.list(prefix),
    remove: (keys) => memory.remove(keys),
    clockOffsetMs: () => 0,
    close: () => memory.close(),
  };
  const parts = { clock, random: seededRandom(7), log: silentLog };
  return { store, memory, calls, parts, sleeps };
}

describe("settle", () => {
  test("a create that goes through is won at the first try, with one request", async () => {
    const { store, calls, parts, sleeps } = scripted([]);
    expect(await settle(store, "k", bytes("mine"), parts))
      .toEqual({ outcome: "won", firstTry: true, everUnknown: false });
    expect(calls).toEqual(["create"]);
    expect(sleeps).toEqual([]);
  });

  test("an unknown outcome that was applied is won by reading back at once [I7]", async () => {
    const { store, calls, parts, sleeps } = scripted(["applied-then-uncertain"]);
    expect(await settle(store, "k", bytes("mine"), parts))
      .toEqual({ outcome: "won", firstTry: false, everUnknown: true });
    expect(calls).toEqual(["create", "get"]);
    expect(sleeps).toEqual([]);
  });

  test("an unknown outcome that was not applied is sent again, after a look [I7]", async () => {
    const { store, memory, calls, parts } = scripted(["uncertain", "uncertain"]);
    expect(await settle(store, "k", bytes("mine"), parts))
      .toEqual({ outcome: "won", firstTry: false, everUnknown: true });
    expect(calls).toEqual(["create", "get", "create", "get", "create"]);
    expect((await memory.get("k"))?.bytes).toEqual(bytes("mine"));
  });

  test("a retry that is refused by the first attempt's late arrival is won [I7]", async () => {
    const { store, calls, parts } = scripted(["uncertain", "applied-then-exists"]);
    expect(await settle(store, "k", bytes("mine"), parts))
      .toEqual({ outcome: "won", firstTry: false, everUnknown: true });
    expect(calls).toEqual(["create", "get", "create", "get"]);
  });

  test("nothing is sent again before the look succeeded [I2, I7]", async () => {
    const { store, calls, parts } = scripted(["uncertain"], [
      "unavailable",
      "denied",
      "uncertain",
      "through",
    ]);
    await settle(store, "k", bytes("mine"), parts);
    expect(calls).toEqual(["create", "get", "get", "get", "get", "create"]);
  });

  test("'exists' is won if the bytes are ours, lost if they are not [I7]", async () => {
    const ours = scripted([]);
    await ours.memory.create("k", bytes("mine"));
    expect(await settle(ours.store, "k", bytes("mine"), ours.parts))
      .toEqual({ outcome: "won", firstTry: false, everUnknown: false });
    const theirs = scripted([]);
    await theirs.memory.create("k", bytes("their"));
    expect(await settle(theirs.store, "k", bytes("mine"), theirs.parts))
      .toEqual({ outcome: "lost", firstTry: false, everUnknown: false });
    const longer = scripted([]);
    await longer.memory.create("k", bytes("mine, longer"));
    expect((await settle(longer.store, "k", bytes("mine"), longer.parts)).outcome).toBe("lost");
  });

  test("'exists' without an object sends the same bytes again", async () => {
    const { store, calls, parts } = scripted(["exists"]);
    expect((await settle(store, "k", bytes("mine"), parts)).outcome).toBe("won");
    expect(calls).toEqual(["create", "get", "create"]);
  });

  test("lost after an unknown outcome says that there was one [I8]", async () => {
    const { store, memory, parts } = scripted(["uncertain"]);
    await memory.create("k", bytes("theirs"));
    expect(await settle(store, "k", bytes("mine"), parts))
      .toEqual({ outcome: "lost", firstTry: false, everUnknown: true });
  });

  test("what certainly did nothing is sent again without a look, and is not unknown", async () => {
    const { store, calls, parts, sleeps } = scripted(["unavailable", "denied", "invalid"]);
    const unknown: Failure[] = [];
    const onUnknown = (failure: Failure) => void unknown.push(failure);
    expect(await settle(store, "k", bytes("mine"), { ...parts, onUnknown }))
      .toEqual({ outcome: "won", firstTry: false, everUnknown: false });
    expect(calls).toEqual(["create", "create", "create", "create"]);
    expect(unknown).toEqual([]);
    expect(sleeps).toHaveLength(3);
  });

  test("each unknown outcome is told once, before it is read back", async () => {
    const { store, calls, parts } = scripted(["uncertain", "uncertain"]);
    const seen: string[] = [];
    const onUnknown = (failure: Failure) => void seen.push(`${failure.kind} after ${calls.length}`);
    await settle(store, "k", bytes("mine"), { ...parts, onUnknown });
    expect(seen).toEqual(["uncertain after 1", "uncertain after 3"]);
  });

  test("waits grow and stay below two seconds", async () => {
    const { store, parts, sleeps } = scripted(Array(40).fill("unavailable"));
    await settle(store, "k", bytes("mine"), parts);
    expect(sleeps).toHaveLength(40);
    expect(Math.max(...sleeps)).toBeLessThanOrEqual(2_000);
    expect(Math.max(...sleeps.slice(0, 2))).toBeLessThanOrEqual(50);
    expect(Math.max(...sleeps.slice(10))).toBeGreaterThan(1_000);
  });

  test("a store that has to be repaired is reported as an error, a passing fault is not", async () => {
    const lines: string[] = [];
    const write = (line: string) => void lines.push(line);
    const log = createLog({ level: "warn", format: "json", nowMs: () => 0, write });
    const { store, parts } = scripted(["denied", "unavailable"]);
    await settle(store, "k", bytes("mine"), { ...parts, log });
    const levels = lines.map((line) => JSON.parse(line)).map((
      { level, key, kind },
    ) => [level, key, kind]);
    expect(levels).toEqual([["error", "k", "denied"], ["warn", "k", "unavailable"]]);
  });

  test("giving up says whether it may have been created", async () => {
    const giveUp = async (step: Step, reads: Step[]) => {
      const controller = new AbortController();
      const { store, parts } = scripted(Array(9).fill(step), reads);
      const stopping: Store = {
        ...store,
        create: async (key, body) => {
          setTimeout(() => controller.abort(new Error("closing")), 0);
          return await store.create(key, body);
        },
      };
      const clock = {
        ...parts.clock,
        sleep: (_ms: number, signal?: AbortSignal) =>
          new Promise<void>((_resolve, reject) =>
            signal?.addEventListener("abort", () => reject(signal.reason))
          ),
      };
      const options = { ...parts, clock, signal: controller.signal };
      const error = await settle(stopping, "k", bytes("mine"), options).catch((thrown) => thrown);
      expect(error).toBeInstanceOf(Failure);
      expect(error.cause.message).toBe("closing");
      return error.kind;
    };
    expect(await giveUp("unavailable", [])).toBe("unavailable");
    expect(await giveUp("uncertain", [])).toBe("uncertain");
    expect(await giveUp("uncertain", ["unavailable"])).toBe("uncertain");
  });

  test("an aborted signal sends nothing", async () => {
    const { store, calls, parts } = scripted([]);
    const options = { ...parts, signal: AbortSignal.abort(new Error("closing")) };
    const error = await settle(store, "k", bytes("mine"), options).catch((thrown) => thrown);
    expect(error.kind).toBe("unavailable");
    expect(calls).toEqual([]);
  });

  test("a file is recognised by its size, header and trailer, without reading it all", async () => {
    const { mkdtemp, rm, writeFile } = await import("node:fs/promises");
    const { tmpdir } = await import("node:os");
    const folder = await mkdtemp(`${tmpdir()}/headgate-settle-`);
    try {
      const content = Uint8Array.from({ length: 1000 }, (_, at) => at & 0xff);
      const path = `${folder}/body`;
      await writeFile(path, content);
      const outcome = async (change: (theirs: Uint8Array) => Uint8Array) => {
        const { store, memory, calls, parts } = scripted(["uncertain"]);
        await memory.create("k", change(content.slice()));
        const settled = await settle(store, "k", { path, size: 1000 }, parts);
        expect(calls).not.toContain("get");
        return settled.outcome;
      };
      const changed = (at: number) => (theirs: Uint8Array) => {
        theirs[at] = (theirs[at] ?? 0) ^ 1;
        return theirs;
      };
      expect(await outcome((theirs) => theirs)).toBe("won");
      expect(await outcome(changed(0))).toBe("lost");
      expect(await outcome(changed(99))).toBe("lost");
      expect(await outcome(changed(984))).toBe("lost");
      expect(await outcome(changed(999))).toBe("lost");
      expect(await outcome((theirs) => theirs.slice(1))).toBe("lost");
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
