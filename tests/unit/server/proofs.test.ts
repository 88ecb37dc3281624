import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { seededRandom } from "../../../src/base/random.ts";
import { brokerKey } from "../../../src/epoch/key.ts";
import { BrokerRecord } from "../../../src/server/broker-record.ts";
import { claimId, Proofs } from "../../../src/server/proofs.ts";
import { LeadershipBench } from "./leadership-harness.ts";
import { fails } from "../replica/scripted-store.ts";

let bench: LeadershipBench;
let proofs: Proofs;
beforeEach(() => {
  bench = new LeadershipBench();
  proofs = new Proofs(bench.store, "s3");
});
afterEach(() => bench.close());

const FACTS = {
  node: "n2",
  address: "http://n2",
  peer_address: "n2:8443",
  zone: "",
  roles: [],
  state: "active",
  version: "1",
};

function record(nonce: string): Promise<void> {
  const { store, clock } = bench;
  const file = new BrokerRecord({
    store,
    clock,
    random: seededRandom(4),
    isSelfAt: () => Promise.resolve(false),
  });
  return bench.settle(file.write({ ...FACTS, nonce }));
}

describe("that a process is of this cluster [I13]", () => {
  test("is proved by its nonce in its file in this node's own store", async () => {
    await record("drawn by n2");
    expect(await proofs.process("n2", "drawn by n2")).toBe(true);
    expect(await proofs.process("n2", "drawn by another")).toBe(false);
    expect(await proofs.process("n3", "drawn by n2")).toBe(false);
  });

  test("is asked of the store once for each process, however many ask", async () => {
    await record("drawn by n2");
    const before = bench.store.sent.length;
    const both = [proofs.process("n2", "drawn by n2"), proofs.process("n2", "drawn by n2")];
    expect(await Promise.all(both)).toEqual([true, true]);
    expect(await proofs.process("n2", "drawn by n2")).toBe(true);
    expect(bench.store.sent.slice(before)).toEqual([`get ${brokerKey("n2")}`]);
  });

  test("is asked again where it was not there, or could not be told", async () => {
    expect(await proofs.process("n2", "drawn by n2")).toBe(false);
    await record("drawn by n2");
    bench.store.next("get", fails("unavailable"), { key: brokerKey("n2") });
    await expect(proofs.process("n2", "drawn by n2")).rejects.toMatchObject({
      kind: "unavailable",
    });
    expect(await proofs.process("n2", "drawn by n2")).toBe(true);
  });
});

describe("that a leader is of this cluster [I13]", () => {
  test("is proved by the random number of its claim, at its number, in this node's store", async () => {
    const { system } = await bench.started("n1");
    const id = claimId(system.claimId);
    expect(id).toMatch(/^[0-9a-f]{16}$/);
    expect(await proofs.claim(1, id)).toBe(true);
    expect(await proofs.claim(1, claimId(system.claimId + 1n))).toBe(false);
    expect(await proofs.claim(2, id)).toBe(false);
  });

  test("is not proved by an epoch that is no claim", async () => {
    const { system } = await bench.started("n1");
    await bench.settle(
      system.execute({ ...bench.write("CREATE TABLE t (a)"), trusted: true }),
    );
    expect(await proofs.claim(2, claimId(system.claimId))).toBe(false);
  });
});
