import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { deferred } from "../../../src/base/deferred.ts";
import { Failure } from "../../../src/base/failure.ts";
import { OwnerHarness } from "./owner-harness.ts";
import { answerLost, fails, held } from "./scripted-store.ts";

let bench: OwnerHarness;
beforeEach(() => bench = new OwnerHarness());
afterEach(() => bench.close());

const isPending = async (promise: Promise<unknown>) =>
  await Promise.race([promise.then(() => false, () => false), Bun.sleep(0).then(() => true)]);

describe("an owner", () => {
  test("commits the first write at once, and what comes meanwhile as the next epoch", async () => {
    const create = held();
    bench.store.next("create", create.fate);
    const first = bench.submit("write");
    await bench.settle(create.arrived);
    const later = [bench.submit("write"), bench.submit("write"), bench.submit("fail")];
    bench.pass(100);
    // It executes while the epoch before is in flight, and is neither taken nor sent.
    expect(bench.workspace.executing).toEqual(["write", "write", "fail"]);
    expect([bench.workspace.batches.length, bench.store.count("create")]).toEqual([1, 1]);
    create.release();
    expect(await bench.outcomes([first, ...later])).toEqual([5, 6, 6, "invalid"]);
    expect(bench.workspace.batches).toEqual([["write"], ["write", "write", "fail"]]);
    expect(bench.epochs).toEqual([5, 6]);
  });

  test("answers nothing before its epoch is won, a failure no more than a success [I3]", async () => {
    const create = held("before");
    bench.store.next("create", create.fate);
    const answers = [bench.submit("write"), bench.submit("fail"), bench.submit("read")];
    await bench.settle(create.arrived);
    bench.pass(1_000);
    for (const answer of answers) expect(await isPending(answer)).toBe(true);
    create.release();
    expect(await bench.outcomes(answers)).toEqual([5, "invalid", 5]);
  });

  test("proves that it still owns before it answers a batch that changed no page [I3]", async () => {
    const head = held();
    bench.store.next("head", head.fate);
    const answer = bench.submit("read");
    await bench.settle(head.arrived);
    expect(await isPending(answer)).toBe(true);
    head.release();
    expect(await bench.outcomes([answer])).toEqual([4]);
    expect(bench.store.count("create")).toBe(0);
  });

  test("that was deposed gives no answer from its old state [I3, I8]", async () => {
    await bench.takenByOther(5);
    expect(await bench.outcomes([bench.submit("read"), bench.submit("fail")]))
      .toEqual(["elsewhere", "elsewhere"]);
    expect([bench.fencedTimes, bench.workspace.isClosed]).toEqual([1, true]);
  });

  test("a batch without change whose proof fails is uncertain, and the owner goes on", async () => {
    bench.store.next("head", fails("unavailable"));
    expect(await bench.outcomes([bench.submit("read")])).toEqual(["uncertain"]);
    expect(await bench.outcomes([bench.submit("write")])).toEqual([5]);
  });

  test("answers a batch whose PUT had no answer when it has read it back, and not before [I7]", async () => {
    bench.store.next("create", answerLost);
    const look = held();
    bench.store.next("get", look.fate);
    const answer = bench.submit("write");
    await bench.settle(look.arrived);
    expect(await isPending(answer)).toBe(true);
    look.release();
    expect(await bench.outcomes([answer])).toEqual([5]);
    expect(bench.fencedTimes).toBe(0);
  });

  test("sends the same bytes again while the outcome is unknown [I2]", async () => {
    bench.store.next("create", fails("uncertain"), { times: 3 });
    const answer = bench.submit("write");
    bench.submit("write").catch(() => {});
    expect(await bench.outcomes([answer])).toEqual([5]);
    const stored = await bench.store.memory.get(bench.key(5));
    expect(new TextDecoder().decode(stored!.bytes)).toMatch(/^epoch 5: write/);
    expect(bench.store.count(`create ${bench.key(6)}`)).toBe(0);
  });

  test("what an epoch has no room for comes first in the next", async () => {
    const create = held();
    bench.store.next("create", create.fate);
    const first = bench.submit("write");
    await bench.settle(create.arrived);
    const answers = [bench.submit("write"), bench.submit("large"), bench.submit("fail")];
    create.release();
    expect(await bench.outcomes([first, ...answers])).toEqual([5, 6, 7, "invalid"]);
    expect(bench.workspace.batches.slice(1)).toEqual([["write", "large", "fail"], ["large"]]);
  });

  test("waits for company when it is told to", async () => {
    bench.close();
    bench = new OwnerHarness({
      options: {
        commitIntervalMs: 50,
        epochBytesMax: 1,
        snapshotChainBytesMin: 1,
        snapshotAgeMsMax: 1,
      },
    });
    const first = bench.submit("write");
    bench.pass(40);
    const second = bench.submit("write");
    expect(await bench.outcomes([first, second])).toEqual([5, 5]);
  });

  test("an idle owner sends nothing and has no timer", async () => {
    await bench.outcomes([bench.submit("write")]);
    bench.pass(100);
    const { sent } = bench.store;
    const before = [sent.length, bench.timeline.events];
    while (bench.timeline.step());
    expect(sent.length).toBe(before[0]!);
    expect(bench.timeline.nowMs).toBeLessThan(1_000);
  });
});

