import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { Failure } from "../../../src/base/failure.ts";
import { Appender } from "../../../src/replica/appender.ts";
import { type Chain, epochKey, type Tip } from "../../../src/replica/chain.ts";
import { Bench } from "./bench.ts";
import { answerLost, fails, held } from "./scripted-store.ts";

let bench: Bench;
let chain: Chain;
let appender: Appender;
let refusals: number;

beforeEach(() => {
  bench = new Bench();
  chain = { store: bench.store, layout: "s3", name: "orders" };
  refusals = 0;
  appender = new Appender(bench.node().parts, chain, tip(4), () => void refusals++);
});
afterEach(() => bench.close());

function tip(epoch: number): Tip {
  return { epoch, fileChecksum: BigInt(epoch), databaseChecksum: 0n, timestampMs: 1_000 * epoch };
}

const bytes = (epoch: number, who = "mine") => new TextEncoder().encode(`${who} ${epoch}`);
const append = (epoch: number) => appender.append(tip(epoch), bytes(epoch));
const heads = () => bench.store.count("head");
const isPending = async (promise: Promise<unknown>) =>
  await Promise.race([promise.then(() => false, () => false), Promise.resolve(true)]);

describe("an append", () => {
  test("creates the epoch after the tip, which is the tip then", async () => {
    expect(await append(5)).toEqual({ outcome: "won", everUnknown: false });
    expect(appender.tip).toEqual(tip(5));
    expect((await bench.store.memory.get(epochKey(chain, 5)))?.bytes).toEqual(bytes(5));
  });

  test("of any other number than tip + 1 is a bug [I2]", async () => {
    for (const epoch of [3, 4, 6]) {
      const { message } = await bench.failure(append(epoch));
      expect(message).toContain(`append of epoch ${epoch} of orders with tip 4`);
    }
    expect(bench.store.sent).toEqual([]);
  });

  test("is the only one in flight: a second one is a bug, and is not sent [I2]", async () => {
    const create = held();
    bench.store.next("create", create.fate);
    const first = append(5);
    expect((await bench.failure(append(5))).message).toContain("in flight: true");
    expect((await bench.failure(append(6))).kind).toBe("bug");
    create.release();
    expect((await bench.settle(first)).outcome).toBe("won");
    expect(bench.store.count("create")).toBe(1);
  });

  test("whose answer was lost is still in flight until it was read back [I2, I7]", async () => {
    bench.store.next("create", answerLost);
    const look = held();
    bench.store.next("get", look.fate);
    const first = append(5);
    await bench.settle(look.arrived);
    expect((await bench.failure(append(6))).kind).toBe("bug");
    look.release();
    expect(await bench.settle(first)).toEqual({ outcome: "won", everUnknown: true });
    expect(appender.tip.epoch).toBe(5);
  });

  test("that another node's epoch refuses is lost, and nobody was in doubt [I7]", async () => {
    await bench.store.memory.create(epochKey(chain, 5), bytes(5, "theirs"));
    expect(await append(5)).toEqual({ outcome: "lost", everUnknown: false });
    expect((await bench.failure(appender.prove())).kind).toBe("elsewhere");
    expect(appender.tip.epoch).toBe(4);
  });

  test("that was lost after an unknown outcome says so [I8]", async () => {
    bench.store.next("create", async () => {
      await bench.store.memory.create(epochKey(chain, 5), bytes(5, "theirs"));
      throw new Failure("uncertain", "time-out");
    });
    expect(await bench.settle(append(5))).toEqual({ outcome: "lost", everUnknown: true });
  });

  test("ends when the appender is closed, however long the store fails", async () => {
    bench.store.next("create", fails("uncertain"), { times: 1_000 });
    bench.store.next("get", fails("unavailable"), { times: 1_000 });
    const running = append(5);
    bench.pass(60_000);
    appender.close(new Failure("unavailable", "stopping"));
    expect((await bench.failure(running)).kind).toBe("uncertain");
  });
});

