import { describe, expect, test } from "bun:test";
import { drainMicrotasks } from "bun:jsc";
import { PUSH_BYTES_MAX } from "../../../src/base/limits.ts";
import { silentLog } from "../../../src/base/log.ts";
import { Hub } from "../../../src/members/hub.ts";
import { LINK_FRAMES } from "../../../src/members/message.ts";
import {
  type BrokerState,
  type Introduction,
  type Member,
  type RosterMessage,
  SUSPECT_MS,
} from "../../../src/members/roster.ts";
import { SimulatedClock, Timeline } from "../../support/simulated-clock.ts";
import { SaidChannel } from "./said-channel.ts";

const introduction: Introduction = {
  address: "http://n2",
  peer_address: "n2:8443",
  zone: "b",
  roles: [],
  eligible: true,
  version: "1",
  state: "active",
};
const self: Member = {
  ...introduction,
  node: "n1",
  nonce: "nonce",
  heads: {},
  running: 0,
  presence: "present",
  last_heard_ms: 0,
};

function leading() {
  const timeline = new Timeline();
  const clock = new SimulatedClock(timeline);
  const world = { failingMs: 0, desired: new Map<string, BrokerState>(), changes: [] as string[] };
  const rosters: RosterMessage[] = [];
  const hub = new Hub({
    clock,
    log: silentLog,
    term: 4,
    self: () => self,
    storeFailingMs: () => world.failingMs,
    desired: (node) => world.desired.get(node),
    onLinks: (change) => world.changes.push(change),
    onRoster: (roster) => rosters.push(roster),
  });
  const pass = (ms: number) => {
    let isOver = false;
    timeline.schedule(ms, () => isOver = true);
    drainMicrotasks();
    while (!isOver && timeline.step());
  };
  const join = (node: string, process?: string) => {
    const channel = new SaidChannel(node, process);
    hub.add(channel, { ...introduction, address: `http://${node}` });
    pass(1);
    return channel;
  };
  const report = (channel: SaidChannel, ping: number, over: object = {}) =>
    channel.say(LINK_FRAMES.report, { state: "active", heads: {}, running: 0, ping, ...over }, 0);
  const names = () => rosters.at(-1)?.members.map(({ node }) => node);
  return { hub, world, rosters, clock, pass, join, report, names };
}

