import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { Failure } from "../../../src/base/failure.ts";
import { silentLog } from "../../../src/base/log.ts";
import { LEADER_KEY, objectKey } from "../../../src/epoch/key.ts";
import { seededRandom } from "../../../src/base/random.ts";
import { Replica } from "../../../src/replica/replica.ts";
import { LeaderHeartbeat, readLeaderFile } from "../../../src/server/cluster-files.ts";
import { Leadership } from "../../../src/server/leadership.ts";
import type { Presence } from "../../../src/server/probe-address.ts";
import { Bench } from "../replica/bench.ts";
import { fails, held } from "../replica/scripted-store.ts";

interface Process {
  readonly id: string;
  readonly system: Replica;
  readonly leadership: Leadership;
  /** Each time that it began to lead: whether it was another node that led before. */
  readonly led: boolean[];
  readonly replaced: Failure[];
  readonly probes: string[];
}

let bench: Bench;
/** Who is at an address; refused where nobody is. */
let present: Map<string, Presence>;
let onLead: () => Promise<void>;
beforeEach(() => {
  bench = new Bench();
  present = new Map();
  onLead = () => Promise.resolve();
});
afterEach(() => bench.close());

async function process(id: string, options: { address?: string; eligible?: boolean } = {}) {
  const { store, clock } = bench;
  const node = { id, address: options.address ?? `http://${id}` };
  const { parts } = bench.node(id, { node });
  const led: boolean[] = [];
  const replaced: Failure[] = [];
  const probes: string[] = [];
  const leadership: Leadership = new Leadership({
    store,
    clock,
    log: silentLog,
    node,
    peerAddress: `${id}:8443`,
    eligible: options.eligible ?? true,
    heartbeat: new LeaderHeartbeat({ store, clock, random: seededRandom(id.length) }),
    heartbeatMs: 30_000,
    staleMs: 120_000,
    onLead: async (isSuccessor) => {
      await onLead();
      led.push(isSuccessor);
    },
    onReplaced: (failure) => void replaced.push(failure),
    probe: (address) => {
      probes.push(address);
      return Promise.resolve(present.get(address) ?? { kind: "refused" });
    },
  });
  const hooks = {
    systemClaim: () => leadership.claim,
    onFenced: () => leadership.deposed(),
    onSnapshot: () => {},
  };
  const open = async () =>
    await Replica.open(parts, "system", hooks) ??
      await Replica.create(parts, "system", 4096, hooks);
  const system = await bench.settle(open());
  return { id, system: system!, leadership, led, replaced, probes } satisfies Process;
}

/** It runs, and answers at its address. */
async function started(id: string, options: { address?: string; eligible?: boolean } = {}) {
  const made = await process(id, options);
  await bench.settle(made.leadership.start(made.system));
  present.set(options.address ?? `http://${id}`, { kind: "answered", node: id });
  return made;
}

/** The process is killed: its address refuses. */
function kill({ id, leadership, system }: Process): void {
  present.delete(`http://${id}`);
  void leadership.close();
  void system.close(new Failure("unavailable", "killed"));
}

const claims = async ({ system }: Process) =>
  await bench.read(system, "SELECT node FROM _headgate_claims ORDER BY epoch");

describe("a node that starts", () => {
  test("on an empty store leads by the claim that made the chain", async () => {
    const one = await started("n1");
    expect([one.leadership.claim, one.system.tip, one.led]).toEqual([1, 1, [false]]);
    bench.pass(100);
    expect(await readLeaderFile(bench.store)).toMatchObject({ node: "n1", term: 1, epoch: 1 });
  });

  test("as the last owner claims at once, and asks nobody", async () => {
    kill(await started("n1"));
    const again = await started("n1");
    expect([again.leadership.claim, again.led, again.probes]).toEqual([2, [false], []]);
  });

  test("as the last owner, with its old address taken by its own id, must not start", async () => {
    await started("n1");
    const second = await process("n1", { address: "http://elsewhere" });
    const { kind, message } = await bench.failure(second.leadership.start(second.system));
    expect(kind).toBe("conflict");
    expect(message).toContain("the node id n1 is in use at http://n1");
  });

  test("as the last owner on a new address claims when nobody is at the old one", async () => {
    kill(await started("n1"));
    const again = await started("n1", { address: "http://moved" });
    expect([again.leadership.claim, again.probes]).toEqual([2, ["http://n1"]]);
  });

  test("and is not eligible never claims", async () => {
    kill(await started("n1"));
    const guest = await started("n2", { eligible: false });
    bench.pass(3_600_000);
    expect([guest.leadership.claim, guest.led]).toEqual([null, []]);
  });
});

