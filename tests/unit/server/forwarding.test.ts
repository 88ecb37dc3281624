/** What is sent again, and what must not be (PROTOCOL section 9). */
import { describe, expect, test } from "bun:test";
import { drainMicrotasks } from "bun:jsc";
import { Failure, type FailureKind } from "../../../src/base/failure.ts";
import { Forwarding, type PeerAnswer } from "../../../src/server/forwarding.ts";
import { type Belief, steppingDown } from "../../../src/server/next-leader.ts";
import { SimulatedClock, Timeline } from "../../support/simulated-clock.ts";

const DONE: PeerAnswer = { head: { epoch: 7 }, body: '{"results":[],"epoch":7}' };

/** A node whose calls are answered one after another as the test says. */
function forwarding(answers: readonly (FailureKind | "done" | "silence" | Failure)[]) {
  const timeline = new Timeline();
  const clock = new SimulatedClock(timeline);
  const world = {
    leader: "n1" as string | null,
    belief: null as { readonly node: string; readonly belief: Belief } | null,
    leads: false,
    isElecting: true,
    isHeir: false,
    isLineOpen: true,
    sent: [] as unknown[],
    done: 0,
  };
  const left = [...answers];
  const forwards = new Forwarding({
    clock,
    leader: () => world.leader,
    belief: (node) => world.belief?.node === node ? world.belief.belief : null,
    leads: () => world.leads,
    isHeir: () => world.isHeir,
    isElecting: () => world.isElecting,
    ownerAddress: () => "http://n1:8080",
    call: (node, method, { head, body, begin }) => {
      if (world.isLineOpen) begin?.();
      world.sent.push([node, method, head, body]);
      const next = left.shift() ?? "done";
      if (next === "done") return Promise.resolve(DONE);
      if (next === "silence") return new Promise(() => {});
      return Promise.reject(next instanceof Failure ? next : new Failure(next, `it said ${next}`));
    },
  });
  const execute = (idempotencyKey?: string) => {
    const write = { statements: [{ sql: "SELECT 1" }], subject: "ann", deadlineMs: 1_000 };
    const here = () => {
      world.done++;
      return Promise.resolve({ text: "here", epoch: 8 });
    };
    return outcome(
      forwards.execute("orders", { ...write, ...(idempotencyKey && { idempotencyKey }) }, here),
    );
  };
  const outcome = (promise: Promise<unknown>) => {
    const result = { value: "pending" as unknown };
    promise.then(
      (value) => result.value = value,
      (error) => result.value = [error.kind, error.leader, error.details?.reason],
    );
    return result;
  };
  const until = (ms: number) => {
    clock.after(ms - timeline.nowMs + 0.1, () => {});
    drainMicrotasks();
    while (timeline.nowMs < ms && timeline.step()) drainMicrotasks();
  };
  return { world, forwards, execute, until, outcome };
}

