import { describe, expect, test } from "bun:test";
import { drainMicrotasks } from "bun:jsc";
import { silentLog } from "../../../src/base/log.ts";
import type { Parts } from "../../../src/replica/parts.ts";
import { Poll } from "../../../src/replica/poll.ts";
import { SimulatedClock, Timeline } from "../../support/simulated-clock.ts";

/** A poll whose looks are written down, and answered as the test says. */
function polled(answer: (look: number) => Promise<boolean>) {
  const timeline = new Timeline();
  const clock = new SimulatedClock(timeline);
  const looksMs: number[] = [];
  const parts = { clock, log: silentLog } as unknown as Parts;
  const poll = new Poll(parts, "orders", () => {
    looksMs.push(Math.floor(timeline.nowMs));
    return answer(looksMs.length);
  });
  const until = (ms: number) => {
    clock.after(ms - timeline.nowMs + 0.5, () => {});
    while (timeline.nowMs <= ms && timeline.step());
    drainMicrotasks();
  };
  return { poll, looksMs, until };
}

describe("polling", () => {
  test("backs off from 1 s to 10 s while there is nothing", () => {
    const { poll, looksMs, until } = polled(() => Promise.resolve(false));
    poll.start();
    until(45_000);
    expect(looksMs).toEqual([1_000, 3_000, 7_000, 15_000, 25_000, 35_000, 45_000]);
  });

  test("begins anew at 1 s when something was found", () => {
    const { poll, looksMs, until } = polled((look) => Promise.resolve(look === 3));
    poll.start();
    until(8_000);
    expect(looksMs).toEqual([1_000, 3_000, 7_000, 8_000]);
  });

  test("goes on when a look fails", () => {
    const { poll, looksMs, until } = polled(() => Promise.reject(new Error("no store")));
    poll.start();
    until(7_000);
    expect(looksMs).toEqual([1_000, 3_000, 7_000]);
  });

  test("looks no more after a stop, and once at a time after many starts", () => {
    const { poll, looksMs, until } = polled(() => Promise.resolve(true));
    poll.start();
    poll.start();
    poll.start();
    until(2_000);
    expect(looksMs).toEqual([1_000, 2_000]);
    poll.stop();
    until(9_000);
    expect(looksMs).toHaveLength(2);
  });

  test("one that rests looks once more when it is started while it looks", async () => {
    const first = Promise.withResolvers<boolean>();
    const { poll, looksMs, until } = polled((look) =>
      look === 1 ? first.promise : Promise.resolve(false)
    );
    poll.rest(true);
    poll.start();
    until(500);
    poll.start();
    first.resolve(false);
    until(600);
    until(30_000);
    expect(looksMs).toEqual([0, 1_600]);
    await first.promise;
  });

  test("one that rests looks once when it begins to, when it is started again, and when it is asked", () => {
    const { poll, looksMs, until } = polled(() => Promise.resolve(false));
    poll.start();
    poll.rest(true);
    until(20_000);
    expect(looksMs).toEqual([0]);
    // As when the image has to be read anew.
    poll.start();
    until(30_000);
    expect(looksMs).toEqual([0, 20_000]);
    poll.now();
    until(40_000);
    expect(looksMs).toEqual([0, 20_000, 30_000]);
    poll.rest(false);
    until(44_000);
    expect(looksMs.slice(3)).toEqual([41_000, 43_000]);
  });

  test("one that rests looks until a look succeeds", () => {
    const { poll, looksMs, until } = polled((look) =>
      look < 3 ? Promise.reject(new Error("no store")) : Promise.resolve(false)
    );
    poll.start();
    poll.rest(true);
    until(60_000);
    expect(looksMs).toEqual([0, 1_000, 3_000]);
  });

  test("a look that a stop and a start overtook schedules nothing of its own", () => {
    const gates: ((found: boolean) => void)[] = [];
    const { poll, looksMs, until } = polled(() => new Promise((resolve) => gates.push(resolve)));
    poll.start();
    until(1_000);
    poll.stop();
    poll.start();
    until(1_500);
    gates[0]!(true);
    until(2_000);
    gates[1]!(true);
    until(3_900);
    expect(looksMs).toEqual([1_000, 2_000, 3_000]);
  });
});
