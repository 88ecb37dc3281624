import { beforeEach, describe, expect, test } from "bun:test";
import { drainMicrotasks } from "bun:jsc";
import { Failure } from "../../../src/base/failure.ts";
import { DRAIN_MS } from "../../../src/base/limits.ts";
import { silentLog } from "../../../src/base/log.ts";
import { BrokerStates } from "../../../src/server/broker-states.ts";
import { Retirement } from "../../../src/server/retirement.ts";
import type { BrokerState } from "../../../src/members/roster.ts";
import { SimulatedClock, Timeline } from "../../support/simulated-clock.ts";

let timeline: Timeline;
let clock: SimulatedClock;
/** What was asked of the node, in order. */
let done: string[];
let running: number;
let leads: boolean;
/** Whether another node could take the lead. */
let hasSuccessor: boolean;
let states: BrokerStates;

beforeEach(() => {
  timeline = new Timeline();
  clock = new SimulatedClock(timeline);
  done = [];
  running = 0;
  leads = false;
  hasSuccessor = true;
  states = new BrokerStates({
    clock,
    log: silentLog,
    leads: () => leads,
    running: () => running,
    stepDown: async () => {
      await clock.sleep(10);
      if (!leads || !hasSuccessor) return;
      leads = false;
      done.push("stepped down");
    },
    onChange: (state) => void done.push(state),
    onRetire: () => Promise.resolve(void done.push("left the roster")),
    onShutdown: () => void done.push("ended"),
  });
});

/** Lets everything happen that does within that time. */
function pass(ms: number): void {
  const endMs = timeline.nowMs + ms;
  timeline.schedule(ms, () => {});
  drainMicrotasks();
  while (timeline.nowMs < endMs && timeline.step());
}

function order(state: BrokerState): void {
  void states.order(state);
  pass(100);
}

describe("an order", () => {
  test("to drain has a leader step down first, and no new work is taken from then on", () => {
    leads = true;
    void states.order("draining");
    expect(states.takesWork).toBe(true);
    pass(100);
    expect(done).toEqual(["stepped down", "draining"]);
    expect(states.takesWork).toBe(false);
    order("active");
    expect(done.slice(2)).toEqual(["active"]);
    expect(states.takesWork).toBe(true);
  });

  test("to drain is obeyed also where the lead cannot be handed over", () => {
    states = new BrokerStates({
      clock,
      log: silentLog,
      leads: () => true,
      running: () => 0,
      stepDown: () => Promise.reject(new Failure("uncertain", "nobody leads yet")),
      onChange: (state) => void done.push(state),
      onRetire: () => Promise.resolve(),
      onShutdown: () => {},
    });
    order("draining");
    expect(done).toEqual(["draining"]);
    order("active");
    expect(states.takesWork).toBe(true);
  });

  test("that is given again does nothing", () => {
    order("draining");
    order("draining");
    expect(done).toEqual(["draining"]);
  });

  for (
    const { state, end } of [
      { state: "shutdown", end: "ended" },
      { state: "retiring", end: "left the roster" },
    ] as const
  ) {
    test(`of ${state} is carried out when nothing runs any more, or a drain's time is over`, () => {
      running = 2;
      order(state);
      pass(DRAIN_MS / 2);
      expect(done).toEqual([state]);
      running = 0;
      pass(100);
      expect(done).toEqual([state, end]);

      order("active");
      running = 1;
      order(state);
      pass(DRAIN_MS - 1_000);
      expect(done).toEqual([state, end, "active", state]);
      pass(1_000);
      expect(done.at(-1)).toBe(end);
    });

    test(`of ${state} is void when another one comes while the node drains`, () => {
      running = 1;
      order(state);
      order("active");
      running = 0;
      pass(2 * DRAIN_MS);
      expect(done).toEqual([state, "active"]);
    });
  }

  test("to retire waits while no other node could lead", () => {
    leads = true;
    hasSuccessor = false;
    order("retiring");
    pass(2 * DRAIN_MS);
    expect(done).toEqual(["retiring"]);
    hasSuccessor = true;
    states.onRoster();
    pass(100);
    expect(done).toEqual(["retiring", "stepped down", "left the roster"]);
  });
});

