import { describe, expect, test } from "bun:test";
import { Failure } from "../../../src/base/failure.ts";
import { QUEUE_BYTES_MAX, QUEUE_REQUESTS_MAX } from "../../../src/base/limits.ts";
import type { WriteRequest } from "../../../src/database/statement.ts";
import { type PendingWrite, resolve, WriteQueue } from "../../../src/replica/write-queue.ts";

function request(deadlineMs = 1_000, text = ""): WriteRequest {
  const statements = [{ sql: "INSERT INTO t VALUES (?)", params: [text] }];
  return { statements, subject: "anonymous", deadlineMs };
}

const ids = (pending: readonly PendingWrite[]) => pending.map(({ id }) => id);
const kindOf = (pending: PendingWrite) =>
  pending.answer.promise.then(() => "answered", (error) => error.kind);

describe("the queue of writes", () => {
  test("gives what waits in the order of its coming, each with an id of its own", () => {
    const queue = new WriteQueue("orders");
    const added = [1, 2, 3].map(() => queue.add(request()));
    expect(new Set(ids(added)).size).toBe(3);
    expect(ids(queue.take(2, Infinity))).toEqual(ids(added.slice(0, 2)));
    expect(ids(queue.take(2, Infinity))).toEqual(ids(added.slice(2)));
    expect([queue.length, queue.bytes]).toEqual([0, 0]);
  });

  test("takes no more bytes than asked for, but always the first", () => {
    const queue = new WriteQueue("orders");
    for (const length of [1_000, 1_000, 50]) queue.add(request(1, "x".repeat(length)));
    expect(queue.take(10, 10)).toHaveLength(1);
    expect(queue.take(10, 1_200)).toHaveLength(1);
    expect(queue.take(10, 1_200)).toHaveLength(1);
  });

  test("counts text, blobs and named parameters in its bytes", () => {
    const queue = new WriteQueue("orders");
    const base64 = "A".repeat(4_000);
    const sql = "INSERT INTO t VALUES (:a, :b)";
    const deadlineMs = 1;
    for (const params of [[base64, 1], { a: { base64 }, b: 1 }, [{ base64 }, null]]) {
      const before = queue.bytes;
      queue.add({ statements: [{ sql, params }], subject: "s", deadlineMs });
      expect(queue.bytes - before).toBeGreaterThan(4_000);
      expect(queue.bytes - before).toBeLessThan(4_300);
    }
  });

  test("what is put back comes first, in its order, and counts again", () => {
    const queue = new WriteQueue("orders");
    const added = [1, 2, 3, 4].map(() => queue.add(request()));
    const { bytes } = queue;
    const taken = queue.take(3, Infinity);
    queue.putBack(taken.slice(1));
    expect(ids(queue.take(9, Infinity))).toEqual(ids(added.slice(1)));
    queue.putBack(added);
    expect(queue.bytes).toBe(bytes);
  });

  test("what was answered meanwhile is not put back and not given again", async () => {
    const queue = new WriteQueue("orders");
    const [first, second] = [queue.add(request()), queue.add(request())];
    queue.take(2, Infinity);
    resolve(first, { text: "{}", epoch: 1 });
    queue.putBack([first, second]);
    expect(ids(queue.take(2, Infinity))).toEqual([second.id]);
    expect(await kindOf(first)).toBe("answered");
  });

  test("at its deadline a request that waits is unavailable, and is never given out [I7]", async () => {
    const queue = new WriteQueue("orders");
    const [late, early] = [queue.add(request(500)), queue.add(request(100))];
    queue.expire(99);
    expect([late.answered, early.answered]).toEqual([false, false]);
    queue.expire(100);
    expect([late.answered, early.answered]).toEqual([false, true]);
    expect(await kindOf(early)).toBe("unavailable");
    expect(ids(queue.take(9, Infinity))).toEqual([late.id]);
  });

  test("deadlines are kept after the soonest one passed, and for what is put back", async () => {
    const queue = new WriteQueue("orders");
    const [first, second] = [queue.add(request(100)), queue.add(request(200))];
    queue.expire(100);
    queue.expire(200);
    expect(await Promise.all([first, second].map(kindOf))).toEqual(["unavailable", "unavailable"]);
    const third = queue.add(request(300));
    queue.putBack(queue.take(1, Infinity));
    queue.expire(300);
    expect(await kindOf(third)).toBe("unavailable");
  });

  test("is full at its limit of requests, and says when to come back", () => {
    const queue = new WriteQueue("orders");
    const one = request();
    for (let at = 0; at < QUEUE_REQUESTS_MAX; at++) queue.add(one);
    expect(() => queue.add(one)).toThrow(
      expect.objectContaining({ kind: "busy", retryAfterMs: 100 }),
    );
    queue.take(1, Infinity);
    queue.add(one);
    expect(queue.length).toBe(QUEUE_REQUESTS_MAX);
  });

  test("is full at its limit of bytes", () => {
    const queue = new WriteQueue("orders");
    const one = request(1, "x".repeat(8 * 1024 * 1024));
    const fits = Math.floor(QUEUE_BYTES_MAX / (8 * 1024 * 1024 + 200));
    for (let at = 0; at < fits; at++) queue.add(one);
    expect(() => queue.add(one)).toThrow(expect.objectContaining({ kind: "busy" }));
  });

  test("refusing answers all that wait, once", async () => {
    const queue = new WriteQueue("orders");
    const added = [queue.add(request()), queue.add(request())];
    queue.refuse(new Failure("elsewhere", "there"));
    expect(await Promise.all(added.map(kindOf))).toEqual(["elsewhere", "elsewhere"]);
    expect(queue.length).toBe(0);
  });

  test("stays small however many requests have gone through", () => {
    const queue = new WriteQueue("orders");
    const one = request();
    queue.add(one);
    for (let at = 0; at < 10_000; at++) {
      queue.add(one);
      expect(queue.take(1, Infinity)).toHaveLength(1);
    }
    expect(queue.length).toBe(1);
  });
});
