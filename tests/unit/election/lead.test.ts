import { describe, expect, test } from "bun:test";
import { beginLead, type LeadFacts, leadStep } from "../../../src/election/lead.ts";
import { rankOf, succession } from "../../../src/election/rank.ts";

const CALM: LeadFacts = { heartbeatMs: 30_000, links: 2, isLate: false, ended: 0 };

/** What a leader does in steps of 100 ms; `facts` says what it sees at each. */
function lead(
  untilMs: number,
  facts: (nowMs: number) => Partial<LeadFacts>,
  { mayResign = true, isSuccessor = false } = {},
) {
  let state = beginLead(0, { mayResign, isSuccessor });
  const done: string[] = [];
  for (let nowMs = 0; nowMs <= untilMs; nowMs += 100) {
    const step = leadStep(state, { ...CALM, ...facts(nowMs) }, nowMs);
    state = step.lead;
    for (const action of step.actions) {
      done.push(action.kind === "beat" ? `${nowMs} beat ${action.intervalMs}` : `${nowMs} resign`);
    }
  }
  return done;
}

describe("the heartbeat of a leader", () => {
  test("comes at once, states the idle rhythm, and keeps it", () => {
    expect(lead(65_000, () => ({}))).toEqual([
      "0 beat 30000",
      "30000 beat 30000",
      "60000 beat 30000",
    ]);
  });

  test("comes each second at first where another node led: that one may not know", () => {
    const beats = lead(35_000, () => ({}), { isSuccessor: true });
    expect(beats.slice(0, 2)).toEqual(["0 beat 1000", "1000 beat 1000"]);
    expect(beats.slice(-2)).toEqual(["29000 beat 1000", "30000 beat 30000"]);
  });

  test("comes at once and each second for half a minute after a link ended or is late", () => {
    for (const fact of [{ ended: 1 }, { isLate: true }]) {
      const beats = lead(115_000, (nowMs) => (nowMs === 45_000 ? fact : {}));
      expect(beats.slice(2, 5)).toEqual(["45000 beat 1000", "46000 beat 1000", "47000 beat 1000"]);
      expect(beats.slice(-3)).toEqual(["74000 beat 1000", "75000 beat 30000", "105000 beat 30000"]);
    }
  });

  test("is never slower than the idle rhythm", () => {
    expect(lead(1_000, () => ({ heartbeatMs: 500 }))).toEqual([
      "0 beat 500",
      "500 beat 500",
      "1000 beat 500",
    ]);
  });
});

describe("a leader without a link", () => {
  const looks = (untilMs: number, links: (nowMs: number) => number) =>
    lead(untilMs, (nowMs) => ({ links: links(nowMs) }))
      .filter((what) => what.endsWith("resign"))
      .map((what) => Number(what.split(" ")[0]) / 1000);

  test("looks after ten seconds whether to resign, and ever more seldom while nobody is there", () => {
    const alone = looks(3_600_000, () => 0);
    expect(alone.slice(0, 7)).toEqual([10, 30, 70, 150, 310, 630, 1230]);
    expect(alone.slice(7)).toEqual([1830, 2430, 3030]);
  });

  test("begins anew when it had one", () => {
    expect(looks(90_000, (nowMs) => (nowMs >= 40_000 && nowMs < 41_000 ? 1 : 0)))
      .toEqual([10, 30, 51, 71]);
  });

  test("that had to claim again after it resigned stays", () => {
    expect(
      lead(90_000, () => ({ links: 0 }), { mayResign: false }).some((what) =>
        what.endsWith("resign")
      ),
    )
      .toBe(false);
  });
});

describe("the order of those that would claim", () => {
  const node = (node: string, zone: string, over: object = {}) => ({
    node,
    zone,
    eligible: true,
    state: "active",
    ...over,
  });
  const roster = [
    node("d", "west"),
    node("c", "east"),
    node("b", "east"),
    node("a", "west", { state: "draining" }),
    node("e", "east", { eligible: false }),
  ];

  test("is by zone and id, without those that may not lead", () => {
    expect(succession(roster)).toEqual(["b", "c", "d"]);
    expect(rankOf("c", roster)).toBe(1);
    expect(rankOf("stranger", roster)).toBe(3);
  });

  test("begins with the successor and ends with whoever resigned", () => {
    expect(succession(roster, { successor: "d", last: "b" })).toEqual(["d", "c", "b"]);
    expect(succession(roster, { successor: "" })).toEqual(["b", "c", "d"]);
  });
});
