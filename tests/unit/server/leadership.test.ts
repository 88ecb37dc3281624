import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { Failure } from "../../../src/base/failure.ts";
import { STEP_DOWN_MS } from "../../../src/base/limits.ts";
import { MAKE_WAY_MS } from "../../../src/election/lead.ts";
import { RANK_MS } from "../../../src/election/standby.ts";
import { LEADER_KEY, objectKey } from "../../../src/epoch/key.ts";
import { readLeaderFile } from "../../../src/server/cluster-files.ts";
import { fails, held } from "../replica/scripted-store.ts";
import { contender, LeadershipBench, type LeadershipProcess } from "./leadership-harness.ts";

let bench: LeadershipBench;
beforeEach(() => {
  bench = new LeadershipBench();
});
afterEach(() => bench.close());

/** The process is killed. */
function kill({ leadership, system }: LeadershipProcess): void {
  leadership.close();
  void system.close(new Failure("unavailable", "killed"));
}

/** A cluster whose leader n1 is dead; whoever calls it is refused. */
async function orphaned(
  id = "n2",
  options: Parameters<LeadershipBench["started"]>[1] = {},
): Promise<LeadershipProcess> {
  kill(await bench.started("n1"));
  const process = await bench.process(id, options);
  process.links.outcome = "refused";
  await bench.settle(process.leadership.start(process.system));
  return process;
}

/** n1 leads and n2 has a link to it. */
async function two() {
  const one = await bench.started("n1");
  const other = await bench.process("n2");
  other.links.outcome = "linked";
  await bench.settle(other.leadership.start(other.system));
  bench.pass(1_000);
  return { one, other };
}

const CLAIM_2 = objectKey("s3", "system", 0, 2, 2);

describe("a node that starts", () => {
  test("on an empty store leads by the claim that made the chain", async () => {
    const one = await bench.started("n1");
    expect([one.leadership.claim, one.system.tip]).toEqual([1, 1]);
    expect(one.told).toEqual(["won 1", "begun again"]);
    bench.pass(100);
    expect(await readLeaderFile(bench.store)).toMatchObject({
      node: "n1",
      address: "http://n1",
      peer_address: "n1:8443",
      term: 1,
      epoch: 1,
      heartbeat_ms: 30_000,
    });
  });

  test("as the last owner claims at once, and calls nobody", async () => {
    kill(await bench.started("n1"));
    const again = await bench.started("n1");
    expect([again.leadership.claim, again.links.calls]).toEqual([2, []]);
    expect(again.told).toEqual(["won 2", "begun again"]);
  });

  test("as the last owner that had resigned waits for its turn like the others", async () => {
    const one = await bench.started("n1");
    void one.leadership.stepDown("n2").catch(() => {});
    bench.pass(200);
    kill(one);
    const again = await bench.started("n1");
    expect(again.leadership.claim).toBeNull();
  });

  test("as the last owner, with its old address taken by its own id, must not start", async () => {
    await bench.started("n1");
    const second = await bench.process("n1", { address: "http://elsewhere" });
    second.links.present.set("http://n1", "n1");
    const { kind, message } = await bench.failure(second.leadership.start(second.system));
    expect(kind).toBe("conflict");
    expect(message).toContain("the node id n1 is in use at http://n1");
  });

  test("as the last owner on a new address claims when nobody is at the old one", async () => {
    kill(await bench.started("n1"));
    const again = await bench.started("n1", { address: "http://moved" });
    expect([again.leadership.claim, again.links.calls]).toEqual([2, ["http://n1"]]);
  });

  test("and may not lead never claims", async () => {
    const guest = await orphaned("n2", { eligible: false });
    bench.pass(3_600_000);
    expect([guest.leadership.claim, guest.leadership.standby?.state]).toEqual([null, "apart"]);
  });
});

