import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { Failure } from "../../../src/base/failure.ts";
import { silentLog } from "../../../src/base/log.ts";
import type { Replica } from "../../../src/replica/replica.ts";
import { StandingBy, type Taken } from "../../../src/server/standing-by.ts";
import { LeadershipBench, SaidLinks } from "./leadership-harness.ts";

let bench: LeadershipBench;
let owner: Replica;
beforeEach(async () => {
  bench = new LeadershipBench();
  owner = (await bench.started("n1")).system;
});
afterEach(() => bench.close());

async function standby(take: () => Promise<Taken> = () => Promise.resolve("won")) {
  const system = await bench.open(bench.node("n2"), "system");
  const links = new SaidLinks(["n2"]);
  const told: (boolean | string)[] = [];
  const standing = new StandingBy({
    clock: bench.clock,
    log: silentLog,
    store: bench.store,
    node: "n2",
    eligible: true,
    staleMs: 120_000,
    system,
    links,
    quietUntilMs: () => -Infinity,
    onHeard: (isHeard) => told.push(isHeard),
    take: (reason, over) => {
      told.push(`${reason} over ${over}`);
      return take();
    },
  });
  return { standing, links, told, system };
}

describe("a node that stands by", () => {
  test("calls the owner of the newest claim at once, and is linked", async () => {
    const { standing, links, told } = await standby();
    links.outcome = "linked";
    bench.pass(10);
    expect([standing.state, links.calls, told]).toEqual(["linked", ["n1"], [true]]);
    expect(standing.isElecting).toBe(false);
  });

  test("claims over the claim that it knows when the process is gone", async () => {
    const { standing, links, told } = await standby();
    links.outcome = "refused";
    bench.pass(300);
    expect([standing.state, told.at(-1)]).toEqual(["claiming", "its process is gone over 1"]);
  });

  test("waits a second when a claim could not be tried, and calls again", async () => {
    const failure = new Failure("unavailable", "no store");
    const { standing, links, told } = await standby(() => Promise.reject(failure));
    links.outcome = "refused";
    bench.pass(300);
    expect(standing.state).toBe("apart");
    const calls = links.calls.length;
    bench.pass(700);
    expect(links.calls.length).toBe(calls);
    bench.pass(1_000);
    expect(told.filter((what) => typeof what === "string").length).toBe(2);
  });

  test("hears of the claim of another: it drops its link and calls that one", async () => {
    const { standing, links, system } = await standby();
    links.outcome = "linked";
    bench.pass(10);
    const third = await bench.open(bench.node("n3"), "system");
    await bench.settle(third.claim(null));
    await bench.settle(system.follow());
    links.outcome = "unanswered";
    standing.onOwnership(system.ownership!.claim);
    expect([standing.state, links.linked]).toEqual(["apart", null]);
    bench.pass(10);
    expect(links.calls).toEqual(["n1", "n3"]);
    expect(owner.state).toBe("owning");
  });

  test("takes no notice of the end of a call that was about an earlier owner", async () => {
    const { standing, links, system } = await standby();
    const late = Promise.withResolvers<"refused">();
    links.call = (claim) => {
      links.calls.push(claim.node);
      return claim.node === "n1" ? late.promise : Promise.resolve("unanswered");
    };
    bench.pass(10);
    const third = await bench.open(bench.node("n3"), "system");
    await bench.settle(third.claim(null));
    await bench.settle(system.follow());
    standing.onOwnership(system.ownership!.claim);
    bench.pass(10);
    late.resolve("refused");
    bench.pass(500);
    expect([standing.state, links.asks]).toEqual(["apart", 0]);
  });

  test("seeks for three seconds without a link; then its leader is out of its reach", async () => {
    const { standing } = await standby();
    expect([standing.isSeeking, standing.isElecting]).toEqual([true, false]);
    bench.pass(2_500);
    expect(standing.isSeeking).toBe(true);
    bench.pass(1_000);
    expect(standing.isSeeking).toBe(false);
  });

  test("does nothing more when it has ended", async () => {
    const { standing, links, told } = await standby();
    standing.end();
    const calls = links.calls.length;
    standing.on({ kind: "resigned" });
    bench.pass(600_000);
    expect([links.calls.length - calls, told]).toEqual([0, []]);
  });
});
