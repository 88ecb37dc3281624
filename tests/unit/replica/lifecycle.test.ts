import { describe, expect, test } from "bun:test";
import { next, type ReplicaEvent, type ReplicaState } from "../../../src/replica/lifecycle.ts";

const EVENTS: readonly ReplicaEvent[] = [
  "opened",
  "claim",
  "won",
  "lost",
  "refused",
  "released",
  "mismatch",
  "rebuilt",
  "damaged",
  "close",
];

/** Every state, and what may happen in it. What is not named here is a bug. */
const ALLOWED: Readonly<
  Record<ReplicaState, Partial<Readonly<Record<ReplicaEvent, ReplicaState>>>>
> = {
  opening: { opened: "following", damaged: "corrupt", close: "closed" },
  following: {
    claim: "claiming",
    mismatch: "rebuilding",
    refused: "following",
    close: "closed",
  },
  claiming: { won: "owning", lost: "following", mismatch: "rebuilding", close: "closed" },
  owning: { refused: "fenced", mismatch: "fenced", close: "closed" },
  fenced: { released: "following", refused: "fenced", mismatch: "fenced", close: "closed" },
  rebuilding: {
    rebuilt: "following",
    damaged: "corrupt",
    mismatch: "rebuilding",
    close: "closed",
  },
  corrupt: {
    rebuilt: "following",
    mismatch: "corrupt",
    damaged: "corrupt",
    refused: "corrupt",
    close: "closed",
  },
  closed: Object.fromEntries(EVENTS.map((event) => [event, "closed"])),
};

describe("the life of a replica", () => {
  for (const state of Object.keys(ALLOWED) as ReplicaState[]) {
    test(`${state}: each of ${EVENTS.length} events leads where it must, or is a bug`, () => {
      for (const event of EVENTS) {
        const to = ALLOWED[state][event];
        if (to !== undefined) expect([event, next(state, event)]).toEqual([event, to]);
        else expect(() => next(state, event)).toThrow(`a replica that is ${state} met "${event}"`);
      }
    });
  }

  test("only winning a claim leads to owning, and an owner ends fenced or closed [I5, I8]", () => {
    for (const state of Object.keys(ALLOWED) as ReplicaState[]) {
      for (const [event, to] of Object.entries(ALLOWED[state])) {
        if (to === "owning") expect([state, event]).toEqual(["claiming", "won"]);
        if (state === "owning") expect(["fenced", "closed"]).toContain(to!);
      }
    }
  });

  test("what is closed stays closed", () => {
    for (const event of EVENTS) expect(next("closed", event)).toBe("closed");
  });
});
