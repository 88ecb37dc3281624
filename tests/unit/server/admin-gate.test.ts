import { describe, expect, test } from "bun:test";
import { Failure } from "../../../src/base/failure.ts";
import { silentLog } from "../../../src/base/log.ts";
import { Metrics } from "../../../src/base/metrics.ts";
import { AdminGate, isBackupOverdue } from "../../../src/server/admin-gate.ts";
import { BACKUP_OVERDUE_MS } from "../../../src/base/limits.ts";
import type { Replica } from "../../../src/replica/replica.ts";
import { SimulatedClock, Timeline } from "../../support/simulated-clock.ts";

function gate() {
  const metrics = new Metrics();
  const facts = { isLeading: true, isElecting: false, storeFailingMs: 0, isBackupOverdue: false };
  const clock = new SimulatedClock(new Timeline());
  const one = new AdminGate({ clock, log: silentLog, metrics, facts: () => facts });
  const state = () =>
    /headgate_breaker_state\{state="(\w+)"\} 1/.exec(metrics.text())?.[1] ?? "none";
  return { gate: one, facts, state };
}

const done = () => Promise.resolve("done");
const failing = (failure: Error) => () => Promise.reject(failure);

describe("the gate of admin changes", () => {
  test("lets them through while all is well, and says so in the metrics", async () => {
    const { gate: one, state } = gate();
    expect([await one.run(done), state()]).toEqual(["done", "closed"]);
  });

  test("is shut for each of the three reasons, and names it", async () => {
    for (
      const [reason, change] of [
        ["election", { isElecting: true }],
        ["store", { storeFailingMs: 5_001 }],
        ["backup", { isBackupOverdue: true }],
      ] as const
    ) {
      const { gate: one, facts, state } = gate();
      Object.assign(facts, change);
      let isDone = false;
      const failure = await one.run(() => Promise.resolve(isDone = true)).catch((error) => error);
      expect([failure.kind, failure.details, isDone]).toEqual(["unavailable", { reason }, false]);
      expect(failure.retryAfterMs).toBeGreaterThan(0);
      expect(state()).toBe("open");
    }
  });

  test("tries one when the reason is gone, and opens with it", async () => {
    const { gate: one, facts, state } = gate();
    facts.isElecting = true;
    expect(state()).toBe("open");
    facts.isElecting = false;
    expect(state()).toBe("half_open");
    const trial = Promise.withResolvers<string>();
    const first = one.run(() => trial.promise);
    await expect(one.run(done)).rejects.toMatchObject({ kind: "unavailable" });
    trial.resolve("done");
    expect([await first, state()]).toEqual(["done", "closed"]);
  });

  test("stays shut when the trial meets what it is there for, not when a client was wrong", async () => {
    const { gate: one, facts, state } = gate();
    facts.storeFailingMs = 6_000;
    void one.breaker;
    facts.storeFailingMs = 0;
    const wrong = one.run(failing(new Failure("conflict", "it is there")));
    await expect(wrong).rejects.toMatchObject({ kind: "conflict" });
    expect(state()).toBe("closed");
    facts.storeFailingMs = 6_000;
    void one.breaker;
    facts.storeFailingMs = 0;
    const failed = one.run(failing(new Failure("unavailable", "no store")));
    await expect(failed).rejects.toThrow("no store");
    expect(one.breaker.state).not.toBe("closed");
  });
});

test("a backup is overdue where an owned database has changes that are older than it may be", () => {
  const replica = (state: string, ageMs: number) => ({ state, backup: { ageMs } }) as Replica;
  expect(isBackupOverdue([replica("owning", BACKUP_OVERDUE_MS)])).toBe(false);
  expect(isBackupOverdue([replica("following", BACKUP_OVERDUE_MS + 1)])).toBe(false);
  expect(isBackupOverdue([replica("owning", 0), replica("owning", BACKUP_OVERDUE_MS + 1)]))
    .toBe(true);
});