describe("a write that is forwarded", () => {
  test("goes to the leader with who asks and the time that is left, and its answer comes back", () => {
    const { world, execute, until } = forwarding([]);
    until(100);
    const result = execute("k");
    until(110);
    expect(result.value).toEqual({ text: DONE.body, epoch: 7 });
    const head = { database: "orders", subject: "ann", idempotency_key: "k", timeout_ms: 899 };
    expect(world.sent).toEqual([["n1", "execute", head, '[{"sql":"SELECT 1"}]']]);
  });

  test("says by which claim its leader is believed to lead, anew each time it is sent", () => {
    const { world, execute, until } = forwarding(["elsewhere", "done"]);
    world.belief = { node: "n1", belief: { claim: 7 } };
    execute();
    until(1);
    [world.leader, world.belief] = ["n2", { node: "n2", belief: { after: 7 } }];
    until(500);
    expect(world.sent).toMatchObject([
      ["n1", "execute", { claim: 7 }, expect.anything()],
      ["n2", "execute", { after: 7 }, expect.anything()],
    ]);
  });

  test("is sent again where it did nothing", () => {
    const { world, execute, until } = forwarding(["elsewhere", "unavailable", "done"]);
    const result = execute();
    until(500);
    expect(result.value).toMatchObject({ epoch: 7 });
    expect(world.sent.length).toBe(3);
  });

  test("leaves a leader in peace that steps down, and asks the next as soon as it is known", () => {
    const { world, forwards, execute, until } = forwarding([steppingDown()]);
    const result = execute();
    until(200);
    expect([result.value, world.sent.length]).toEqual(["pending", 1]);
    world.leader = "n2";
    forwards.leaderChanged();
    until(201);
    expect(result.value).toMatchObject({ epoch: 7 });
    expect(world.sent.map((sent) => (sent as string[])[0])).toEqual(["n1", "n2"]);
  });

  test("asks the next at once where that is known by the time of the answer", () => {
    const { world, execute, until } = forwarding([steppingDown()]);
    const result = execute();
    world.leader = "n2";
    until(1);
    expect(result.value).toMatchObject({ epoch: 7 });
  });

  test("asks a leader again that did not step down after all, within its deadline", () => {
    const { world, execute, until } = forwarding([steppingDown()]);
    const result = execute();
    until(400);
    expect([result.value, world.sent.length]).toEqual([{ text: DONE.body, epoch: 7 }, 2]);
    const late = forwarding([steppingDown()]);
    late.until(850);
    const last = late.execute();
    late.until(990);
    expect(last.value).toMatchObject({ epoch: 7 });
  });

  test("is not sent again where it may have been executed, unless its key makes that safe", () => {
    const plain = forwarding(["uncertain"]);
    const result = plain.execute();
    plain.until(900);
    expect([result.value, plain.world.sent.length]).toEqual([
      ["uncertain", undefined, undefined],
      1,
    ]);
    const keyed = forwarding(["uncertain", "uncertain", "done"]);
    const safe = keyed.execute("k");
    keyed.until(900);
    expect(safe.value).toMatchObject({ epoch: 7 });
  });

  for (const kind of ["invalid", "conflict", "missing", "busy", "too_large"] as const) {
    test(`is not sent again after ${kind}: that is its answer`, () => {
      const { world, execute, until } = forwarding([kind]);
      const result = execute("k");
      until(900);
      expect([result.value, world.sent.length]).toEqual([[kind, undefined, undefined], 1]);
    });
  }

  test("waits for a leader while one is elected, and no longer than its deadline", () => {
    const { world, forwards, execute, until } = forwarding([]);
    world.leader = null;
    const first = execute();
    until(600);
    expect(first.value).toBe("pending");
    world.leader = "n2";
    forwards.leaderChanged();
    until(601);
    expect(first.value).toMatchObject({ epoch: 7 });
    world.leader = null;
    const second = execute();
    until(1_100);
    expect(second.value).toEqual(["unavailable", undefined, "election"]);
  });

  test("is told where the owner is when this node cannot reach it", () => {
    const { world, execute, until } = forwarding([]);
    world.leader = null;
    world.isElecting = false;
    const result = execute();
    until(1);
    expect(result.value).toEqual(["elsewhere", "http://n1:8080", undefined]);
  });

  test("is executed here when this node is the one that is elected while it waits", () => {
    const { world, forwards, execute, until } = forwarding(["elsewhere"]);
    const result = execute();
    world.leader = null;
    until(300);
    expect([result.value, world.done]).toEqual(["pending", 0]);
    world.leads = true;
    forwards.leaderChanged();
    until(301);
    expect([result.value, world.done]).toEqual([{ text: "here", epoch: 8 }, 1]);
  });

  test("does not wait for a leader that is silent and has a successor", () => {
    const plain = forwarding(["silence"]);
    const result = plain.execute();
    plain.until(100);
    plain.world.leader = "n2";
    plain.forwards.leaderChanged();
    plain.until(300);
    // It may only be slow in saying that it was deposed.
    expect(result.value).toBe("pending");
    plain.until(400);
    expect(result.value).toEqual(["uncertain", undefined, undefined]);
    const keyed = forwarding(["silence", "done"]);
    const safe = keyed.execute("k");
    keyed.until(100);
    keyed.world.leader = "n2";
    keyed.forwards.leaderChanged();
    keyed.until(400);
    expect(safe.value).toMatchObject({ epoch: 7 });
    expect(keyed.world.sent.map((sent) => (sent as string[])[0])).toEqual(["n1", "n2"]);
  });

  test("goes to the next leader when the line to a silent one was never open", () => {
    const { world, forwards, execute, until } = forwarding(["silence", "done"]);
    world.isLineOpen = false;
    const result = execute();
    until(100);
    world.leader = "n2";
    forwards.leaderChanged();
    until(500);
    expect(result.value).toMatchObject({ epoch: 7 });
    expect(world.sent.map((sent) => (sent as string[])[0])).toEqual(["n1", "n2"]);
  });

  test("stays uncertain when a later attempt did nothing [I7]", () => {
    const later = Array.from({ length: 99 }, () => "elsewhere" as const);
    const { execute, until } = forwarding(["uncertain", ...later]);
    const result = execute("k");
    until(1_200);
    expect(result.value).toEqual(["uncertain", undefined, undefined]);
  });

  test("stays uncertain when the next leader is too busy to look [I7]", () => {
    const { execute, until } = forwarding(["uncertain", "busy"]);
    const answer = execute("key");
    until(1_500);
    expect(answer.value).toEqual(["uncertain", undefined, undefined]);
    const { execute: other, until: pass } = forwarding(["busy"]);
    const busy = other("key");
    pass(1_500);
    expect(busy.value).toEqual(["busy", undefined, undefined]);
  });

  test("ends at its deadline with what was said last", () => {
    const { execute, until } = forwarding(Array.from({ length: 99 }, () => "elsewhere" as const));
    const result = execute();
    until(1_200);
    expect(result.value).toEqual(["elsewhere", undefined, undefined]);
  });
});

test("an heir holds what it is asked until it leads, is the heir no more, or time is over", () => {
  const { world, forwards, outcome, until } = forwarding([]);
  const ask = () => outcome(forwards.untilHeirLeads(1_000).then(() => "goes on"));
  const other = ask();
  until(1);
  expect(other.value).toBe("goes on");
  world.isHeir = true;
  const held = [ask(), ask()];
  until(500);
  expect(held.map(({ value }) => value)).toEqual(["pending", "pending"]);
  world.leads = true;
  forwards.leaderChanged();
  until(501);
  expect(held.map(({ value }) => value)).toEqual(["goes on", "goes on"]);
  world.leads = false;
  const first = ask();
  until(600);
  expect(first.value).toBe("pending");
  world.isHeir = false;
  forwards.leaderChanged();
  until(601);
  expect(first.value).toBe("goes on");
  world.isHeir = true;
  const late = ask();
  until(999);
  expect(late.value).toBe("pending");
  until(1_001);
  expect(late.value).toBe("goes on");
});

test("a proof is asked of the leader, and asked again", () => {
  const { world, forwards, outcome, until } = forwarding(["uncertain", "done"]);
  const result = outcome(forwards.prove("orders", 1_000, () => Promise.resolve(8)));
  until(100);
  expect(result.value).toBe(7);
  expect(world.sent).toEqual(Array.from({ length: 2 }, () => [
    "n1",
    "prove",
    { database: "orders" },
    "",
  ]));
});
