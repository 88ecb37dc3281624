import { describe, expect, test } from "bun:test";
import { STEP_DOWN_MS } from "../../../src/base/limits.ts";
import type { Ownership } from "../../../src/replica/claims.ts";
import {
  chooseSuccessor,
  nextLeader,
  type OwnershipWaiters,
  successors,
} from "../../../src/server/succession.ts";
import { SimulatedClock, Timeline } from "../../support/simulated-clock.ts";
import { contender } from "./leadership-harness.ts";

const ALL = [
  contender("n1", { zone: "a" }),
  contender("n2", { zone: "b" }),
  contender("n3", { zone: "a" }),
  contender("n4", { zone: "a", eligible: false }),
  contender("n5", { zone: "a", state: "draining" }),
];

describe("who follows a leader that steps down", () => {
  test("is the preferred one, else the first by zone and id that may lead", () => {
    expect(successors("n1", ALL)).toEqual(["n3", "n2"]);
    expect(successors("n1", ALL, "n2")).toEqual(["n2", "n3"]);
    expect(chooseSuccessor("n3", ALL)).toBe("n1");
  });

  test("is one that has all databases before one that is still reading them, unless preferred", () => {
    const all = [contender("n1"), contender("n2", { isBehind: true }), contender("n3")];
    expect(successors("n1", all)).toEqual(["n3", "n2"]);
    expect(successors("n1", all, "n2")).toEqual(["n2", "n3"]);
  });

  test("is nobody who may not, and the failure says why", () => {
    const why = (preferred: string) => () => chooseSuccessor("n1", ALL, preferred);
    expect(why("n4")).toThrow("it may not lead");
    expect(why("n5")).toThrow("it is draining");
    expect(why("n9")).toThrow("it has no link to this node");
    expect(why("n1")).toThrow("it leads already");
    expect(() => chooseSuccessor("n1", [contender("n1")])).toThrow("no other node could lead");
  });
});

describe("waiting for the next leader", () => {
  const claimed = (node: string, successor: string | null = null): Ownership => ({
    claim: { epoch: 9, node, address: "", systemClaim: 9, successor } as Ownership["claim"],
    term: 2,
  } as Ownership);

  function waiting() {
    const timeline = new Timeline();
    const waiters: OwnershipWaiters = new Set();
    const next = nextLeader(new SimulatedClock(timeline), "n1", waiters);
    return { timeline, waiters, next };
  }

  test("ends with the first claim of another node", async () => {
    const { waiters, next } = waiting();
    // Its own resignation.
    for (const heard of waiters) heard(claimed("n1", "n3"));
    expect(waiters.size).toBe(1);
    for (const heard of waiters) heard(claimed("n3"));
    expect([await next, waiters.size]).toEqual(["n3", 0]);
  });

  test("ends with unavailable when the one that resigned leads again", async () => {
    const { waiters, next } = waiting();
    for (const heard of waiters) heard(claimed("n1"));
    await expect(next).rejects.toMatchObject({ kind: "unavailable" });
    expect(waiters.size).toBe(0);
  });

  test("ends with uncertain when nobody comes", async () => {
    const { timeline, waiters, next } = waiting();
    timeline.step();
    await expect(next).rejects.toMatchObject({ kind: "uncertain" });
    expect([timeline.nowMs, waiters.size]).toEqual([STEP_DOWN_MS, 0]);
  });
});
