import { expect, test } from "bun:test";
import { seededRandom } from "../../../src/base/random.ts";
import { type Target, targetsOf } from "../../../src/library/targets.ts";
import type { Member } from "../../../src/library/view.ts";

function member(id: string, zone: string, roles: readonly string[], state = "active"): Member {
  const address = `http://${id}:8080`;
  return { id, address, zone, roles, state, isLeader: false, version: "1" };
}

const MEMBERS = [
  member("a1", "a", ["worker"]),
  member("a2", "a", ["worker", "cache"]),
  member("a3", "a", ["worker"], "draining"),
  member("b1", "b", ["worker"]),
  member("b2", "b", ["cache"], "suspect"),
  member("b3", "b", ["cache"]),
];

const random = seededRandom(7);
const ids = (target: Target, zone = "a") =>
  targetsOf(MEMBERS, target, zone, random).map(({ id }) => id);

test("members of the caller's zone come first, the others when that is empty", () => {
  for (let round = 0; round < 20; round++) {
    const workers = ids({ role: "worker" });
    expect(workers.slice(0, 2).sort()).toEqual(["a1", "a2"]);
    expect(workers.slice(2)).toEqual(["b1"]);
  }
  expect(ids({ role: "cache" }, "b")).toEqual(["b3", "a2"]);
  expect(ids({ role: "worker" }, "c").sort()).toEqual(["a1", "a2", "b1"]);
});

test("nobody is asked who drains, was not heard, or has not the role", () => {
  expect(ids({}).sort()).toEqual(["a1", "a2", "b1", "b3"]);
  expect(ids({ role: "painter" })).toEqual([]);
  expect(ids({ id: "b2" })).toEqual([]);
});

test("all that is named must fit", () => {
  expect(ids({ role: "cache", zone: "b" })).toEqual(["b3"]);
  expect(ids({ id: "a2" })).toEqual(["a2"]);
  expect(ids({ id: "a2", zone: "b" })).toEqual([]);
});

test("work is spread within a zone", () => {
  const first = new Map<string, number>();
  for (let round = 0; round < 1_000; round++) {
    const id = ids({ role: "worker" })[0]!;
    first.set(id, (first.get(id) ?? 0) + 1);
  }
  expect([...first.keys()].sort()).toEqual(["a1", "a2"]);
  for (const count of first.values()) expect(count).toBeGreaterThan(400);
});