describe("the links of a leader", () => {
  test("tell all who is there whenever somebody comes or goes", () => {
    const { join, rosters, names, world, pass } = leading();
    const two = join("n2");
    const three = join("n3");
    expect([names(), rosters.at(-1)?.leader, rosters.at(-1)?.term])
      .toEqual([["n1", "n2", "n3"], "n1", 4]);
    expect(two.heads(LINK_FRAMES.roster).length).toBe(2);
    three.end({ kind: "reset", message: "gone" });
    pass(1);
    expect([names(), world.changes]).toEqual([["n1", "n2"], ["added", "added", "ended"]]);
  });

  test("carry of an epoch that no frame holds only the number", () => {
    const { join, hub } = leading();
    const channel = join("n2");
    hub.push("orders", 7, new Uint8Array(PUSH_BYTES_MAX));
    hub.push("orders", 8, new Uint8Array(PUSH_BYTES_MAX + 1));
    const epochs = channel.sent.filter(({ type }) => type === LINK_FRAMES.epoch);
    expect(epochs.map(({ bytes }) => bytes)).toEqual([PUSH_BYTES_MAX, 0]);
  });

  test("carry each durable epoch, and only the number of what is large", () => {
    const { join, hub } = leading();
    const channels = [join("n2"), join("n3")];
    hub.push("orders", 7, new Uint8Array(5));
    hub.push("orders", 8, null);
    for (const channel of channels) {
      const epochs = channel.sent.filter(({ type }) => type === LINK_FRAMES.epoch);
      expect(epochs.map(({ head, bytes }) => [head, bytes])).toEqual([
        [{ database: "orders", epoch: 7 }, 5],
        [{ database: "orders", epoch: 8 }, 0],
      ]);
    }
  });

  test("carry a ping each second, which says for how long the store has failed", () => {
    const { join, world, pass } = leading();
    const channel = join("n2");
    pass(1_000);
    world.failingMs = 6_000.4;
    pass(1_000);
    expect(channel.heads(LINK_FRAMES.ping)).toEqual([
      { number: 1, store_failing_ms: 0 },
      { number: 2, store_failing_ms: 6_000 },
    ]);
  });

  test("are late when pings were not answered for so long", () => {
    const { hub, join, report, pass } = leading();
    const two = join("n2");
    const three = join("n3");
    pass(1_000);
    for (const channel of [two, three]) report(channel, 1);
    pass(1_000);
    report(two, 2);
    pass(1_900);
    expect([hub.isLate(2_000), hub.isLate(1_000)]).toEqual([false, true]);
    pass(200);
    expect(hub.isLate(2_000)).toBe(true);
    report(three, 3);
    report(two, 3);
    expect(hub.isLate(2_000)).toBe(false);
  });

  test("are not late behind a long way, where each answer comes after the next ping", () => {
    const { hub, join, report, pass } = leading();
    const channel = join("n2");
    pass(1_100);
    for (let ping = 1; ping < 20; ping++) {
      pass(1_000);
      report(channel, ping);
      expect(hub.isLate(2_000)).toBe(false);
    }
  });

  test("answer an echo at once", () => {
    const { join } = leading();
    const channel = join("n2");
    channel.say(LINK_FRAMES.echo, {}, 0);
    expect(channel.heads(LINK_FRAMES.echoed)).toEqual([{}]);
  });

  test("order the state that an operator wants, when a node joins and when it changes", () => {
    const { hub, join, world } = leading();
    world.desired.set("n2", "draining");
    const channel = join("n2");
    world.desired.set("n2", "active");
    hub.order("n2");
    expect(channel.heads(LINK_FRAMES.order)).toEqual([{ state: "draining" }, { state: "active" }]);
    expect(join("n3").heads(LINK_FRAMES.order)).toEqual([]);
  });

  test("give way to another link of the same node", () => {
    const { join, hub, world, names } = leading();
    const first = join("n2", "process 1");
    const second = join("n2", "process 2");
    expect([first.closed, second.closed]).toEqual([
      "another link of this node took its place",
      null,
    ]);
    expect([hub.links, names(), world.changes]).toEqual([1, ["n1", "n2"], ["added", "added"]]);
  });

  test("refuse a second process with the id of one that answers", () => {
    const { join, hub, pass, report } = leading();
    const first = join("n2", "process 1");
    pass(1_000);
    report(first, 1);
    expect([hub.isTaken("n2", "process 2"), hub.isTaken("n2", "process 1")]).toEqual([true, false]);
    expect(hub.isTaken("n3", "process 3")).toBe(false);
    // One that does not answer any more gives way.
    pass(3_500);
    expect(hub.isTaken("n2", "process 2")).toBe(false);
  });

  test("make a node suspect after 5 s of silence, and cut it off after 15 s", () => {
    const { join, rosters, pass, report } = leading();
    const channel = join("n2");
    pass(SUSPECT_MS + 1_500);
    const two = () => rosters.at(-1)?.members.find(({ node }) => node === "n2");
    expect(two()?.presence).toBe("suspect");
    report(channel, 3);
    pass(1);
    expect(two()?.presence).toBe("present");
    pass(16_500);
    expect(channel.closed).toBe("nothing was heard of it for too long");
    expect(two()).toBeUndefined();
  });

  test("end with the lead, and nothing is told after that", () => {
    const { join, hub, rosters, pass } = leading();
    const channel = join("n2");
    const before = rosters.length;
    hub.close("this node leads no more");
    hub.changed();
    pass(5_000);
    expect([channel.closed, hub.links]).toEqual(["this node leads no more", 0]);
    expect(rosters.length).toBe(before);
  });
});
