import { describe, expect, test } from "bun:test";
import { drainMicrotasks } from "bun:jsc";
import { LeaderLink } from "../../../src/members/leader-link.ts";
import { LINK_FRAMES, type LinkEnd } from "../../../src/members/message.ts";
import { GONE_MS } from "../../../src/members/roster.ts";
import { SimulatedClock, Timeline } from "../../support/simulated-clock.ts";
import { SaidChannel } from "./said-channel.ts";

function linked() {
  const timeline = new Timeline();
  const clock = new SimulatedClock(timeline);
  const channel = new SaidChannel("n1");
  const heard: unknown[] = [];
  const ends: LinkEnd[] = [];
  const facts = { state: "active" as const, heads: { system: 3 } as Record<string, number> };
  const link = new LeaderLink(channel, {
    clock,
    claim: 7,
    report: () => ({ ...facts, running: 2 }),
    onEpoch: (database, epoch, bytes) => heard.push([database, epoch, bytes?.length ?? null]),
    onRoster: ({ leader }) => heard.push(leader),
    onPrepare: () => {},
    onOrder: (state) => heard.push(state),
    onLeaderStore: (failingMs) => heard.push(failingMs),
    onEnd: (end) => ends.push(end),
  });
  const pass = (ms: number) => {
    let isOver = false;
    timeline.schedule(ms, () => isOver = true);
    while (!isOver && timeline.step());
  };
  const say = (type: number, head: unknown, tail?: Uint8Array<ArrayBuffer>) =>
    channel.say(type, head, clock.monotonicMs(), tail);
  return { channel, clock, facts, heard, ends, link, pass, say };
}

describe("a link to the leader", () => {
  test("gives on what comes down: epochs with or without bytes, roster, orders, the store", () => {
    const { say, heard, link } = linked();
    say(LINK_FRAMES.epoch, { database: "orders", epoch: 4 }, new Uint8Array(9));
    say(LINK_FRAMES.epoch, { database: "orders", epoch: 5 });
    say(LINK_FRAMES.roster, { leader: "n1", term: 2, members: [] });
    say(LINK_FRAMES.order, { state: "draining" });
    say(LINK_FRAMES.ping, { number: 1, store_failing_ms: 70 });
    expect(heard).toEqual([["orders", 4, 9], ["orders", 5, null], "n1", "draining", 70]);
    expect([link.leader, link.claim]).toEqual(["n1", 7]);
  });

  test("reports at once, each second, at each ping, and only the heads that changed", () => {
    const { channel, facts, say, pass } = linked();
    say(LINK_FRAMES.ping, { number: 1, store_failing_ms: 0 });
    facts.heads = { system: 4, orders: 1 };
    pass(1_000);
    pass(1_000);
    const same = { state: "active", running: 2 };
    expect(channel.heads(LINK_FRAMES.report)).toEqual([
      { ...same, heads: { system: 3 }, ping: 0 },
      { ...same, heads: {}, ping: 1 },
      { ...same, heads: { system: 4, orders: 1 }, ping: 1 },
      { ...same, heads: {}, ping: 1 },
    ]);
  });

  test("stands when the leader answers an echo, and only then", async () => {
    const { channel, link, say, pass } = linked();
    const stands = link.stands();
    expect(channel.heads(LINK_FRAMES.echo)).toEqual([{}]);
    say(LINK_FRAMES.echoed, {});
    expect(await stands).toBe(true);
    const silent = link.stands();
    pass(1_000);
    expect(await silent).toBe(false);
    // Without input for so long nobody is asked any more.
    pass(1_000);
    expect(await link.stands()).toBe(false);
    expect(channel.heads(LINK_FRAMES.echo).length).toBe(2);
  });

  test("that ends answers whoever waits for an echo, and reports no more", async () => {
    const { channel, link, ends, pass } = linked();
    const stands = link.stands();
    channel.end({ kind: "reset", message: "gone" });
    expect(await stands).toBe(false);
    pass(5_000);
    expect([link.isOpen, ends.length, channel.heads(LINK_FRAMES.report).length])
      .toEqual([false, 1, 1]);
  });

  test("is given up when nothing was heard for 15 s", () => {
    const { ends, pass, say } = linked();
    pass(10_000);
    say(LINK_FRAMES.ping, { number: 1, store_failing_ms: 0 });
    pass(GONE_MS - 1_000);
    expect(ends).toEqual([]);
    pass(3_000);
    expect(ends.map(({ kind, message }) => [kind, message])).toEqual([
      ["closed_here", "nothing was heard of the leader for too long"],
    ]);
  });

  test("is not given up by a process that stood still itself [I11]", () => {
    const { clock, ends, pass, say } = linked();
    pass(2_000);
    clock.pause();
    pass(60_000);
    clock.resume();
    pass(500);
    drainMicrotasks();
    say(LINK_FRAMES.ping, { number: 1, store_failing_ms: 0 });
    pass(5_000);
    expect(ends).toEqual([]);
  });
});
