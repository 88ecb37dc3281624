import { describe, expect, test } from "bun:test";
import { drainMicrotasks } from "bun:jsc";
import { silentLog } from "../../../src/base/log.ts";
import type { LeaderHeartbeat } from "../../../src/server/cluster-files.ts";
import { Leading } from "../../../src/server/leading.ts";
import { SimulatedClock, Timeline } from "../../support/simulated-clock.ts";

function lead(
  beat: (facts: { readonly heartbeat_ms: number }) => Promise<boolean>,
  begin: () => Promise<void> = () => Promise.resolve(),
) {
  const timeline = new Timeline();
  const clock = new SimulatedClock(timeline);
  const told: string[] = [];
  const world = { links: 1 };
  const leading = new Leading({
    clock,
    log: silentLog,
    heartbeat: { beat } as unknown as LeaderHeartbeat,
    heartbeatMs: 30_000,
    mayResign: true,
    isSuccessor: false,
    facts: () => ({ node: "n1", address: "", peer_address: "", term: 1, epoch: 1 }),
    links: () => ({ links: world.links, isLate: () => false }),
    begin,
    askChain: () => Promise.resolve(told.push("ask")),
    resignIfOthers: () => {
      told.push("resign");
      return Promise.resolve();
    },
  });
  const pass = (ms: number) => {
    let isOver = false;
    timeline.schedule(ms, () => isOver = true);
    drainMicrotasks();
    while (!isOver && timeline.step());
  };
  return { leading, told, world, pass };
}

describe("a leader's heartbeat", () => {
  test("is sent one at a time: a store that is slow gets no queue of them", () => {
    let sent = 0;
    const { pass } = lead(() => {
      sent++;
      return new Promise(() => {});
    });
    pass(60_000);
    expect(sent).toBe(1);
  });

  test("states the time to the next one", () => {
    const stated: number[] = [];
    const { leading, pass } = lead(({ heartbeat_ms }) => {
      stated.push(heartbeat_ms);
      return Promise.resolve(true);
    });
    pass(65_000);
    expect(stated).toEqual([30_000, 30_000, 30_000]);
    leading.onLinks("ended");
    pass(2_000);
    expect(stated.slice(3)).toEqual([1_000, 1_000]);
  });

  test("that finds another one written asks the chain; one that fails asks nobody", () => {
    const answers = [() => Promise.reject(new Error("no store")), () => Promise.resolve(false)];
    const { told, pass } = lead(() => answers.shift()?.() ?? Promise.resolve(true));
    pass(29_000);
    expect(told).toEqual([]);
    pass(5_000);
    expect(told).toEqual(["ask"]);
  });

  test("ends with the lead", () => {
    let sent = 0;
    const { leading, pass } = lead(() => Promise.resolve(++sent > 0));
    leading.end();
    leading.onLinks("ended");
    pass(60_000);
    expect(sent).toBe(1);
  });
});

describe("what a leader does first", () => {
  test("is tried again until it is done, one try at a time, and then no more", () => {
    const trials = Array.from({ length: 3 }, () => Promise.withResolvers<void>());
    let tries = 0;
    const { leading, pass } = lead(() => Promise.resolve(true), () => trials[tries++]!.promise);
    pass(5_000);
    expect([tries, leading.isBegun]).toEqual([1, false]);
    trials[0]!.reject(new Error("no store"));
    pass(1_000);
    expect(tries).toBe(2);
    trials[1]!.resolve();
    pass(5_000);
    expect([tries, leading.isBegun]).toEqual([2, true]);
  });

  test("is waited for no longer than the lead lasts", async () => {
    const { leading } = lead(() => Promise.resolve(true));
    leading.end();
    await leading.begun;
  });
});

test("a leader without a link looks for others after ten seconds, and again while it has none", () => {
  const { leading, world, told, pass } = lead(() => Promise.resolve(true));
  world.links = 0;
  pass(60_000);
  expect([told, leading.mayResign]).toEqual([["resign", "resign"], true]);
  world.links = 2;
  pass(1_000);
  world.links = 0;
  pass(60_000);
  expect(told).toEqual(["resign", "resign", "resign", "resign"]);
});
