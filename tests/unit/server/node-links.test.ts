import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { Failure } from "../../../src/base/failure.ts";
import { ASK_MS } from "../../../src/base/limits.ts";
import { silentLog } from "../../../src/base/log.ts";
import type { LeaderHello } from "../../../src/members/message.ts";
import { LINK_FRAMES } from "../../../src/members/message.ts";
import type { Member } from "../../../src/members/roster.ts";
import type { Claim } from "../../../src/replica/claims.ts";
import type { Replica } from "../../../src/replica/replica.ts";
import { AddressBook, type Whereabouts } from "../../../src/server/address-book.ts";
import type { Dialled, DialOutcome } from "../../../src/server/links.ts";
import { NodeLinks } from "../../../src/server/node-links.ts";
import type { Presence } from "../../../src/server/probe-address.ts";
import { claimId, Proofs } from "../../../src/server/proofs.ts";
import { SaidChannel } from "../members/said-channel.ts";
import { LeadershipBench } from "./leadership-harness.ts";

let bench: LeadershipBench;
let owner: Replica;
beforeEach(async () => {
  bench = new LeadershipBench();
  owner = (await bench.started("n1")).system;
});
afterEach(() => bench.close());

function member(node: string): Member {
  return {
    node,
    nonce: `process of ${node}`,
    address: `http://${node}`,
    peer_address: `${node}:8443`,
    zone: "",
    roles: [],
    eligible: true,
    version: "1",
    state: "active",
    heads: {},
    running: 0,
    presence: "present",
    last_heard_ms: 0,
  };
}

/** Node n2, which knows n1 to n4 from a roster; the network does what `world` says. */
async function links(knows = ["n1", "n2", "n3", "n4"]) {
  const system = await bench.open(bench.node("n2"), "system");
  const world = {
    dial: (): Promise<Dialled | DialOutcome> => Promise.resolve("unanswered"),
    hears: (_: Whereabouts): Promise<boolean> => Promise.resolve(false),
    presence: { kind: "refused" } as Presence,
    storeFailingMs: 0,
  };
  const told: string[] = [];
  const asked: string[] = [];
  const book = new AddressBook(bench.store, () => member("n2"));
  if (knows.length > 0) book.onRoster({ leader: "n1", term: 1, members: knows.map(member) });
  const own = new NodeLinks({
    clock: bench.clock,
    log: silentLog,
    node: "n2",
    book,
    proofs: new Proofs(bench.store, "s3"),
    transport: {
      dial: () => world.dial(),
      askOne: (where) => {
        asked.push(where.node);
        return world.hears(where);
      },
      tellOne: (where, claim) => {
        told.push(`told ${where.node} of claim ${claim}`);
        return Promise.resolve();
      },
      probe: () => Promise.resolve(world.presence),
    },
    system: () => system,
    self: () => member("n2"),
    storeFailingMs: () => world.storeFailingMs,
    desired: () => undefined,
    events: {
      onLinked: () => told.push("linked"),
      onUnlinked: () => told.push("unlinked"),
      onLost: (by) => told.push(`lost by ${by}`),
      onEpoch: () => {},
      onRoster: () => {},
      onPrepare: () => {},
      onOrder: () => {},
      onLeaderStore: (isFailing) => told.push(`leader's store fails: ${isFailing}`),
      onLinks: (change) => told.push(change),
      onReplaced: ({ message }) => told.push(`replaced: ${message}`),
    },
  });
  const claim = () => system.ownership!.claim;
  return { own, world, told, asked, system, claim };
}

function helloOf(system: Replica, over: Partial<LeaderHello> = {}): LeaderHello {
  const roster = { leader: "n1", term: 1, members: [member("n1"), member("n2")] };
  return { claim: 1, claim_id: claimId(system.claimId), term: 1, roster, ...over };
}

describe("a call for a link", () => {
  test("makes one to a leader whose claim is in this node's own store [I13]", async () => {
    const { own, world, told, claim } = await links();
    const channel = new SaidChannel("n1");
    world.dial = () => Promise.resolve({ channel, hello: helloOf(owner) });
    expect(await bench.settle(own.call(claim()))).toBe("linked");
    expect([own.leader, own.linkedTo(), told]).toEqual(["n1", 1, ["linked"]]);
    expect(channel.heads(LINK_FRAMES.report).length).toBe(1);
  });

  test("makes none to one that leads by another claim, or by one that is not there [I13]", async () => {
    for (const over of [{ claim: 2 }, { claim_id: "0123456789abcdef" }]) {
      const { own, world, claim } = await links();
      const channel = new SaidChannel("n1");
      world.dial = () => Promise.resolve({ channel, hello: helloOf(owner, over) });
      expect(await bench.settle(own.call(claim()))).toBe("refused");
      expect([own.leader, channel.closed === null]).toEqual([null, false]);
    }
  });

  test("makes none to another node than the owner, whatever it says [I13]", async () => {
    const { own, world, claim } = await links();
    const channel = new SaidChannel("n3");
    world.dial = () => Promise.resolve({ channel, hello: helloOf(owner) });
    expect(await bench.settle(own.call(claim()))).toBe("refused");
    expect(own.leader).toBeNull();
  });

  test("makes none where it ends while the claim is proved, and nothing is said of one", async () => {
    const { own, world, told, claim } = await links();
    const channel = new SaidChannel("n1");
    const end = { kind: "closed", message: "another node leads" };
    // As a channel does: what is thrown there is nobody's.
    channel.start = async ({ onClose }) => await onClose(end);
    world.dial = () => Promise.resolve({ channel, hello: helloOf(owner) });
    expect(await bench.settle(own.call(claim()))).toBe("unanswered");
    expect([own.leader, told]).toEqual([null, []]);
  });

  test("is refused by a node that does not lead; any other trouble is no answer", async () => {
    const { own, world, claim } = await links();
    const outcomes: string[] = [];
    for (const kind of ["elsewhere", "denied", "unavailable"] as const) {
      world.dial = () => Promise.reject(new Failure(kind, "it says so"));
      outcomes.push(await bench.settle(own.call(claim())));
    }
    expect(outcomes).toEqual(["refused", "unanswered", "unanswered"]);
  });

  test("that meets another process with this node's id ends this one", async () => {
    const { own, world, told, claim } = await links();
    world.dial = () => Promise.reject(new Failure("conflict", "the id is in use"));
    await bench.settle(own.call(claim()));
    expect(told).toEqual(["replaced: the id is in use"]);
  });

  test("asks the address of clients where no links are taken", async () => {
    const { own, world, claim } = await links([]);
    const unlisted: Claim = { ...claim(), node: "n9" };
    const outcomes: string[] = [];
    for (
      const presence of [
        { kind: "refused" },
        { kind: "silent" },
        { kind: "answered", node: "n9" },
        { kind: "answered", node: "n8" },
      ] as const
    ) {
      world.presence = presence;
      outcomes.push(await bench.settle(own.call(unlisted)));
    }
    expect(outcomes).toEqual(["refused", "unanswered", "unanswered", "refused"]);
  });
});

