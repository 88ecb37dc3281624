import { describe, expect, test } from "bun:test";
import { Failure } from "../../../src/base/failure.ts";
import type { Answer } from "../../../src/database/workspace.ts";
import { Batch } from "../../../src/replica/batch.ts";
import { type PendingWrite, WriteQueue } from "../../../src/replica/write-queue.ts";

function batchOf(...deadlinesMs: number[]): { batch: Batch; pending: PendingWrite[] } {
  const queue = new WriteQueue("orders");
  const statements = [{ sql: "INSERT INTO t VALUES (1)" }];
  for (const deadlineMs of deadlinesMs) queue.add({ statements, subject: "s", deadlineMs });
  const batch = new Batch("orders");
  const pending = queue.take(Infinity, Infinity);
  batch.add(pending);
  return { batch, pending };
}

const done = ({ id }: PendingWrite): Answer => ({ id, kind: "done", result: '"results":[]' });
const outcome = (pending: PendingWrite | undefined) =>
  pending!.answer.promise.then((answer) => answer, (error) => error.kind);

describe("a batch", () => {
  test("answers nothing before its epoch is certain [I3]", async () => {
    const { batch, pending } = batchOf(100, 100);
    batch.executed(pending.map(done), []);
    await Promise.resolve();
    expect(pending.map(({ answered }) => answered)).toEqual([false, false]);
    batch.answer(7);
    expect(await outcome(pending[0])).toEqual({ text: '{"results":[],"epoch":7}', epoch: 7 });
    expect(batch.size).toBe(0);
  });

  test("gives each request its own answer: done, failed, or as it was given before", async () => {
    const { batch, pending } = batchOf(1, 1, 1);
    const first = '{"results":[],"epoch":3}';
    batch.executed([
      done(pending[0]!),
      {
        id: pending[1]!.id,
        kind: "failed",
        failure: { kind: "invalid", message: "no such table", details: { statement: 0 } },
      },
      { id: pending[2]!.id, kind: "replayed", answer: first },
    ], []);
    batch.answer(9);
    expect(await outcome(pending[0])).toEqual({ text: '{"results":[],"epoch":9}', epoch: 9 });
    const failed = await pending[1]!.answer.promise.catch((error) => error);
    expect([failed.kind, failed.message, failed.details]).toEqual([
      "invalid",
      "no such table",
      { statement: 0 },
    ]);
    expect(await outcome(pending[2])).toEqual({ text: first, epoch: 9 });
  });

  test("hands back what an epoch had no room for, in order, and answers the rest", async () => {
    const { batch, pending } = batchOf(1, 1, 1);
    const [a, b, c] = pending as [PendingWrite, PendingWrite, PendingWrite];
    expect(batch.executed([done(a)], [b.id, c.id])).toEqual([b, c]);
    batch.answer(2);
    expect(await outcome(a)).toMatchObject({ epoch: 2 });
    expect([b.answered, c.answered]).toEqual([false, false]);
  });

  test("a request without an answer is uncertain, never silent", async () => {
    const { batch, pending } = batchOf(1, 1);
    batch.executed([done(pending[0]!)], []);
    batch.answer(2);
    expect(await outcome(pending[1])).toBe("uncertain");
  });

  test("at its deadline a request is uncertain: its effects may yet become durable [I7]", async () => {
    const { batch, pending } = batchOf(100, 200);
    batch.executed(pending.map(done), []);
    batch.expire(99);
    expect(pending.map(({ answered }) => answered)).toEqual([false, false]);
    batch.expire(100);
    expect(pending.map(({ answered }) => answered)).toEqual([true, false]);
    batch.expire(200);
    batch.answer(5);
    expect(await Promise.all(pending.map(outcome))).toEqual(["uncertain", "uncertain"]);
  });

  test("a request that was ended on its own is answered at once, and once", async () => {
    const { batch, pending } = batchOf(1, 1);
    batch.ended(pending[0]!.id, { kind: "unavailable", message: "deadline" });
    batch.ended(99_999, { kind: "unavailable", message: "nobody" });
    expect(await outcome(pending[0])).toBe("unavailable");
    batch.executed(pending.map(done), []);
    batch.answer(4);
    expect(await outcome(pending[0])).toBe("unavailable");
    expect(await outcome(pending[1])).toMatchObject({ epoch: 4 });
  });

  test("refusing it refuses all of it", async () => {
    const { batch, pending } = batchOf(1, 1);
    batch.refuse(new Failure("elsewhere", "there"));
    expect(await Promise.all(pending.map(outcome))).toEqual(["elsewhere", "elsewhere"]);
    expect(batch.size).toBe(0);
  });
});
