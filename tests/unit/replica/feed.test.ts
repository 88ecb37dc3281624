import { beforeEach, describe, expect, test } from "bun:test";
import { drainMicrotasks } from "bun:jsc";
import { deferred } from "../../../src/base/deferred.ts";
import { BATCH_BYTES_MAX, BATCH_REQUESTS_MAX, FEED_EVERY_MS } from "../../../src/base/limits.ts";
import { Batch } from "../../../src/replica/batch.ts";
import { Feed } from "../../../src/replica/feed.ts";
import { WriteQueue } from "../../../src/replica/write-queue.ts";
import { SimulatedClock, Timeline } from "../../support/simulated-clock.ts";
import { WorkspaceDouble } from "./workspace-double.ts";

let timeline: Timeline;
let queue: WriteQueue;
let batch: Batch;
let feed: Feed;
let workspace: WorkspaceDouble;
/** Resolves what `settled` waits for. */
let settle: () => void;

beforeEach(() => {
  timeline = new Timeline();
  queue = new WriteQueue("orders");
  batch = new Batch("orders");
  feed = new Feed(new SimulatedClock(timeline), queue);
  workspace = new WorkspaceDouble(1);
  workspace.settled = () => {
    const gate = deferred<void>();
    settle = () => {
      gate.resolve();
      drainMicrotasks();
    };
    return gate.promise;
  };
});

function add(count: number, text = "write"): void {
  const request = { statements: [{ sql: text }], subject: "s", deadlineMs: 1e9 };
  for (let at = 0; at < count; at++) queue.add(request);
  feed.more();
}

const given = () => workspace.executing.length;

describe("feeding a batch", () => {
  test("begins at once with what waits", () => {
    add(3);
    feed.open(workspace, batch);
    expect([given(), batch.size, queue.length]).toEqual([3, 3, 0]);
  });

  test("gives nothing more before that has executed, and then at most every few ms", () => {
    add(1);
    feed.open(workspace, batch);
    add(5);
    expect(given()).toBe(1);
    settle();
    expect(given()).toBe(1);
    expect(timeline.step()).toBe(true);
    expect([given(), timeline.nowMs]).toEqual([6, FEED_EVERY_MS]);
  });

  test("takes along what still waits when the batch closes, and nothing after it", () => {
    add(1);
    feed.open(workspace, batch);
    add(5);
    feed.close();
    expect([given(), batch.size, feed.isOpen]).toEqual([6, 6, false]);
    add(2);
    while (timeline.step());
    expect([given(), queue.length]).toEqual([6, 2]);
  });

  test("leaves no timer and no request to the workspace before when it is made anew", () => {
    add(1);
    feed.open(workspace, batch);
    const settleOld = settle;
    feed.reset();
    const [next, other] = [new WorkspaceDouble(1), new Batch("orders")];
    next.settled = workspace.settled;
    add(2);
    feed.open(next, other);
    while (timeline.step());
    const before = next.executing.length;
    add(3);
    // The old one's answer comes late and counts for nothing.
    settleOld();
    while (timeline.step());
    expect([given(), before, next.executing.length]).toEqual([1, 2, 2]);
  });

  test("keeps a batch within its limits of requests and bytes", () => {
    add(BATCH_REQUESTS_MAX + 10);
    feed.open(workspace, batch);
    for (let at = 0; at < 1_000 && queue.length > 10; at++) {
      settle();
      timeline.step();
    }
    settle();
    while (timeline.step());
    expect([batch.size, queue.length]).toEqual([BATCH_REQUESTS_MAX, 10]);
    feed.reset();
    batch = new Batch("orders");
    queue.take(Infinity, Infinity);
    add(3, "x".repeat(BATCH_BYTES_MAX / 2));
    feed.open(workspace, batch);
    settle();
    while (timeline.step());
    feed.close();
    expect([batch.size, queue.length]).toEqual([2, 1]);
  });

  test("gives fewer at a time to a workspace that is slow", () => {
    add(1);
    feed.open(workspace, batch);
    // A second for one request.
    new SimulatedClock(timeline).after(1_000, () => {});
    while (timeline.nowMs < 1_000) timeline.step();
    settle();
    add(100);
    while (timeline.step());
    expect(given()).toBe(2);
  });
});