describe("a node that drains", () => {
  test("and leads for want of others hands the lead over when one comes", () => {
    order("draining");
    leads = true;
    states.onRoster();
    pass(100);
    expect(done).toEqual(["draining", "stepped down"]);
  });

  test("does so from its start where the rows say so, without a word to anybody", () => {
    states.begin("draining");
    pass(100);
    expect({ done, takesWork: states.takesWork }).toEqual({ done: [], takesWork: false });
    order("active");
    expect(done).toEqual(["active"]);
  });
});

test("a process that ends hands over the lead, and obeys no order after that", () => {
  leads = true;
  void states.leave();
  pass(100);
  expect(done).toEqual(["stepped down"]);
  expect({ takesWork: states.takesWork, told: states.state }).toEqual({
    takesWork: false,
    told: "draining",
  });
  order("active");
  expect(states.takesWork).toBe(false);
});

describe("the rows", () => {
  test("want a node that was shut down to drain when it is started again", () => {
    states.read([{ node: "a", state: "shutdown", process: "first" }]);
    expect(states.desired("a", "first")).toBe("shutdown");
    expect(states.desired("a", "second")).toBe("draining");
    expect(states.desired("b", "first")).toBeUndefined();
  });

  test("want every process of a node in all other states", () => {
    for (const state of ["active", "draining", "retiring"] as const) {
      states.read([{ node: "a", state, process: "first" }]);
      expect(states.desired("a", "second")).toBe(state);
    }
  });
});

describe("a node that has retired", () => {
  let row: BrokerState;
  let failures: number;
  /** Another process has its id. */
  let isTaken: boolean;

  function retired(): Retirement {
    row = "retiring";
    failures = 0;
    isTaken = false;
    const fails = () => failures-- > 0;
    return new Retirement({
      clock,
      log: silentLog,
      desired: () =>
        fails() ? Promise.reject(new Failure("unavailable", "no")) : Promise.resolve(row),
      onRecalled: (state) => void done.push(`recalled: ${state}`),
      file: {
        write: () =>
          fails()
            ? Promise.reject(new Failure("unavailable", "no"))
            : Promise.resolve(void done.push("file written")),
        remove: () => Promise.resolve(void done.push("file removed")),
      },
      membership: {
        retire: () => void done.push("left"),
        join: () =>
          isTaken
            ? Promise.reject(new Failure("conflict", "taken"))
            : Promise.resolve(void done.push("joined")),
      },
      onReplaced: ({ message }) => void done.push(`replaced: ${message}`),
    });
  }

  test("has no part in the cluster and no file, and hears its order in its own row", () => {
    const retirement = retired();
    void retirement.leave();
    pass(10_000);
    expect(done).toEqual(["left", "file removed"]);
    expect(retirement.isAway).toBe(true);
    failures = 1;
    pass(1_000);
    row = "active";
    pass(1_000);
    expect(done.slice(2)).toEqual(["recalled: active"]);
    void retirement.end();
    pass(100);
    expect(done.slice(3)).toEqual(["file written", "joined"]);
    expect(retirement.isAway).toBe(false);
    pass(10_000);
    expect(done.slice(5)).toEqual([]);
  });

  test("does not try for ever to come back where another process has its id", () => {
    const retirement = retired();
    void retirement.leave();
    pass(100);
    isTaken = true;
    void retirement.end();
    pass(10_000);
    expect(done.slice(2)).toEqual(["file written", "replaced: taken"]);
  });

  test("comes back as soon as the store lets it", () => {
    const retirement = retired();
    void retirement.leave();
    pass(100);
    failures = 3;
    void retirement.end();
    pass(10_000);
    expect(done.slice(2)).toEqual(["file written", "joined"]);
  });

  test("looks no more when its process ends", () => {
    const retirement = retired();
    retirement.begin();
    retirement.close();
    row = "active";
    pass(10_000);
    expect(done).toEqual([]);
  });
});
