import { describe, expect, test } from "bun:test";
import { contender, type Introduction, Roster } from "../../../src/members/roster.ts";

const introduction: Introduction = {
  address: "http://a:8080",
  peer_address: "a:8443",
  zone: "z",
  roles: [],
  eligible: true,
  version: "1",
  state: "active",
};

function roster(): Roster {
  const roster = new Roster();
  roster.add("b", { nonce: "nb", introduction }, 0);
  roster.add("a", { nonce: "na", introduction }, 0);
  return roster;
}

const report = (over: object = {}) => ({
  state: "active" as const,
  heads: {},
  running: 0,
  ...over,
});

describe("the roster", () => {
  test("lists its members by id, with what they last said and when", () => {
    const full = roster();
    expect(full.heard("a", report({ heads: { system: 7 } }), 900)).toBe(false);
    expect(full.members(1_000)).toMatchObject([
      { node: "a", nonce: "na", heads: { system: 7 }, last_heard_ms: 100, presence: "present" },
      { node: "b", nonce: "nb", last_heard_ms: 1_000 },
    ]);
  });

  test("has news when a member changes its state, becomes suspect, or is heard again", () => {
    const full = roster();
    expect(full.heard("a", report({ state: "draining" }), 10)).toBe(true);
    expect(full.heard("b", null, 4_000)).toBe(false);
    expect(full.look(5_009)).toEqual({ isNews: false, gone: [] });
    expect(full.look(5_010)).toEqual({ isNews: true, gone: [] });
    expect(full.look(5_020)).toEqual({ isNews: false, gone: [] });
    expect(full.members(5_020)[0]?.presence).toBe("suspect");
    expect(full.heard("a", null, 6_000)).toBe(true);
    expect(full.look(19_000)).toEqual({ isNews: true, gone: ["b"] });
  });

  test("knows nothing of whom it does not list", () => {
    const full = roster();
    expect(full.heard("c", report(), 1)).toBe(false);
    expect(full.remove("c")).toBe(false);
    expect(full.remove("a")).toBe(true);
    expect([full.size, full.nonceOf("a"), full.nonceOf("b")]).toEqual([1, undefined, "nb"]);
  });

  test("lets nobody succeed who is not heard", () => {
    const full = roster();
    full.look(5_000);
    expect(full.members(5_000).map((member) => contender(member).state)).toEqual([
      "suspect",
      "suspect",
    ]);
  });
});
