import { describe, expect, test } from "bun:test";
import { Failure } from "../../../src/base/failure.ts";
import {
  type Breaker,
  breakerAdmits,
  type BreakerFacts,
  breakerSees,
  breakerTried,
} from "../../../src/server/breaker.ts";

const WELL: BreakerFacts = {
  isLeading: true,
  isElecting: false,
  storeFailingMs: 0,
  isBackupOverdue: false,
};
const CLOSED: Breaker = { state: "closed" };

function admitted(breaker: Breaker): Breaker {
  const next = breakerAdmits(breaker);
  if (next instanceof Failure) throw next;
  return next;
}

describe("the circuit breaker", () => {
  for (
    const [reason, facts] of [
      ["election", { isElecting: true }],
      ["store", { storeFailingMs: 5_001 }],
      ["backup", { isBackupOverdue: true }],
    ] as const
  ) {
    test(`opens for ${reason}, says why and when to come back, and closes after a trial`, () => {
      const open = breakerSees(CLOSED, { ...WELL, ...facts }, 10);
      expect(open).toEqual({ state: "open", reason, sinceMs: 10 });
      const refusal = breakerAdmits(open) as Failure;
      expect([refusal.kind, refusal.details]).toEqual(["unavailable", { reason }]);
      expect(refusal.retryAfterMs).toBeGreaterThan(0);
      const half = breakerSees(open, WELL, 20);
      expect(half).toMatchObject({ state: "half_open", reason });
      const trying = admitted(half);
      expect(breakerAdmits(trying)).toBeInstanceOf(Failure);
      expect(breakerTried(trying, false, 30)).toEqual(CLOSED);
      expect(breakerTried(trying, true, 30)).toEqual({ state: "open", reason, sinceMs: 30 });
    });
  }

  test("stays closed while a store fails for less than five seconds", () => {
    expect(breakerSees(CLOSED, { ...WELL, storeFailingMs: 5_000 }, 1)).toBe(CLOSED);
    expect(admitted(CLOSED)).toBe(CLOSED);
    expect(breakerTried(CLOSED, true, 2)).toBe(CLOSED);
  });

  test("closes without a trial where no changes are made: at a node that does not lead", () => {
    const open = breakerSees(CLOSED, { ...WELL, isElecting: true }, 1);
    expect(breakerSees(open, { ...WELL, isLeading: false }, 2)).toEqual(CLOSED);
    const half = breakerSees(open, WELL, 2);
    expect(breakerSees(half, { ...WELL, isLeading: false }, 3)).toEqual(CLOSED);
  });

  test("keeps the moment at which it opened, and takes up another reason", () => {
    const open = breakerSees(CLOSED, { ...WELL, isElecting: true }, 1);
    expect(breakerSees(open, { ...WELL, isElecting: true }, 2)).toBe(open);
    expect(breakerSees(open, { ...WELL, storeFailingMs: 9_000 }, 3)).toEqual({
      state: "open",
      reason: "store",
      sinceMs: 3,
    });
    const half = breakerSees(open, WELL, 4);
    expect(breakerSees(admitted(half), { ...WELL, isElecting: true }, 5).state).toBe("open");
  });
});
