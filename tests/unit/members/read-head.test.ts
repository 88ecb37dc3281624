import { expect, test } from "bun:test";
import {
  readEpochHead,
  readLeaderHello,
  readLinkHello,
  readOrder,
  readPing,
  readReport,
  readRoster,
} from "../../../src/members/read-head.ts";

const introduction = {
  address: "http://127.0.0.1:8080",
  peer_address: "127.0.0.1:8443",
  zone: "a",
  roles: ["standby"],
  eligible: true,
  version: "0.1.0",
  state: "active",
};
const member = {
  ...introduction,
  node: "n1",
  nonce: "00",
  heads: { system: 3 },
  running: 0,
  presence: "present",
  last_heard_ms: 12,
};
const roster = { leader: "n1", term: 1, members: [member] };

const HEADS = [
  { read: readEpochHead, head: { database: "app", epoch: 7 } },
  { read: readRoster, head: roster },
  { read: readPing, head: { number: 1, store_failing_ms: 0.5 } },
  { read: readOrder, head: { state: "draining" } },
  { read: readReport, head: { state: "active", heads: { app: 1 }, running: 2, ping: 0 } },
  { read: readLinkHello, head: introduction },
  { read: readLeaderHello, head: { claim: 1, claim_id: "00", term: 1, roster } },
];

test.each(HEADS)("a head is read as it was sent: $read.name", ({ read, head }) => {
  expect(read(head) as unknown).toEqual(head);
});

test.each(HEADS)("what a newer version adds is left out: $read.name", ({ read, head }) => {
  expect(read({ ...head, news: 1 }) as unknown).toEqual(head);
});

test.each(HEADS)("no part of a head may be missing or something else: $read.name", (one) => {
  const { read, head } = one;
  for (const name of Object.keys(head)) {
    for (const value of [undefined, null, {}, -1, "?".repeat(3)]) {
      const broken = { ...head, [name]: value };
      if (typeof Reflect.get(head, name) === typeof value && typeof value === "string") continue;
      if (name === "heads" && typeof value === "object" && value !== null) continue;
      expect(() => read(broken)).toThrow(`at ${name}`);
    }
  }
  for (const head of [undefined, null, 1, "x", []]) {
    expect(() => read(head)).toThrow("at its root");
  }
});

test("what is wrong in a roster is said, and where", () => {
  const broken = { ...roster, members: [member, { ...member, running: "2" }] };
  expect(() => readRoster(broken)).toThrow("Cannot read the roster of a peer at members.1.running");
  expect(() => readOrder({ state: "asleep" })).toThrow("Cannot read the order of a peer at state");
});
