import { describe, expect, test } from "bun:test";
import { drainMicrotasks } from "bun:jsc";
import { DRAIN_MS } from "../../../src/base/limits.ts";
import { silentLog } from "../../../src/base/log.ts";
import { BrokerStates } from "../../../src/server/broker-states.ts";
import { SimulatedClock, Timeline } from "../../support/simulated-clock.ts";

function node() {
  const timeline = new Timeline();
  const told: string[] = [];
  const world = { running: 0, stepDown: () => Promise.resolve() };
  const states = new BrokerStates({
    clock: new SimulatedClock(timeline),
    log: silentLog,
    stepDown: () => {
      told.push("step down");
      return world.stepDown();
    },
    running: () => world.running,
    onChange: (state) => told.push(state),
    onShutdown: () => told.push("end"),
  });
  const pass = (ms: number) => {
    let isOver = false;
    timeline.schedule(ms, () => isOver = true);
    drainMicrotasks();
    while (!isOver && timeline.step());
  };
  return { states, told, world, pass };
}

describe("the state that an operator wants a node in", () => {
  test("is obeyed: a node that drains hands the lead over before it takes no more work", async () => {
    const { states, told } = node();
    await states.order("draining");
    await states.order("active");
    expect([told, states.state]).toEqual([["step down", "draining", "active"], "active"]);
  });

  test("is obeyed once, whatever how often it is said", async () => {
    const { states, told } = node();
    await states.order("active");
    await states.order("retiring");
    await states.order("retiring");
    expect(told).toEqual(["step down", "retiring"]);
  });

  test("is obeyed one after another, the last one last", async () => {
    const { states, told, world } = node();
    const handed = Promise.withResolvers<void>();
    world.stepDown = () => handed.promise;
    const orders = [states.order("draining"), states.order("active")];
    expect(states.state).toBe("active");
    handed.resolve();
    await Promise.all(orders);
    expect(told).toEqual(["step down", "draining", "active"]);
  });

  test("is not reached while the lead cannot be handed over, and may be wanted again", async () => {
    const { states, told, world } = node();
    world.stepDown = () => Promise.reject(new Error("no successor"));
    await states.order("draining");
    expect(states.state).toBe("active");
    world.stepDown = () => Promise.resolve();
    await states.order("draining");
    expect([states.state, told.at(-1)]).toEqual(["draining", "draining"]);
  });

  test("shutdown ends the process when nothing runs any more", () => {
    const { states, told, world, pass } = node();
    world.running = 2;
    void states.order("shutdown");
    pass(5_000);
    expect(told).toEqual(["step down", "shutdown"]);
    world.running = 0;
    pass(100);
    expect(told.at(-1)).toBe("end");
  });

  test("shutdown waits no longer than a drain may take", () => {
    const { states, told, world, pass } = node();
    world.running = 1;
    void states.order("shutdown");
    pass(DRAIN_MS - 100);
    expect(told.at(-1)).toBe("shutdown");
    pass(200);
    expect(told.at(-1)).toBe("end");
  });

  test("is what the rows of system say, and nothing for whom they do not name", () => {
    const { states } = node();
    states.read([{ node: "n2", state: "draining" }, { node: "n3", state: "retiring" }]);
    states.read([{ node: "n3", state: "active" }]);
    expect([states.desired("n2"), states.desired("n3")]).toEqual([undefined, "active"]);
  });
});
