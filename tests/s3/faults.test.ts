/**
 * Requests that go wrong between us and a real S3 server. What counts is what was on the wire: a
 * create that nobody told to be repeated must be there once.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { systemClock } from "../../src/base/clock.ts";
import { Failure } from "../../src/base/failure.ts";
import { silentLog } from "../../src/base/log.ts";
import { systemRandom } from "../../src/base/random.ts";
import { openStore } from "../../src/store/open.ts";
import { retrying } from "../../src/store/retry.ts";
import { settle } from "../../src/store/settle.ts";
import type { Store } from "../../src/store/store.ts";
import { type Fault, type FaultProxy, startFaultProxy } from "../support/fault-proxy.ts";
import { hasS3, s3Server } from "../support/s3-server.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(30_000);

const parts = { clock: systemClock, random: systemRandom, log: silentLog };
const server = await s3Server();
const bytes = (text: string) => new TextEncoder().encode(text);

if (!hasS3(server)) {
  test.skip(`S3 faults: ${server.reason}`, () => {});
} else {
  describe("S3 through a bad network", () => {
    let proxy: FaultProxy;
    let store: Store;
    let keys = 0;
    const freshKey = () => `key-${++keys}`;
    beforeAll(async () => {
      proxy = await startFaultProxy(Number(new URL(server.endpoint).port));
      store = await openStore(server.settings(proxy.endpoint), parts);
    });
    afterAll(async () => {
      await store.close();
      await proxy.stop();
    });

    /** The next PUT of this key goes wrong, on a connection that was used before. */
    async function spoil(key: string, fault: Fault, times = 1): Promise<void> {
      await store.head("warm");
      await store.head("warm");
      proxy.rules.push({ method: "PUT", key: new RegExp(`/${key}$`), times, fault });
    }
    const puts = (key: string) => proxy.count("PUT", new RegExp(`/${key}$`));

    async function createFails(fault: Fault, options = {}): Promise<{ kind: string; key: string }> {
      const key = freshKey();
      await spoil(key, fault);
      const error = await store.create(key, bytes("mine"), options).catch((thrown) => thrown);
      expect(error).toBeInstanceOf(Failure);
      // Whoever sends it again would do so at once.
      await Bun.sleep(100);
      expect(puts(key)).toBe(1);
      const put = proxy.seen.findIndex((seen) => seen.method === "PUT" && seen.key.endsWith(key));
      const before = proxy.seen.slice(0, put).map((seen) => seen.connection);
      expect(before).toContain(proxy.seen[put]!.connection);
      return { kind: error.kind, key };
    }

    const UNKNOWN: Record<string, { fault: Fault; applied: boolean }> = {
      "the connection closes after the server has applied it": {
        fault: { kind: "drop-after" },
        applied: true,
      },
      "the connection is reset after the server has applied it": {
        fault: { kind: "drop-after", reset: true },
        applied: true,
      },
      "the connection closes before the server sees it": {
        fault: { kind: "drop-before" },
        applied: false,
      },
      "the connection is reset before the server sees it": {
        fault: { kind: "drop-before", reset: true },
        applied: false,
      },
      "the answer is cut short": { fault: { kind: "cut-answer", bytes: 20 }, applied: true },
      "the request is cut short": { fault: { kind: "cut-request", bytes: 2 }, applied: false },
      "the answer is 500 after it was applied": {
        fault: { kind: "answer", status: 500, code: "InternalError", when: "after" },
        applied: true,
      },
      "the answer is 500 without a word": {
        fault: { kind: "answer", status: 500, when: "before" },
        applied: false,
      },
      "the answer is 502 from something in between": {
        fault: { kind: "answer", status: 502, when: "after" },
        applied: true,
      },
      "the answer is 503 SlowDown after it was applied": {
        fault: { kind: "answer", status: 503, code: "SlowDown", when: "after" },
        applied: true,
      },
      "the answer is 409": {
        fault: { kind: "answer", status: 409, code: "ConditionalRequestConflict", when: "before" },
        applied: false,
      },
    };

    for (const [what, { fault, applied }] of Object.entries(UNKNOWN)) {
      test(`a create is uncertain, and on the wire once, when ${what} [I7, I8]`, async () => {
        const { kind, key } = await createFails(fault);
        expect(kind).toBe("uncertain");
        expect(await store.head(key) !== null).toBe(applied);
      });

      test(`settle wins when ${what} [I7]`, async () => {
        const key = freshKey();
        await spoil(key, fault);
        const unknown: string[] = [];
        const settled = await settle(store, key, bytes("mine"), {
          ...parts,
          onUnknown: (failure) => unknown.push(failure.kind),
        });
        expect(settled).toEqual({ outcome: "won", firstTry: false, everUnknown: true });
        expect(unknown).toEqual(["uncertain"]);
        expect(puts(key)).toBe(applied ? 1 : 2);
        expect(await store.get(key)).toMatchObject({ bytes: bytes("mine") });
      });
    }

    test("a create without an answer is uncertain at its deadline, and settled [I7]", async () => {
      const hang: Fault = { kind: "hang", ms: 1_500, when: "after" };
      const started = performance.now();
      const { kind, key } = await createFails(hang, { timeoutMs: 300 });
      expect(kind).toBe("uncertain");
      expect(performance.now() - started).toBeLessThan(1_000);
      const settled = await settle(store, key, bytes("mine"), parts);
      expect(settled.outcome).toBe("won");
    });

    test("a create that the server sees only after the retry does not harm [I7]", async () => {
      const key = freshKey();
      await spoil(key, { kind: "hang", ms: 700, when: "before" });
      const settled = await settle(store, key, bytes("mine"), { ...parts, timeoutMs: 200 });
      expect(settled).toEqual({ outcome: "won", firstTry: false, everUnknown: true });
      await Bun.sleep(700);
      const late = proxy.seen.filter((seen) => seen.key.endsWith(`/${key}`));
      expect(late.filter((seen) => seen.method === "PUT").map((seen) => seen.status))
        .toEqual([412, 200]);
      expect(await store.get(key)).toMatchObject({ bytes: bytes("mine") });
    });

    test("somebody else's object is lost, also after an unknown outcome [I7]", async () => {
      const direct = freshKey();
      await store.create(direct, bytes("theirs"));
      expect(await settle(store, direct, bytes("mine"), parts))
        .toEqual({ outcome: "lost", firstTry: false, everUnknown: false });
      const unknown = freshKey();
      await spoil(unknown, { kind: "drop-after" });
      await settle(store, unknown, bytes("theirs"), parts);
      await spoil(unknown, { kind: "drop-before" });
      expect(await settle(store, unknown, bytes("mine"), parts))
        .toEqual({ outcome: "lost", firstTry: false, everUnknown: true });
      expect(await store.get(unknown)).toMatchObject({ bytes: bytes("theirs") });
    });

    test("a refusal that proves that nothing was done is no unknown outcome", async () => {
      const refusals = [
        { status: 403, code: "AccessDenied", kind: "denied" },
        { status: 429, code: "SlowDown", kind: "unavailable" },
        { status: 403, code: "RequestTimeTooSkewed", kind: "unavailable" },
        { status: 400, code: "InvalidArgument", kind: "invalid" },
        { status: 400, code: "ExpiredToken", kind: "denied" },
        { status: 501, code: "NotImplemented", kind: "invalid" },
      ];
      for (const { status, code, kind } of refusals) {
        const fault: Fault = { kind: "answer", status, code, when: "before" };
        expect((await createFails(fault)).kind).toBe(kind);
        const key = freshKey();
        await spoil(key, fault, 2);
        expect(await settle(store, key, bytes("mine"), parts))
          .toEqual({ outcome: "won", firstTry: false, everUnknown: false });
        expect(puts(key)).toBe(3);
      }
    });

    test("no connection means that nothing was done, and the next one is used", async () => {
      await proxy.refuse(true);
      await Bun.sleep(50); // until the kept connections are known to be closed
      const error = await store.create("refused", bytes("mine")).catch((thrown) => thrown);
      expect(error.kind).toBe("unavailable");
      expect((await store.get("refused").catch((thrown) => thrown)).kind).toBe("unavailable");
      const settling = settle(store, "refused", bytes("mine"), parts);
      await Bun.sleep(200);
      await proxy.refuse(false);
      expect(await settling).toEqual({ outcome: "won", firstTry: false, everUnknown: false });
    });

    test("reads are repeated through every fault, creates never by retrying", async () => {
      const retried = retrying(store, parts);
      await store.create("read", bytes("x".repeat(10_000)));
      const faults: Fault[] = [
        { kind: "drop-before" },
        { kind: "drop-after", reset: true },
        { kind: "cut-answer", bytes: 3_000 },
        { kind: "answer", status: 503, code: "SlowDown", when: "before" },
      ];
      proxy.rules.push(...faults.map((fault, at) => ({
        method: "GET",
        key: /\/read/,
        nth: at + 1,
        fault,
      })));
      expect((await retried.get("read"))?.size).toBe(10_000);
      expect(proxy.count("GET", /\/read/)).toBe(5);
      const key = freshKey();
      await spoil(key, { kind: "drop-before" });
      const error = await retried.create(key, bytes("mine")).catch((thrown) => thrown);
      expect(error.kind).toBe("uncertain");
      expect(puts(key)).toBe(1);
    });

    test("a replace with an unknown outcome is read back before it is repeated", async () => {
      const retried = retrying(store, parts);
      for (const kind of ["drop-after", "drop-before"] as const) {
        const key = freshKey();
        const first = await retried.replace(key, bytes("1"), null);
        await spoil(key, { kind });
        const second = await retried.replace(key, bytes("2"), first);
        expect(await store.get(key)).toMatchObject({ bytes: bytes("2"), etag: second ?? "" });
        // Somebody else was faster.
        await spoil(key, { kind: "answer", status: 500, when: "before" });
        expect(await retried.replace(key, bytes("3"), first)).toBeNull();
      }
    });

    test("a delete and a list are repeated", async () => {
      const retried = retrying(store, parts);
      await store.create("gone/1", bytes("1"));
      proxy.rules.push({ method: "POST", fault: { kind: "drop-after" } });
      proxy.rules.push({
        method: "GET",
        key: /list-type=2/,
        fault: { kind: "cut-answer", bytes: 300 },
      });
      await retried.remove(["gone/1"]);
      expect((await retried.list("gone/")).objects).toEqual([]);
    });

    test("a create that is given up says what is known", async () => {
      const key = freshKey();
      await spoil(key, { kind: "answer", status: 503, when: "before" }, 1000);
      const giveUp = AbortSignal.timeout(300);
      const error = await settle(store, key, bytes("mine"), { ...parts, signal: giveUp })
        .catch((thrown) => thrown);
      expect(error.kind).toBe("uncertain");
      expect(error.message).toContain("it may have been created");
    });
  });
}
