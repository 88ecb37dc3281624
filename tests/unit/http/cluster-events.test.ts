import { expect, test } from "bun:test";
import { drainMicrotasks } from "bun:jsc";
import { Failure } from "../../../src/base/failure.ts";
import { ClusterEvents } from "../../../src/http/cluster-events.ts";
import type { HttpParts } from "../../../src/http/parts.ts";
import { SimulatedClock, Timeline } from "../../support/simulated-clock.ts";

function watched() {
  const timeline = new Timeline();
  const watchers = new Set<() => void>();
  const node = {
    id: "n1",
    isDraining: false,
    systemEpoch: () => 3,
    cluster: {
      status: () => ({ term: 1 }),
      watch: (changed: () => void) => {
        watchers.add(changed);
        return () => watchers.delete(changed);
      },
    },
  };
  const clock = new SimulatedClock(timeline);
  const events = new ClusterEvents({ clock, node } as unknown as HttpParts);
  const caller = { isKnown: true };
  const reader = events.answer(() => {
    if (!caller.isKnown) throw new Failure("denied", "revoked");
  }).body!.getReader();
  const read = async () => {
    const { value, done } = await reader.read();
    return done ? "the end" : new TextDecoder().decode(value);
  };
  const pass = (ms: number) => {
    let isOver = false;
    timeline.schedule(ms, () => isOver = true);
    while (!isOver && timeline.step()) drainMicrotasks();
  };
  return { node, caller, watchers, read, pass };
}

const STATUS = 'event: status\ndata: {"term":1}\n\n';

test("a watcher gets the status at once, after each change, and a comment now and then", async () => {
  const { watchers, read, pass } = watched();
  expect(await read()).toBe(STATUS);
  for (const changed of watchers) changed();
  pass(100);
  expect(await read()).toBe(STATUS);
  pass(20_000);
  expect(await read()).toBe(": alive\n\n");
});

test("a watcher whose token was revoked hears no more", async () => {
  const { caller, watchers, read, pass } = watched();
  expect(await read()).toBe(STATUS);
  caller.isKnown = false;
  for (const changed of watchers) changed();
  pass(100);
  expect(await read()).toBe("the end");
  expect(watchers.size).toBe(0);
});

test("a watcher hears that the node drains, and is let go", async () => {
  const { node, watchers, read, pass } = watched();
  expect(await read()).toBe(STATUS);
  node.isDraining = true;
  for (const changed of watchers) changed();
  pass(100);
  expect(await read()).toBe(STATUS);
  expect(await read()).toBe("the end");
  expect(watchers.size).toBe(0);
});