describe("a standby", () => {
  test("claims within a second when the owner refuses twice and nobody hears it", async () => {
    const other = await orphaned("n2", { contenders: ["n2", "n3"] });
    bench.pass(1_000);
    expect([other.leadership.claim, other.links.asks]).toEqual([2, 1]);
    expect(other.told.slice(-2)).toEqual(["won 2", "begun as a successor"]);
    expect(await bench.claims(other)).toEqual(["n1", "n2"]);
  });

  test("claims after those before it: its rank times 150 ms", async () => {
    const last = await orphaned("n4", { contenders: ["n2", "n3", "n4"] });
    bench.pass(100 + RANK_MS * 2);
    expect([last.leadership.claim, last.links.asks]).toEqual([null, 1]);
    bench.pass(RANK_MS);
    expect(last.leadership.claim).toBe(2);
  });

  test("does not claim while another node hears the leader: refused is not dead", async () => {
    await bench.started("n1");
    const other = await bench.process("n2");
    other.links.outcome = "refused";
    other.links.isHeard = true;
    await bench.settle(other.leadership.start(other.system));
    bench.pass(600_000);
    expect(other.leadership.claim).toBeNull();
    expect(other.links.asks).toBeGreaterThan(100);
  });

  test("watches the store where nothing answers, and claims when nothing moves", async () => {
    const other = await orphaned("n2", { contenders: ["n2"] });
    other.links.outcome = "unanswered";
    // The dead leader's file states a heartbeat each second: it was not yet idle.
    bench.pass(2_000);
    expect(other.leadership.claim).toBeNull();
    bench.pass(118_000);
    expect(other.leadership.claim).toBe(2);
  });

  test("whose link is silent says so, and that it hears again", async () => {
    const { other } = await two();
    expect([other.leadership.standby?.state, other.told]).toEqual(["linked", ["heard"]]);
    bench.pass(4_000);
    expect([other.leadership.standby?.state, other.told.at(-1)]).toEqual(["watching", "not heard"]);
    other.links.inputMs = bench.clock.monotonicMs();
    bench.pass(1_000);
    expect([other.leadership.standby?.state, other.told.at(-1)]).toEqual(["linked", "heard"]);
  });

  test("leaves a silent leader alone that beats, for hours [I11]", async () => {
    const { one, other } = await two();
    one.hub.lateMs = 5_000;
    bench.pass(3 * 3_600_000);
    expect([one.leadership.claim, other.leadership.claim]).toEqual([1, null]);
  });

  test("waits for longer before each claim when it was deposed soon after the last", async () => {
    const quietMs: number[] = [];
    const other = await orphaned("n2", { contenders: ["n2"] });
    bench.pass(1_000);
    for (let round = 0; round < 3; round++) {
      // Another process takes the chain.
      const third = await bench.process("n3");
      await bench.settle(third.system.claim(null));
      await bench.failure(bench.settle(other.system.prove()));
      expect(other.leadership.claim).toBeNull();
      kill(third);
      const fromMs = bench.clock.monotonicMs();
      while (other.leadership.claim === null) bench.pass(50);
      quietMs.push(bench.clock.monotonicMs() - fromMs);
    }
    expect(quietMs[0]).toBeWithin(900, 1_300);
    expect(quietMs[1]).toBeWithin(1_900, 2_300);
    expect(quietMs[2]).toBeWithin(3_900, 4_300);
  });
});

