import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { Failure } from "../../../src/base/failure.ts";
import { createLog } from "../../../src/base/log.ts";
import { objectKey } from "../../../src/epoch/key.ts";
import type { Replica } from "../../../src/replica/replica.ts";
import { Bench } from "./bench.ts";
import { fails, held } from "./scripted-store.ts";

let bench: Bench;
let owner: Replica;
let follower: Replica;
let log: string[];
beforeEach(async () => {
  bench = new Bench();
  log = [];
  owner = await bench.create(bench.node("n1"));
  await bench.execute(owner, "CREATE TABLE t(x)");
  const write = (line: string) => void log.push(line);
  const node = bench.node("n2", {
    log: createLog({ level: "info", format: "text", nowMs: () => 0, write }),
  });
  node.systemClaim = null;
  follower = await bench.open(node);
});
afterEach(() => bench.close());

const key = (epoch: number) => objectKey("s3", "orders", 0, epoch, epoch);

/** Epoch 3 with one bit flipped. Answers its bytes as they were written. */
async function damageNext(): Promise<Uint8Array> {
  await bench.execute(owner, "INSERT INTO t VALUES (1)");
  const { bytes } = (await bench.store.memory.get(key(3)))!;
  const flipped = bytes.slice();
  flipped[bytes.length >> 1]! ^= 8;
  await put(flipped);
  return bytes;
}

async function put(bytes: Uint8Array): Promise<void> {
  await bench.store.memory.remove([key(3)]);
  await bench.store.memory.create(key(3), bytes);
}

/** The head that readers get, or why they get none. */
function served(): number | { kind: string; message: string } {
  try {
    return follower.image.head.epoch;
  } catch (error) {
    const { kind, message } = error as Failure;
    return { kind, message };
  }
}

describe("a chain that is damaged in the store", () => {
  test("is not served, and the answer and the log name the object and the cause [I9]", async () => {
    await damageNext();
    bench.pass(2_000);
    expect(follower.state).toBe("corrupt");
    const why = `Cannot decode ${key(3)}: at byte \\d+: .+`;
    const message = expect.stringMatching(
      new RegExp(`^Cannot read orders: its replica is corrupt: ${why}`),
    );
    expect(served()).toEqual({ kind: "corrupt", message });
    expect(await bench.failure(follower.claim(9))).toEqual({ kind: "corrupt", message });
    expect(log.find((line) => line.includes("error the chain is damaged"))).toContain(key(3));
  });

  test("is looked at again without a restart, and served once the right bytes are back", async () => {
    const bytes = await damageNext();
    bench.pass(60_000);
    expect(follower.state).toBe("corrupt");
    await put(bytes);
    bench.pass(11_000);
    expect([follower.state, served()]).toEqual(["following", 3]);
    expect(await bench.read(follower, "SELECT x FROM t")).toEqual([1]);
    await bench.execute(owner, "INSERT INTO t VALUES (2)");
    bench.pass(11_000);
    expect(await bench.read(follower, "SELECT x FROM t")).toEqual([1, 2]);
    expect(log.filter((line) => line.includes("error the chain is damaged"))).toHaveLength(1);
    expect(log.filter((line) => line.includes("the chain is whole again"))).toHaveLength(1);
  });

  test("is read some times a minute and no oftener, however many want to write", async () => {
    await damageNext();
    bench.pass(20_000);
    const before = bench.store.count(`list ${key(3).split("/0000/")[0]}`);
    for (let second = 0; second < 60; second++) {
      expect((await bench.failure(follower.claim(9))).kind).toBe("corrupt");
      bench.pass(1_000);
    }
    // Two readings each time, of five levels each.
    const reads = (bench.store.count(`list ${key(3).split("/0000/")[0]}`) - before) / 10;
    expect(reads).toBeGreaterThanOrEqual(5);
    expect(reads).toBeLessThanOrEqual(7);
  });

  test("stays what it is while the store does not answer", async () => {
    const bytes = await damageNext();
    bench.pass(2_000);
    bench.store.next("list", fails("unavailable"), { times: 3 });
    await put(bytes);
    bench.pass(3_000);
    expect([follower.state, served()]).toMatchObject(["corrupt", { kind: "corrupt" }]);
    bench.pass(60_000);
    expect([follower.state, served()]).toEqual(["following", 3]);
  });

  test("that becomes whole while the replica is closed leaves no image behind", async () => {
    const bytes = await damageNext();
    bench.pass(2_000);
    await put(bytes);
    const list = held("before");
    bench.store.next("list", list.fate);
    const reading = follower.follow();
    await bench.settle(list.arrived);
    await bench.settle(follower.close(new Failure("unavailable", "closing")));
    list.release();
    await bench.settle(reading);
    expect(follower.state).toBe("closed");
    const files = bench.images.map(({ path }) => Bun.file(path).size);
    // The owner's, the one that did not fit, the one that came too late.
    expect(files.map((size) => size > 0)).toEqual([true, false, false]);
  });
});
