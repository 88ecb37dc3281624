import { beforeEach, describe, expect, test } from "bun:test";
import { systemClock } from "../../../src/base/clock.ts";
import { REMOVE_KEYS_MAX } from "../../../src/base/limits.ts";
import { planRestore } from "../../../src/epoch/plan.ts";
import {
  type Chain,
  COMPACTED_LEVELS,
  hasEpochAfter,
  listLevel,
} from "../../../src/replica/chain.ts";
import { epochAt } from "../../../src/replica/moment.ts";
import { pruneBelow } from "../../../src/replica/prune.ts";
import { EncodedChain } from "./encoded-chain.ts";
import { ScriptedStore } from "./scripted-store.ts";

let store: ScriptedStore;
let made: EncodedChain;
let chain: Chain;

beforeEach(() => {
  store = new ScriptedStore(systemClock);
  made = new EncodedChain(store);
  chain = { store, layout: "s3", name: "orders" };
});

async function objects() {
  return (await Promise.all([0, ...COMPACTED_LEVELS, 9].map((level) => listLevel(chain, level))))
    .flat();
}

const names = async (level: number) =>
  (await listLevel(chain, level)).map(({ min, max }) => (min === max ? `${min}` : `${min}-${max}`));

/** Epochs 1 to 10: 1 and 4 are claims, 6 a tombstone, 7 a claim over it. */
async function tenEpochs(): Promise<void> {
  const kinds = { 4: "claim", 6: "tombstone", 7: "claim", 8: "resignation" } as const;
  for (let epoch = 1; epoch <= 10; epoch++) {
    await made.append({
      kind: kinds[epoch as keyof typeof kinds] ?? (epoch === 1 ? "claim" : "data"),
    });
  }
}

describe("pruning", () => {
  test("leaves claims, tombstones, the snapshot and all from its epoch on [I4, I10]", async () => {
    await tenEpochs();
    await made.snapshot(3);
    await made.snapshot(9);
    await made.compact(1, 2, 3);
    await made.compact(1, 8, 9);
    await made.compact(1, 9, 10);
    // The snapshot at 3, two compacted objects, and epochs 2, 3, 5 and 8.
    expect(await pruneBelow(chain, 9)).toBe(7);
    expect(await names(0)).toEqual(["1", "4", "6", "7", "9", "10"]);
    expect(await names(9)).toEqual(["1-9"]);
    expect(await names(1)).toEqual(["9-10"]);
    expect(planRestore(await objects())).toMatchObject({ kind: "complete", epoch: 10 });
  });

  test("a sleeper's next number is still taken after it [I4]", async () => {
    await tenEpochs();
    await made.snapshot(10);
    await pruneBelow(chain, 10);
    // The owners before the claims at 4 and 7 would append exactly there.
    for (const epoch of [4, 7]) {
      expect(await store.create(made.key(0, epoch), new Uint8Array(8))).toBe("exists");
    }
    expect(await hasEpochAfter(chain, 4)).toBe(true);
  });

  test("may be killed anywhere: what is left can be restored, and a second run ends it [I10]", async () => {
    await tenEpochs();
    await made.snapshot(4);
    await made.snapshot(9);
    store.next("remove", () => Promise.reject(new Error("killed")));
    await expect(pruneBelow(chain, 9)).rejects.toThrow("killed");
    const removed: string[] = [];
    const all = (await objects()).length;
    // Cut off after each number of removals.
    for (let cut = 0; removed.length < 5; cut++) {
      store.next("remove", async () => {
        const found = (await objects()).filter(({ level, max }) => level === 9 && max === 4);
        await store.memory.remove(found.slice(0, cut).map(({ key }) => key));
        removed.push("cut");
        throw new Error("killed");
      });
      await expect(pruneBelow(chain, 9)).rejects.toThrow("killed");
      expect(planRestore(await objects())).toMatchObject({ kind: "complete", epoch: 10 });
    }
    await pruneBelow(chain, 9);
    expect((await objects()).length).toBeLessThan(all);
    expect(await pruneBelow(chain, 9)).toBe(0);
  });

  test("what another node removed meanwhile is no failure", async () => {
    await tenEpochs();
    await made.snapshot(9);
    store.next("getRange", () => Promise.resolve(null), { key: made.key(0, 3) });
    await pruneBelow(chain, 9);
    expect(await names(0)).toContain("3");
    expect(await names(0)).not.toContain("2");
  });

  test("an epoch whose header cannot be read is not removed, and says so", async () => {
    await tenEpochs();
    await made.snapshot(9);
    store.next("getRange", () => Promise.resolve(new Uint8Array(100)), { key: made.key(0, 3) });
    await expect(pruneBelow(chain, 9)).rejects.toMatchObject({ kind: "corrupt" });
    expect((await names(0)).length).toBe(10);
  });

  test("removes in batches that a store takes", async () => {
    await made.appendMany(REMOVE_KEYS_MAX + 5);
    await made.snapshot(made.tip);
    expect(await pruneBelow(chain, made.tip)).toBe(REMOVE_KEYS_MAX + 3);
    expect(store.count("remove ")).toBe(2);
  });
});

describe("the epoch of a moment", () => {
  test("is the newest at or before it, found in few requests", async () => {
    await made.appendMany(40);
    for (const [timeMs, epoch] of [[1_000, 1], [1_999, 1], [2_000, 2], [33_500, 33], [9e9, 40]]) {
      const before = store.count("getRange");
      expect([timeMs, await epochAt(chain, timeMs!)]).toEqual([timeMs, epoch]);
      expect(store.count("getRange") - before).toBeLessThanOrEqual(6);
    }
  });

  test("before the first epoch there is none", async () => {
    await made.appendMany(3);
    await expect(epochAt(chain, 999)).rejects.toMatchObject({ kind: "missing" });
  });

  test("is one that can be restored: the end of a compacted object or a snapshot", async () => {
    await made.appendMany(9);
    await made.snapshot(6);
    await made.compact(1, 7, 9);
    await store.memory.remove([2, 3, 4, 5, 6, 7, 8, 9].map((epoch) => made.key(0, epoch)));
    expect(await epochAt(chain, 6_500)).toBe(6);
    expect(await epochAt(chain, 8_500)).toBe(6);
    expect(await epochAt(chain, 9_000)).toBe(9);
  });

  test("is not a claim that was kept on a pruned part, whatever its time", async () => {
    await tenEpochs();
    await made.snapshot(9);
    await pruneBelow(chain, 9);
    // A stray claim, written long after what is pruned around it.
    const stray = new EncodedChain(store.memory, "other");
    await stray.appendMany(4);
    await stray.append({ kind: "claim", timestampMs: 50_000 });
    const { bytes } = (await store.memory.get(stray.key(0, 5)))!;
    await store.memory.create(made.key(0, 5), bytes);
    for (const [timeMs, epoch] of [[9_500, 9], [10_000, 10], [60_000, 10], [9_000, 9]]) {
      expect([timeMs, await epochAt(chain, timeMs!)]).toEqual([timeMs, epoch]);
    }
    // Rather nothing than the empty database of long before.
    await expect(epochAt(chain, 4_000)).rejects.toMatchObject({ kind: "missing" });
  });
});