describe("asking the others whether they hear the leader", () => {
  test("leaves out the leader and oneself, and one that does is enough", async () => {
    const { own, world, asked, claim } = await links();
    world.hears = ({ node }) => node === "n4" ? Promise.resolve(true) : new Promise(() => {});
    expect(await bench.settle(own.ask(claim()))).toBe(true);
    expect(asked).toEqual(["n3", "n4"]);
  });

  test("ends when all have answered, or cannot be asked", async () => {
    const { own, world, claim } = await links();
    world.hears = ({ node }) =>
      node === "n3" ? Promise.reject(new Error("gone")) : Promise.resolve(false);
    const fromMs = bench.timeline.nowMs;
    expect(await bench.settle(own.ask(claim()))).toBe(false);
    expect(bench.timeline.nowMs - fromMs).toBeLessThan(ASK_MS);
  });

  test("takes no longer than its time, whoever is silent", async () => {
    const { own, world, claim } = await links();
    world.hears = () => new Promise(() => {});
    const fromMs = bench.timeline.nowMs;
    expect(await bench.settle(own.ask(claim()))).toBe(false);
    expect(bench.timeline.nowMs - fromMs).toBe(ASK_MS);
  });
});

describe("a link that stands", () => {
  async function linked() {
    const made = await links();
    const channel = new SaidChannel("n1");
    made.world.dial = () => Promise.resolve({ channel, hello: helloOf(owner) });
    await bench.settle(made.own.call(made.claim()));
    made.told.length = 0;
    return { ...made, channel };
  }

  test("is heard for the claim by which its other end leads, and no other", async () => {
    const { own, channel } = await linked();
    const now = bench.clock.monotonicMs();
    channel.lastInputMs = now;
    const hears = own.hears(1);
    channel.say(LINK_FRAMES.echoed, {}, now);
    expect([await hears, await own.hears(2)]).toEqual([true, false]);
  });

  test("and is closed by the leader is lost by a close; one given up, by silence", async () => {
    const one = await linked();
    one.channel.end({ kind: "closed", message: "no more" });
    expect([one.told, one.own.leader]).toEqual([["unlinked", "lost by close"], null]);
    const other = await linked();
    other.channel.close("nothing was heard");
    expect(other.told).toEqual(["unlinked", "lost by silence"]);
  });

  test("and is dropped by this node is not lost", async () => {
    const { own, told, channel } = await linked();
    own.drop("another node leads");
    expect([told, channel.closed]).toEqual([["unlinked"], "another node leads"]);
  });

  test("tells of a leader without a store only while the own store answers", async () => {
    const { world, told, channel } = await linked();
    const ping = (store_failing_ms: number) => {
      channel.say(LINK_FRAMES.ping, { number: 1, store_failing_ms }, bench.clock.monotonicMs());
      bench.pass(50);
    };
    ping(4_000);
    world.storeFailingMs = 3_000;
    ping(6_000);
    expect(told).toEqual([]);
    world.storeFailingMs = 0;
    ping(7_000);
    ping(8_000);
    ping(0);
    expect(told).toEqual(["leader's store fails: true", "leader's store fails: false"]);
  });
});

describe("a node that is called for a link", () => {
  test("and does not lead says who does, as far as it knows", async () => {
    const { own } = await links();
    let failure: unknown;
    try {
      own.welcome(new SaidChannel("n3").peer, null);
    } catch (error) {
      failure = error;
    }
    expect(failure).toMatchObject({
      kind: "elsewhere",
      message: "This node does not lead",
      leader: "http://n1",
      details: { node: "n1", claim: 1 },
    });
  });

  test("and leads says by which claim, and refuses whoever has its own id", async () => {
    const { own, told, system } = await links();
    await bench.settle(system.claim(null));
    own.lead(2, 2);
    expect(told).toEqual(["n1", "n3", "n4"].map((node) => `told ${node} of claim 2`));
    const hello = own.welcome(new SaidChannel("n3").peer, 2);
    expect(hello).toMatchObject({ claim: 2, claim_id: claimId(system.claimId), term: 2 });
    expect(() => own.welcome(new SaidChannel("n2", "another process").peer, 2))
      .toThrow("The node id n2 is in use");
    own.deposed();
    const channel = new SaidChannel("n3");
    own.joined(channel, member("n3"));
    expect(channel.closed).toBe("this node leads no more");
  });
});
