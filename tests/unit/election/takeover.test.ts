import { describe, expect, test } from "bun:test";
import {
  beginTakeover,
  type Observation,
  type TakeoverAction,
  takeoverStep,
} from "../../../src/election/takeover.ts";

const OPTIONS = { staleMs: 120_000, refusedTwiceMs: 300 };

/** What is done about observations, each at its time. */
function actions(...observations: readonly (readonly [number, Observation])[]): TakeoverAction[] {
  let state = beginTakeover(0);
  return observations.map(([nowMs, observation]) => {
    const step = takeoverStep(state, observation, nowMs, OPTIONS);
    state = step.state;
    return step.action;
  });
}

const refused: Observation = { kind: "refused" };
const silent: Observation = { kind: "silent" };
const owner: Observation = { kind: "answered", asOwner: true };
const other: Observation = { kind: "answered", asOwner: false };
const store = (seen: string): Observation => ({ kind: "store", seen });
const kinds = (all: readonly TakeoverAction[]) => all.map(({ kind }) => kind);

describe("an owner that refuses connections", () => {
  test("twice within 300 ms is gone: it is claimed at once", () => {
    expect(actions([0, refused], [300, refused])).toEqual([
      { kind: "look", afterMs: 100 },
      { kind: "claim", reason: "its address refuses connections" },
    ]);
  });

  test("twice, but further apart, may have been restarted between: it is looked at again", () => {
    expect(kinds(actions([0, refused], [301, refused], [601, refused])))
      .toEqual(["look", "look", "claim"]);
  });

  test("once, and answers or is silent then, has begun anew", () => {
    for (const between of [owner, silent]) {
      expect(kinds(actions([0, refused], [100, between], [200, refused], [290, refused])))
        .toEqual(["look", "look", "look", "claim"]);
    }
  });
});

describe("an owner whose address answers", () => {
  test("as another node is not there any more: it is claimed", () => {
    expect(actions([0, other])).toEqual([
      { kind: "claim", reason: "another node answers at its address" },
    ]);
  });

  test("as itself, for hours, is never claimed for that", () => {
    const looks = Array.from({ length: 10_000 }, (_, at) => [at * 1_000, owner] as const);
    expect(new Set(kinds(actions(...looks)))).toEqual(new Set(["look"]));
  });

  test("as itself, but without moving the store for 120 s, is claimed", () => {
    const all = actions([0, store("a 5")], [1, owner], [119_999, store("a 5")], [120_000, owner], [
      120_000,
      store("a 5"),
    ]);
    expect(kinds(all)).toEqual(["look", "look", "look", "look", "claim"]);
  });
});

describe("an owner that is silent", () => {
  test("is claimed when neither its heartbeat nor the chain moved for 120 s", () => {
    const all = actions([0, silent], [0, store("a 5")], [60_000, store("a 5")], [120_000, silent], [
      120_000,
      store("a 5"),
    ]);
    expect(all.at(-1)).toEqual({
      kind: "claim",
      reason: "neither its heartbeat nor the chain moved for 120 s",
    });
    expect(kinds(all.slice(0, -1))).not.toContain("claim");
  });

  test("is waited for again from each heartbeat and each epoch on", () => {
    const seen = ["a 5", "b 5", "b 6"];
    const all = actions(
      ...seen.map((text, at) => [at * 119_000, store(text)] as const),
      [238_000 + 119_999, store("b 6")],
      [238_000 + 120_000, store("b 6")],
    );
    expect(kinds(all)).toEqual(["look", "look", "look", "look", "claim"]);
  });

  test("is not claimed by a node that slept itself: it looks at the store first [I11]", () => {
    const all = actions([0, store("a 5")], [500_000, silent], [500_000, store("b 5")], [
      501_000,
      store("b 5"),
    ]);
    expect(kinds(all)).toEqual(["look", "look", "look", "look"]);
  });

  test("is looked at each second, and at the very moment at which it is stale", () => {
    const all = actions([0, store("a 5")], [119_400, store("a 5")]);
    expect(all).toEqual([{ kind: "look", afterMs: 1_000 }, { kind: "look", afterMs: 600 }]);
  });
});

test("an owner that resigned is claimed at once", () => {
  expect(actions([0, { kind: "resigned" }])).toEqual([
    { kind: "claim", reason: "the owner resigned" },
  ]);
});