describe("a leader", () => {
  test("beats at its rhythm and sends nothing else", async () => {
    await bench.started("n1");
    bench.pass(10);
    const before = bench.store.sent.length;
    bench.pass(3_600_000);
    const sent = bench.store.sent.slice(before);
    expect(new Set(sent)).toEqual(new Set([`replace ${LEADER_KEY}`]));
    expect(sent.length).toBeWithin(118, 122);
  });

  test("beats each second while a link is late or was lost", async () => {
    const one = await bench.started("n1");
    bench.pass(120_000);
    const sentIn = (ms: number) => {
      const before = bench.store.sent.length;
      bench.pass(ms);
      return bench.store.sent.length - before;
    };
    expect(sentIn(60_000)).toBeWithin(1, 3);
    one.leadership.onLinks("ended");
    expect(sentIn(29_000)).toBeWithin(28, 31);
    expect(sentIn(60_000)).toBeWithin(1, 5);
    one.hub.lateMs = 3_000;
    expect(sentIn(60_000)).toBeWithin(58, 62);
  });

  test("that was deposed notices by its heartbeat, and stands by in one process [I8]", async () => {
    const one = await bench.started("n1");
    bench.pass(60_000);
    const other = await bench.process("n2");
    other.links.outcome = "refused";
    await bench.settle(other.leadership.start(other.system));
    bench.pass(1_000);
    expect([one.leadership.claim, other.leadership.claim]).toEqual([1, 2]);
    bench.pass(31_000);
    expect(one.leadership.claim).toBeNull();
    expect(one.told.at(-1)).toBe("deposed");
    expect(one.links.calls).toContain("n2");
  });

  test("whose first work fails does it again until it is done", async () => {
    let failures = 3;
    const other = await orphaned("n2", {
      contenders: ["n2"],
      begin: () => --failures >= 0 ? Promise.reject(new Error("no store")) : Promise.resolve(),
    });
    bench.pass(300);
    expect([other.leadership.claim, other.leadership.isElecting]).toEqual([2, true]);
    expect(other.told).not.toContain("begun as a successor");
    bench.pass(5_000);
    expect([failures, other.leadership.isElecting]).toEqual([-1, false]);
    bench.pass(60_000);
    expect(failures).toBe(-1);
  });

  test("that another process with its id has replaced ends", async () => {
    const one = await bench.started("n1");
    // The newer one claims from an address of its own, as after a move.
    const young = await bench.started("n1", { address: "http://moved" });
    one.links.present.set("http://moved", "n1");
    bench.pass(120_000);
    expect(one.replaced.map(({ message }) => message)[0]).toContain("http://moved");
    expect(young.replaced).toEqual([]);
  });

  test("stops although the store never answers its claim", async () => {
    kill(await bench.started("n1"));
    const other = await bench.process("n2", { contenders: ["n2"] });
    other.links.outcome = "refused";
    const create = held();
    bench.store.next("create", create.fate, { key: CLAIM_2 });
    await bench.settle(other.leadership.start(other.system));
    await bench.settle(create.arrived);
    other.leadership.close();
    await bench.settle(other.system.close(new Failure("unavailable", "stopping")));
    create.release();
    bench.pass(5_000);
    expect([other.leadership.claim, other.told.includes("won 2")]).toEqual([null, false]);
  });
});

describe("a node that leaves while its claim is on its way", () => {
  test("resigns when it is won, so that nobody waits for one that is there and does not lead", async () => {
    kill(await bench.started("n1"));
    const one = await bench.process("n2");
    one.links.outcome = "refused";
    const create = held();
    bench.store.next("create", create.fate, { key: CLAIM_2 });
    const started = one.leadership.start(one.system);
    bench.pass(5_000);
    await bench.settle(create.arrived);
    one.leadership.close();
    create.release();
    await bench.settle(started);
    bench.pass(1_000);
    expect([one.leadership.claim, one.told.includes("won 2")]).toEqual([null, false]);
    expect([one.system.state, one.system.ownership?.claim.successor]).toEqual(["following", ""]);
  });
});