describe("a standby", () => {
  test("claims within a second when the owner's address refuses twice", async () => {
    kill(await started("n1"));
    const two = await started("n2");
    bench.pass(1_000);
    expect([two.leadership.claim, two.led]).toEqual([2, [true]]);
    expect(await claims(two)).toEqual(["n1", "n2"]);
  });

  test("leaves an owner alone that answers and beats, for hours", async () => {
    const one = await started("n1");
    const two = await started("n2");
    bench.pass(3 * 3_600_000);
    expect([one.leadership.claim, two.leadership.claim]).toEqual([1, null]);
    expect(two.probes.length).toBeGreaterThan(1_000);
  });

  test("claims when another node answers at the owner's address", async () => {
    kill(await started("n1"));
    present.set("http://n1", { kind: "answered", node: "n7" });
    const two = await started("n2");
    bench.pass(500);
    expect(two.leadership.claim).toBe(2);
  });

  test("waits 120 s of silence without a heartbeat, and no longer", async () => {
    kill(await started("n1"));
    present.set("http://n1", { kind: "silent" });
    const two = await started("n2");
    bench.pass(119_000);
    expect(two.leadership.claim).toBeNull();
    bench.pass(3_000);
    expect(two.leadership.claim).toBe(2);
  });

  test("leaves a silent owner alone whose heartbeat moves", async () => {
    await started("n1");
    present.set("http://n1", { kind: "silent" });
    const two = await started("n2");
    bench.pass(3_600_000);
    expect(two.leadership.claim).toBeNull();
  });

  test("claims from an owner that answers but has lost the store", async () => {
    const one = await started("n1");
    const two = await started("n2");
    bench.pass(1_000);
    bench.store.next("replace", fails("unavailable"), { key: LEADER_KEY, times: 100_000 });
    bench.pass(250_000);
    expect(two.leadership.claim).toBe(2);
    expect(one.led).toEqual([false]);
  });
});

describe("a leader", () => {
  test("beats at its rhythm and sends nothing else", async () => {
    await started("n1");
    bench.pass(10);
    const before = bench.store.sent.length;
    bench.pass(3_600_000);
    const sent = bench.store.sent.slice(before);
    expect(new Set(sent)).toEqual(new Set([`replace ${LEADER_KEY}`]));
    expect(sent.length).toBeWithin(118, 122);
  });

  test("that was deposed notices by its heartbeat, and stands by", async () => {
    const one = await started("n1");
    const two = await process("n2");
    await bench.settle(two.leadership.start(two.system));
    present.delete("http://n1");
    bench.pass(2_000);
    present.set("http://n1", { kind: "answered", node: "n1" });
    present.set("http://n2", { kind: "answered", node: "n2" });
    expect(two.leadership.claim).toBe(2);
    expect(one.leadership.claim).toBe(1);
    bench.pass(31_000);
    expect(one.leadership.claim).toBeNull();
    bench.pass(600_000);
    expect([one.leadership.claim, two.leadership.claim]).toEqual([null, 2]);
  });

  test("whose first work fails does it again before its next heartbeat", async () => {
    const one = await started("n1");
    const two = await started("n2");
    let failures = 3;
    onLead = () => --failures >= 0 ? Promise.reject(new Error("no store")) : Promise.resolve();
    kill(one);
    bench.pass(1_500);
    expect([two.leadership.claim, two.led]).toEqual([2, []]);
    bench.pass(5_000);
    expect([failures, two.led]).toEqual([-1, [true]]);
    bench.pass(60_000);
    expect(failures).toBe(-1);
  });

  test("that another process with its id has replaced ends", async () => {
    const one = await started("n1");
    // The newer one claims from an address of its own, as after a move.
    present.delete("http://n1");
    const young = await process("n1", { address: "http://moved" });
    await bench.settle(young.leadership.start(young.system));
    present.set("http://moved", { kind: "answered", node: "n1" });
    bench.pass(120_000);
    expect(one.replaced.length).toBeGreaterThan(0);
    expect(young.replaced).toEqual([]);
  });

  test("stops although the store never answers its claim", async () => {
    kill(await started("n1"));
    const two = await process("n2");
    const create = held();
    bench.store.next("create", create.fate, { key: objectKey("s3", "system", 0, 2, 2) });
    await bench.settle(two.leadership.start(two.system));
    await bench.settle(create.arrived);
    await bench.settle(two.leadership.close());
    await bench.settle(two.system.close(new Failure("unavailable", "stopping")));
    create.release();
    bench.pass(5_000);
    expect([two.leadership.claim, two.led]).toEqual([null, []]);
  });
});
