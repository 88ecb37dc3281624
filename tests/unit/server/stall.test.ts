import { describe, expect, test } from "bun:test";
import { watchStalls } from "../../../src/server/stall.ts";
import { SimulatedClock, Timeline } from "../../support/simulated-clock.ts";

function watching() {
  const timeline = new Timeline();
  const clock = new SimulatedClock(timeline);
  const stalls: number[] = [];
  const end = watchStalls(clock, (ms) => stalls.push(ms));
  const pass = (ms: number) => {
    let isOver = false;
    timeline.schedule(ms, () => isOver = true);
    while (!isOver && timeline.step());
  };
  return { clock, stalls, end, pass };
}

describe("a process that stood still [I11]", () => {
  test("notices, once for each time, and for how long", () => {
    const { clock, stalls, pass } = watching();
    pass(10_000);
    expect(stalls).toEqual([]);
    for (const ms of [900, 20_000]) {
      clock.pause();
      pass(ms);
      clock.resume();
      pass(5_000);
    }
    expect(stalls.length).toBe(2);
    expect(stalls[0]).toBeWithin(600, 901);
    expect(stalls[1]).toBeWithin(19_700, 20_001);
  });

  test("takes no notice of less than half a second", () => {
    const { clock, stalls, pass } = watching();
    for (let round = 0; round < 20; round++) {
      clock.pause();
      pass(450);
      clock.resume();
      pass(700);
    }
    expect(stalls).toEqual([]);
  });

  test("notices nothing more when it is not to", () => {
    const { clock, stalls, end, pass } = watching();
    end();
    clock.pause();
    pass(5_000);
    clock.resume();
    pass(5_000);
    expect(stalls).toEqual([]);
  });
});

test("a wall clock that steps ahead while the monotonic one does not is a stall too", () => {
  const timeline = new Timeline();
  const clock = new SimulatedClock(timeline);
  let aheadMs = 0;
  const stepping = {
    nowMs: () => clock.nowMs() + aheadMs,
    monotonicMs: () => clock.monotonicMs(),
    after: (ms: number, run: () => void) => clock.after(ms, run),
    sleep: (ms: number) => clock.sleep(ms),
    turn: () => clock.turn(),
  };
  const stalls: number[] = [];
  watchStalls(stepping, (ms) => stalls.push(ms));
  timeline.schedule(1_100, () => aheadMs = 60_000);
  for (let steps = 0; steps < 20; steps++) timeline.step();
  expect(stalls).toEqual([60_000]);
});
