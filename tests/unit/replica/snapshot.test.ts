import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { decodeHeader } from "../../../src/epoch/header.ts";
import { objectKey } from "../../../src/epoch/key.ts";
import type { Parts } from "../../../src/replica/parts.ts";
import type { Replica } from "../../../src/replica/replica.ts";
import { snapshotDue } from "../../../src/replica/snapshot.ts";
import { Bench, type Node } from "./bench.ts";
import { answerLost, fails, held } from "./scripted-store.ts";

let bench: Bench;
beforeEach(() => bench = new Bench());
afterEach(() => bench.close());

const key = (epoch: number) => objectKey("s3", "orders", 9, 1, epoch);

async function owned(options: Partial<Parts["options"]> = {}): Promise<[Replica, Node]> {
  const plain = bench.node();
  const node = bench.node("n1", { options: { ...plain.parts.options, ...options } });
  const owner = await bench.create(node);
  await bench.execute(owner, "CREATE TABLE t(x)");
  return [owner, node];
}

describe("a snapshot is due", () => {
  const options = { snapshotChainBytesMin: 16, snapshotAgeMsMax: 1_000 };
  const facts = { chainBytes: 0, databaseBytes: 100, snapshotAgeMs: 0, epochs: 1 };

  test("when the chain outgrew the database and the least size", () => {
    expect(snapshotDue({ ...facts, chainBytes: 100 }, options)).toBe(false);
    expect(snapshotDue({ ...facts, chainBytes: 101 }, options)).toBe(true);
    expect(snapshotDue({ ...facts, chainBytes: 16, databaseBytes: 4 }, options)).toBe(false);
    expect(snapshotDue({ ...facts, chainBytes: 17, databaseBytes: 4 }, options)).toBe(true);
  });

  test("when the last one is old, but never without an epoch since", () => {
    expect(snapshotDue({ ...facts, snapshotAgeMs: 1_000 }, options)).toBe(false);
    expect(snapshotDue({ ...facts, snapshotAgeMs: 1_001 }, options)).toBe(true);
    expect(snapshotDue({ ...facts, snapshotAgeMs: 9e9, epochs: 0 }, options)).toBe(false);
  });
});

describe("a snapshot", () => {
  test("is the database at its epoch, read back and compared before anybody hears of it [I10]", async () => {
    const [owner, node] = await owned();
    const reading = held();
    bench.store.next("getRange", reading.fate, { key: "/0009/" });
    const snapshot = owner.snapshotNow();
    await bench.settle(reading.arrived);
    expect([owner.backup.epoch, node.snapshots]).toEqual([0, []]);
    reading.release();
    expect(await bench.settle(snapshot)).toBe(2);
    expect([owner.backup.epoch, node.snapshots]).toEqual([2, [2]]);
    const stored = await bench.store.memory.get(key(2));
    // It holds claims, so it must not pass for plain data [I4].
    expect(decodeHeader(stored!.bytes, key(2))).toMatchObject({ minEpoch: 1, kind: "claim" });
    expect(readdirSync(bench.directory).filter((name) => name.startsWith("snapshot"))).toEqual([]);
  });

  test("does not hold up writes, and is of the epoch at which it began", async () => {
    const [owner] = await owned();
    const creating = held();
    bench.store.next("create", creating.fate, { key: "/0009/" });
    const snapshot = owner.snapshotNow();
    await bench.settle(creating.arrived);
    expect(await bench.execute(owner, "INSERT INTO t VALUES (1)")).toBe(3);
    creating.release();
    expect(await bench.settle(snapshot)).toBe(2);
  });

  test("asked for while an earlier one is under way is of the head all the same", async () => {
    const [owner, node] = await owned();
    const creating = held();
    bench.store.next("create", creating.fate, { key: "/0009/" });
    const first = owner.snapshotNow();
    await bench.settle(creating.arrived);
    await bench.execute(owner, "INSERT INTO t VALUES (1)");
    bench.pass(100);
    const second = owner.snapshotNow();
    creating.release();
    expect(await bench.settle(Promise.all([first, second]))).toEqual([2, 3]);
    expect(node.snapshots).toEqual([2, 3]);
  });

  test("that is not what its epoch was is refused, and counts for nothing [I10]", async () => {
    const [owner, node] = await owned();
    const head = objectKey("s3", "orders", 0, 2, 2);
    const { bytes } = (await bench.store.memory.get(head))!;
    bench.store.next("getRange", () => {
      const other = bytes.slice(0, 100);
      other[80]! ^= 1;
      return Promise.resolve(other);
    }, { key: head });
    const { kind, message } = await bench.failure(owner.snapshotNow());
    expect([kind, message.includes(key(2)), message.includes(head)]).toEqual([
      "corrupt",
      true,
      true,
    ]);
    expect([owner.backup.epoch, node.snapshots]).toEqual([0, []]);
  });

  test("whose answer was lost is read back like anything else", async () => {
    const [owner] = await owned();
    bench.store.next("create", answerLost, { key: "/0009/" });
    expect(await bench.settle(owner.snapshotNow())).toBe(2);
    expect(bench.store.count("create databases/orders/0009")).toBe(1);
  });

  test("is written by itself when it is due, and not again right after a failure", async () => {
    const [owner, node] = await owned({ snapshotChainBytesMin: 1, snapshotAgeMsMax: 1 });
    const blob = "INSERT INTO t VALUES (randomblob(30000))";
    bench.store.next("list", () => Promise.reject(new Error("unused")), { times: 0 });
    bench.store.next("getRange", fails("unavailable"), { key: "/0009/", times: 1 });
    await bench.execute(owner, blob);
    await bench.execute(owner, blob);
    bench.pass(5_000);
    const tried = bench.store.count("create databases/orders/0009");
    expect(tried).toBeGreaterThan(0);
    for (let at = 0; at < 3; at++) await bench.execute(owner, blob);
    bench.pass(5_000);
    const { length } = node.snapshots;
    bench.pass(61_000);
    await bench.execute(owner, blob);
    bench.pass(5_000);
    expect(node.snapshots.length).toBeGreaterThan(length);
  });
});
