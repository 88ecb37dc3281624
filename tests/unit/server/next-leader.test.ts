import { beforeEach, describe, expect, test } from "bun:test";
import type { Claim } from "../../../src/replica/claims.ts";
import { checkMeant, isMeant, NextLeader } from "../../../src/server/next-leader.ts";

let claim: Claim | undefined;
let known: readonly string[];
let next: NextLeader;
beforeEach(() => {
  known = ["n1", "n2", "n3"];
  claim = claimOf(7, null);
  next = new NextLeader({ claim: () => claim, isKnown: (node) => known.includes(node) });
});

function claimOf(epoch: number, successor: string | null): Claim {
  return { epoch, node: "n1", address: "http://n1", systemClaim: epoch, successor };
}

describe("while there is no link to a leader", () => {
  test("nobody is asked, unless somebody has told that it leads by a newer claim", () => {
    expect(next.asked).toBeNull();
    next.told("n2", 9);
    expect(next.asked).toEqual({ node: "n2", belief: { claim: 9 } });
    claim = claimOf(10, null);
    expect(next.asked).toBeNull();
  });

  test("the heir of a leader that resigned over the link is asked, as long as it is known", () => {
    claim = claimOf(7, "n3");
    expect(next.asked).toBeNull();
    next.resigned(7);
    expect([next.heir, next.asked]).toEqual(["n3", { node: "n3", belief: { after: 7 } }]);
    known = ["n1", "n2"];
    expect([next.heir, next.asked]).toEqual(["n3", null]);
  });
});

describe("a request that comes to a leader", () => {
  test("is for it where it names its claim, or the one before", () => {
    expect(isMeant({ claim: 9 }, 9, 7)).toBe(true);
    expect(isMeant({ after: 7 }, 9, 7)).toBe(true);
  });

  test("late, after it was deposed and leads again, is not for it [I2]", () => {
    expect(isMeant({ claim: 9 }, 15, 12)).toBe(false);
    expect(isMeant({ after: 7 }, 15, 12)).toBe(false);
    expect(isMeant({ after: 7 }, 15, null)).toBe(false);
  });

  test("that steps down is refused, and says when to ask again", () => {
    const leader = { claim: null, over: 7, isResigning: true };
    for (const asked of [{ claim: 9 }, { after: 9 }, {}]) {
      expect(() => checkMeant(asked, leader)).toThrow(
        expect.objectContaining({ kind: "elsewhere", retryAfterMs: 250 }),
      );
    }
    expect(() => checkMeant({ claim: 9 }, { ...leader, claim: 9, isResigning: false })).not
      .toThrow();
  });

  test("of a node that says nothing of it is taken as it comes", () => {
    expect(isMeant({}, 15, 12)).toBe(true);
  });
});
