import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { deferred } from "../../../src/base/deferred.ts";
import { Failure } from "../../../src/base/failure.ts";
import { OwnerHarness } from "./owner-harness.ts";
import { held } from "./scripted-store.ts";

let bench: OwnerHarness;
beforeEach(() => bench = new OwnerHarness());
afterEach(() => bench.close());

describe("a workspace that fails", () => {
  test("is made anew once nothing is in flight; its batch was not sent, so nothing was done", async () => {
    const old = bench.workspace;
    old.hold = deferred();
    const write = bench.submit("write");
    bench.pass(10);
    old.hold.reject(new Error("the child died"));
    expect(await bench.outcomes([write])).toEqual(["unavailable"]);
    expect([old.isClosed, bench.workspace === old]).toEqual([true, false]);
    expect(await bench.outcomes([bench.submit("write")])).toEqual([5]);
  });

  test("leaves none behind when the chain is lost while a new one is made", async () => {
    const old = bench.workspace;
    old.hold = deferred();
    const write = bench.submit("write");
    bench.pass(10);
    const reopens = deferred<void>();
    bench.reopens = reopens.promise;
    old.hold.reject(new Error("the child died"));
    expect(await bench.outcomes([write])).toEqual(["unavailable"]);
    bench.pass(10);
    await bench.settle(bench.owner.refused());
    reopens.resolve();
    bench.pass(10);
    expect([bench.workspace === old, bench.workspace.isClosed]).toEqual([false, true]);
  });

  test("is tried again each second while it cannot be made, and writes are answered", async () => {
    bench.workspace.hold = deferred();
    const first = bench.submit("write");
    bench.pass(10);
    bench.reopenFails = new Error("no memory");
    bench.workspace.hold.reject(new Error("the child died"));
    expect(await bench.outcomes([first])).toEqual(["unavailable"]);
    const second = bench.submit("write");
    bench.pass(3_000);
    expect(await bench.outcomes([second])).toEqual(["unavailable"]);
    bench.reopenFails = null;
    const third = bench.submit("write");
    bench.pass(3_000);
    expect(await bench.outcomes([third, bench.submit("write")])).toContain(5);
  });
});

describe("a job alone", () => {
  test("runs when nothing is in flight, nothing executes meanwhile, and the workspace is new after", async () => {
    const create = held();
    bench.store.next("create", create.fate);
    const before = bench.submit("write");
    await bench.settle(create.arrived);
    const old = bench.workspace;
    let ran = 0;
    const done = deferred<void>();
    const job = bench.owner.alone(() => {
      ran++;
      return done.promise;
    });
    bench.pass(100);
    expect(ran).toBe(0);
    create.release();
    expect(await bench.outcomes([before])).toEqual([5]);
    bench.pass(100);
    expect(ran).toBe(1);
    const after = bench.submit("write");
    bench.pass(100);
    expect(old.executing).toEqual([]);
    done.resolve();
    await bench.settle(job);
    expect(await bench.outcomes([after])).toEqual([6]);
    expect([old.isClosed, bench.workspace.batches]).toEqual([true, [["write"]]]);
  });

  test("that fails is its caller's failure, and the owner goes on", async () => {
    const job = bench.owner.alone(() => Promise.reject(new Failure("too_large", "6 GiB")));
    expect((await bench.failure(job)).kind).toBe("too_large");
    expect(await bench.outcomes([bench.submit("write")])).toEqual([5]);
    expect(bench.fencedTimes).toBe(0);
  });

  test("that is in doubt about the chain ends the ownership", async () => {
    const job = bench.owner.alone(() => Promise.reject(new Failure("uncertain", "who knows")));
    expect((await bench.failure(job)).kind).toBe("uncertain");
    expect(bench.fencedTimes).toBe(1);
  });
});

describe("an owner that stops", () => {
  test("answers the append in flight with its outcome, and refuses what waits", async () => {
    const create = held();
    bench.store.next("create", create.fate);
    const sent = bench.submit("write");
    await bench.settle(create.arrived);
    const executing = bench.submit("write");
    bench.pass(10);
    const stopped = bench.owner.stop(new Failure("unavailable", "stopping"));
    bench.pass(1_000);
    create.release();
    await bench.settle(stopped);
    expect(await bench.outcomes([sent, executing])).toEqual([5, "unavailable"]);
    expect([bench.fencedTimes, bench.workspace.isClosed]).toEqual([0, true]);
    expect(bench.store.count("create")).toBe(1);
  });

  test("waits ten seconds for an outcome, and then says that it does not know", async () => {
    const create = held();
    bench.store.next("create", create.fate);
    const sent = bench.submit("write");
    await bench.settle(create.arrived);
    await bench.settle(bench.owner.stop(new Failure("unavailable", "stopping")));
    expect(bench.timeline.nowMs).toBeGreaterThan(9_900);
    expect(await bench.outcomes([sent])).toEqual(["uncertain"]);
  });

  test("answers at its deadline whoever waits for an append that hangs [I7]", async () => {
    const create = held();
    bench.store.next("create", create.fate);
    const sent = bench.submit("write", 2_000);
    await bench.settle(create.arrived);
    void bench.owner.stop(new Failure("unavailable", "stopping"));
    bench.pass(1_000);
    let heard = "nothing";
    sent.catch((error) => heard = error.kind);
    bench.pass(1_500);
    expect(heard).toBe("uncertain");
  });

  test("refuses everything after a drop, and still owns", async () => {
    bench.owner.retire(new Failure("missing", "dropped"));
    expect(await bench.outcomes([bench.submit("write")])).toEqual(["missing"]);
    expect(bench.fencedTimes).toBe(0);
  });
});