describe("a proof", () => {
  test("is one HEAD of tip + 1 that says absent, and all waiting reads share it", async () => {
    const head = held();
    bench.store.next("head", head.fate);
    const first = appender.prove();
    await bench.settle(head.arrived);
    // They came after it was sent, so it proves nothing for them.
    const later = [appender.prove(), appender.prove(), appender.prove()];
    head.release();
    expect(await bench.settle(first)).toBe(4);
    expect(await bench.settle(Promise.all(later))).toEqual([4, 4, 4]);
    expect(bench.store.sent).toEqual([`head ${epochKey(chain, 5)}`, `head ${epochKey(chain, 5)}`]);
  });

  test("a HEAD that finds an epoch of somebody else refuses all that wait [I8]", async () => {
    await bench.store.memory.create(epochKey(chain, 5), bytes(5, "theirs"));
    const waiting = [appender.prove(), appender.prove()];
    for (const one of waiting) expect((await bench.failure(one)).kind).toBe("elsewhere");
    expect(refusals).toBe(1);
  });

  test("an append that is created at its first attempt proves reads that came before it", async () => {
    const head = held();
    bench.store.next("head", head.fate);
    const waiting = appender.prove();
    await bench.settle(head.arrived);
    await bench.settle(append(5));
    expect(await bench.settle(waiting)).toBe(5);
    head.release();
    bench.pass(100);
    expect([refusals, heads()]).toEqual([0, 1]);
  });

  test("a HEAD that finds the own append sent since proves nothing, and nobody is refused", async () => {
    const head = held("after");
    bench.store.next("head", head.fate);
    const waiting = appender.prove();
    await bench.settle(head.arrived);
    const create = held("before");
    bench.store.next("create", create.fate);
    const running = append(5);
    await bench.settle(create.arrived);
    // The HEAD is carried out now and sees epoch 5, our own.
    head.release();
    bench.pass(100);
    expect([refusals, await isPending(waiting)]).toEqual([0, true]);
    create.release();
    expect((await bench.settle(running)).outcome).toBe("won");
    expect(await bench.settle(waiting)).toBe(5);
  });

  test("a HEAD that said absent before the append was sent proves nothing once it is sent", async () => {
    const head = held("before");
    bench.store.next("head", head.fate);
    const waiting = appender.prove();
    await bench.settle(head.arrived);
    const create = held();
    bench.store.next("create", create.fate);
    const running = append(5);
    head.release();
    bench.pass(100);
    expect(await isPending(waiting)).toBe(true);
    create.release();
    await bench.settle(running);
    expect(await bench.settle(waiting)).toBe(5);
  });

  test("an append won by reading back is no proof: a HEAD sent after it is", async () => {
    bench.store.next("create", answerLost);
    const waiting = appender.prove();
    const running = append(5);
    expect((await bench.settle(running)).outcome).toBe("won");
    expect(await isPending(waiting)).toBe(true);
    expect(await bench.settle(waiting)).toBe(5);
    expect(bench.store.sent.at(-1)).toBe(`head ${epochKey(chain, 6)}`);
  });

  test("an append sent before the read arrived is no proof for it", async () => {
    const create = held();
    bench.store.next("create", create.fate);
    const running = append(5);
    await bench.settle(create.arrived);
    const waiting = appender.prove();
    expect(heads()).toBe(0);
    create.release();
    await bench.settle(running);
    expect(await bench.settle(waiting)).toBe(5);
    expect(bench.store.sent.at(-1)).toBe(`head ${epochKey(chain, 6)}`);
  });

  test("no HEAD is sent while an append is in flight or unresolved [I2]", async () => {
    bench.store.next("create", answerLost);
    const look = held();
    bench.store.next("get", look.fate);
    const running = append(5);
    await bench.settle(look.arrived);
    const waiting = appender.prove();
    bench.pass(1_000);
    expect(heads()).toBe(0);
    look.release();
    await bench.settle(running);
    expect(await bench.settle(waiting)).toBe(5);
  });

  test("a store that does not answer makes it unavailable, and the next may succeed", async () => {
    bench.store.next("head", fails("unavailable"));
    expect((await bench.failure(appender.prove())).kind).toBe("unavailable");
    expect(await bench.settle(appender.prove())).toBe(4);
  });

  test("reads that wait when an append is lost are refused", async () => {
    const create = held();
    bench.store.next("create", create.fate);
    const running = append(5);
    const waiting = appender.prove();
    await bench.store.memory.create(epochKey(chain, 5), bytes(5, "theirs"));
    create.release();
    expect((await bench.settle(running)).outcome).toBe("lost");
    expect((await bench.failure(waiting)).kind).toBe("elsewhere");
  });
});