describe("a fenced owner", () => {
  test("answers what was sent, what executes and what waits, and is closed [I8]", async () => {
    const create = held();
    bench.store.next("create", create.fate);
    const sent = bench.submit("write");
    await bench.settle(create.arrived);
    const executing = bench.submit("write");
    bench.pass(20);
    await bench.takenByOther(5);
    create.release();
    const late = bench.settle(Bun.sleep(0)).then(() => bench.submit("write"));
    expect(await bench.outcomes([sent, executing, late]))
      .toEqual(["elsewhere", "elsewhere", "elsewhere"]);
    expect([bench.fencedTimes, bench.workspace.isClosed]).toEqual([1, true]);
  });

  test("says uncertain of a batch that had an unknown outcome, elsewhere of the rest [I8]", async () => {
    bench.store.next("create", async () => {
      await bench.takenByOther(5);
      throw new Failure("uncertain", "time-out");
    });
    const look = held();
    bench.store.next("get", look.fate);
    const sent = bench.submit("write");
    await bench.settle(look.arrived);
    const waiting = bench.submit("write");
    look.release();
    expect(await bench.outcomes([sent, waiting])).toEqual(["uncertain", "elsewhere"]);
  });

  test("answers jobs that waited behind the batch that it was executing [I8]", async () => {
    bench.workspace.hold = deferred();
    const write = bench.submit("write");
    bench.pass(10);
    const job = bench.owner.alone(() => Promise.resolve("done"));
    job.catch(() => {});
    bench.pass(10);
    await bench.settle(bench.owner.refused());
    expect(await bench.outcomes([write])).toEqual(["elsewhere"]);
    expect((await bench.failure(job)).kind).toBe("elsewhere");
  });

  test("an append that ends without an outcome ends its ownership: no other follows [I2]", async () => {
    bench.store.next("create", () => Promise.reject(new Error("a bug below")));
    expect(await bench.outcomes([bench.submit("write")])).toEqual(["uncertain"]);
    expect(bench.fencedTimes).toBe(1);
    expect(await bench.outcomes([bench.submit("write")])).toEqual(["elsewhere"]);
    expect(bench.store.count("create")).toBe(1);
  });
});

describe("deadlines of writes", () => {
  test("one that waits is unavailable, one that executes or was sent is uncertain [I7]", async () => {
    const create = held();
    bench.store.next("create", create.fate);
    const sent = bench.submit("write", 300);
    await bench.settle(create.arrived);
    bench.workspace.hold = deferred();
    const executing = bench.submit("write", 400);
    bench.pass(50);
    expect(bench.workspace.executing).toEqual(["write"]);
    bench.pass(1_000);
    expect(await bench.outcomes([sent, executing])).toEqual(["uncertain", "uncertain"]);
    // While the job runs nothing is given to the workspace.
    const done = deferred<void>();
    create.release();
    bench.workspace.hold?.resolve();
    const job = bench.owner.alone(() => done.promise);
    bench.pass(100);
    const waiting = bench.submit("write", 300);
    bench.pass(1_000);
    expect(await bench.outcomes([waiting])).toEqual(["unavailable"]);
    done.resolve();
    await bench.settle(job);
    expect(await bench.outcomes([bench.submit("write")])).toEqual([7]);
  });

  test("a request that the workspace ended is answered at once, the others with their epoch", async () => {
    bench.workspace.hold = deferred();
    const [slow, other] = [bench.submit("write"), bench.submit("read")];
    bench.pass(10);
    bench.workspace.end("write");
    expect(await bench.outcomes([slow])).toEqual(["unavailable"]);
    expect(await isPending(other)).toBe(true);
    bench.workspace.hold?.resolve();
    expect(await bench.outcomes([other])).toEqual([5]);
  });
});
