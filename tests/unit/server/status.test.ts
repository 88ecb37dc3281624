import { describe, expect, test } from "bun:test";
import type { Member } from "../../../src/members/roster.ts";
import { nodeStatus, nodeStatuses, readiness } from "../../../src/server/status.ts";

const MEMBER: Member = {
  node: "n2",
  nonce: "secret of the process",
  address: "http://n2:8080",
  peer_address: "n2:8443",
  zone: "b",
  roles: ["ingest"],
  eligible: true,
  version: "1.2.3",
  state: "active",
  heads: { system: 8, orders: 4 },
  running: 3,
  presence: "present",
  last_heard_ms: 40,
};

describe("a node in the status", () => {
  test("has its role, heads and lag, and nothing of its process", () => {
    expect(nodeStatus(MEMBER, "n1", 10)).toEqual({
      id: "n2",
      address: "http://n2:8080",
      role: "broker",
      roles: ["ingest"],
      state: "active",
      zone: "b",
      version: "1.2.3",
      head: 8,
      lag: 2,
      heads: { system: 8, orders: 4 },
      running: 3,
      last_heard_ms: 40,
      why_not_leader: "another node leads",
    });
  });

  test("that is ahead of what is known here has no lag, and one without a database none of it", () => {
    expect(nodeStatus(MEMBER, "n1", 5).lag).toBe(0);
    expect(nodeStatus({ ...MEMBER, heads: {} }, "n1", 5)).toMatchObject({ head: 0, lag: 5 });
  });

  test("says why it does not lead", () => {
    const why = (over: Partial<Member>) => nodeStatus({ ...MEMBER, ...over }, "n1", 8);
    expect(why({ eligible: false }).why_not_leader).toBe("it may not lead (eligible: false)");
    expect(why({ state: "draining" }).why_not_leader).toBe("it is draining");
    expect(why({ presence: "suspect" })).toMatchObject({
      state: "suspect",
      why_not_leader: "it was not heard for 5 s",
    });
    const roster = { leader: "n2", term: 1, members: [MEMBER] };
    expect(nodeStatuses(roster, 8)[0]).toMatchObject({ role: "leader", why_not_leader: null });
  });
});

describe("whether a node serves", () => {
  const facts = {
    phase: "active" as "starting" | "active" | "stopping",
    state: "active",
    leads: false,
    head: 4,
    store: "s3://bucket",
    storeFailingMs: 0,
  };

  test("is yes while it is active and its store answers", () => {
    expect(readiness(facts)).toEqual({
      ready: true,
      role: "broker",
      head: 4,
      store: "s3://bucket",
      state: "active",
      reasons: [],
    });
    expect(readiness({ ...facts, leads: true, storeFailingMs: 5_000 })).toMatchObject({
      ready: true,
      role: "leader",
    });
  });

  test("is no otherwise, with each reason", () => {
    expect(readiness({ ...facts, phase: "starting" })).toMatchObject({
      ready: false,
      state: "starting",
      reasons: ["the node is starting"],
    });
    expect(readiness({ ...facts, state: "draining", storeFailingMs: 7_400 }).reasons)
      .toEqual(["the node is draining", "the store has failed for 7 s"]);
  });
});