describe("a leader that steps down", () => {
  test("names the first that could follow; it claims, and both say so", async () => {
    const { one, other } = await two();
    const handing = one.leadership.stepDown();
    bench.pass(20);
    expect(one.leadership.claim).toBeNull();
    await bench.settle(other.system.follow());
    const handOver = await bench.settle(handing);
    expect(handOver).toMatchObject({ from: "n1", to: "n2" });
    expect(other.leadership.claim).toBe(3);
    const successors = await bench.read(
      other.system,
      "SELECT successor FROM _headgate_claims ORDER BY epoch",
    );
    expect(successors).toEqual(["n2", null]);
  });

  test("does so only in favour of a node that can lead, and says why another cannot", async () => {
    const one = await bench.started("n1", { contenders: ["n1"] });
    const why = async (preferred?: string) =>
      await bench.failure(one.leadership.stepDown(preferred));
    expect(await why()).toEqual({
      kind: "conflict",
      message: "Cannot step down: no other node could lead",
    });
    expect((await why("n1")).message).toContain("it leads already");
    expect((await why("n9")).message).toContain("it has no link to this node");
    one.links.others = [contender("n1"), contender("n2", { state: "draining" })];
    expect((await why("n2")).message).toContain("it is draining");
    one.links.others = [contender("n1"), contender("n2", { eligible: false })];
    expect((await why("n2")).message).toContain("it may not lead");
    expect([one.leadership.claim, one.leadership.hasSuccessor]).toEqual([1, false]);
  });

  test("must lead; another node says who does", async () => {
    const { other } = await two();
    const { kind, message } = await bench.failure(other.leadership.stepDown());
    expect([kind, message]).toEqual(["elsewhere", "This node does not lead; n1 does"]);
  });

  test("and whose successor does not come takes the lead back, and says so", async () => {
    const one = await bench.started("n1");
    const failed = bench.failure(one.leadership.stepDown("n2"));
    bench.pass(STEP_DOWN_MS);
    expect((await failed).kind).toBe("unavailable");
    expect(one.leadership.claim).toBe(3);
  });

  test("and whose resignation the store refuses for a while leads again when it is through", async () => {
    const one = await bench.started("n1");
    bench.store.next("create", fails("denied"), { key: CLAIM_2, times: 100 });
    const failed = bench.failure(one.leadership.stepDown("n2"));
    bench.pass(60_000);
    const { kind } = await failed;
    expect(kind).not.toBe("none");
    // The store took the resignation at last, as epoch 2, and nobody came for the lead.
    expect([one.leadership.claim, one.system.state]).toEqual([3, "owning"]);
  });

  test("and is deposed meanwhile stands by like any other [I8]", async () => {
    const one = await bench.started("n1");
    const other = await bench.process("n2");
    await bench.settle(other.system.claim(null));
    const { kind } = await bench.failure(one.leadership.stepDown("n2"));
    expect(kind).toBe("elsewhere");
    expect(one.told.at(-1)).toBe("deposed");
    expect(one.leadership.standby).not.toBeNull();
    one.links.outcome = "linked";
    bench.pass(5_000);
    expect([one.leadership.isElecting, one.links.calls.at(-1)]).toEqual([false, "n2"]);
  });
});

test("a lead is not resigned by what was begun in the one before it", async () => {
  const one = await bench.started("n1");
  const resignation = held();
  bench.store.next("create", resignation.fate, { key: CLAIM_2 });
  const handing = bench.failure(one.leadership.stepDown("n2"));
  await bench.settle(resignation.arrived);
  const other = await bench.process("n2");
  await bench.settle(other.system.claim(null));
  resignation.release();
  expect((await bench.settle(handing)).kind).toBe("elsewhere");
  kill(other);
  one.links.outcome = "refused";
  bench.pass(3_000);
  expect(one.leadership.claim).toBe(3);
  bench.pass(3_000);
  expect([one.leadership.claim, one.system.state]).toEqual([3, "owning"]);
});

describe("a leader that nobody has a link to", () => {
  const alone = () =>
    bench.started("n1", {
      contenders: ["n1"],
      resignIfOthers: (leadership) => leadership.resignToAnybody(),
    });

  test("resigns after ten seconds, lets all others go first, and does so once", async () => {
    const one = await alone();
    bench.pass(9_000);
    expect(one.leadership.claim).toBe(1);
    bench.pass(2_000);
    expect(one.leadership.claim).toBeNull();
    bench.pass(MAKE_WAY_MS - 1_500);
    expect(one.leadership.claim).toBeNull();
    bench.pass(1_500);
    expect(one.leadership.claim).toBe(3);
    bench.pass(600_000);
    expect([one.leadership.claim, await bench.claims(one)]).toEqual([3, ["n1", "n1"]]);
  });

  test("may do so again when it has had a link", async () => {
    const one = await alone();
    bench.pass(30_000);
    one.hub.links = 1;
    one.leadership.onLinks("added");
    bench.pass(30_000);
    one.hub.links = 0;
    one.leadership.onLinks("ended");
    bench.pass(30_000);
    expect(await bench.claims(one)).toEqual(["n1", "n1", "n1"]);
  });
});
