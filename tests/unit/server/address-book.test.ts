import { beforeEach, describe, expect, test } from "bun:test";
import { seededRandom } from "../../../src/base/random.ts";
import type { Member, RosterMessage } from "../../../src/members/roster.ts";
import { AddressBook } from "../../../src/server/address-book.ts";
import { brokerKey } from "../../../src/epoch/key.ts";
import { BrokerRecord } from "../../../src/server/broker-record.ts";
import { LeaderHeartbeat } from "../../../src/server/cluster-files.ts";
import { SimulatedClock, Timeline } from "../../support/simulated-clock.ts";
import { ScriptedStore } from "../replica/scripted-store.ts";

const timeline = new Timeline();
const clock = new SimulatedClock(timeline);
let store: ScriptedStore;
let book: AddressBook;
let ownHeads: Member["heads"];
beforeEach(() => {
  store = new ScriptedStore(clock);
  ownHeads = {};
  book = new AddressBook(store, () => member("n1", { heads: ownHeads }));
});

function member(node: string, over: Partial<Member> = {}): Member {
  return {
    node,
    nonce: `nonce of ${node}`,
    address: `http://${node}`,
    peer_address: `${node}:8443`,
    zone: "a",
    roles: [],
    eligible: true,
    version: "1",
    state: "active",
    heads: {},
    running: 0,
    presence: "present",
    last_heard_ms: 0,
    ...over,
  };
}

const roster = (...members: Member[]): RosterMessage => ({ leader: "n1", term: 1, members });

function record(node: string, over: object = {}): Promise<void> {
  const { nonce, address, peer_address, zone, roles, state, version } = member(node);
  return new BrokerRecord({
    store,
    clock,
    random: seededRandom(1),
    isSelfAt: () => Promise.resolve(false),
  })
    .write({ node, nonce, address, peer_address, zone, roles, state, version, ...over });
}

const PLACE = { node: "n2", address: "http://n2", peerAddress: "n2:8443", nonce: "nonce of n2" };

describe("where a node is", () => {
  test("is what the leader's roster says, without a request to the store", async () => {
    book.onRoster(roster(member("n1"), member("n2")));
    expect(await book.find("n2")).toEqual(PLACE);
    expect(store.sent).toEqual([]);
  });

  test("is what its own file says, where no roster names it", async () => {
    await record("n2");
    expect(await book.find("n2")).toEqual(PLACE);
    book.onRoster(roster(member("n1")));
    expect(await book.find("n2")).toEqual(PLACE);
  });

  test("is what its own file says, where the roster is of a time before it moved", async () => {
    book.onRoster(roster(member("n2", { address: "http://old", peer_address: "old:8443" })));
    await record("n2");
    expect(await book.find("n2", "http://n2")).toEqual(PLACE);
    expect(await book.find("n2", "http://old")).toMatchObject({ peerAddress: "old:8443" });
  });

  test("is what leader.json says, where it has no file", async () => {
    const heartbeat = new LeaderHeartbeat({ store, clock, random: seededRandom(2) });
    await heartbeat.beat({
      node: "n2",
      address: "http://n2",
      peer_address: "n2:8443",
      term: 1,
      epoch: 1,
      heartbeat_ms: 1_000,
    });
    expect(await book.find("n2")).toEqual({ ...PLACE, nonce: "" });
    expect(await book.find("n3")).toBeNull();
  });
});

describe("the other nodes", () => {
  test("are those of the roster, and of the files before there is one", async () => {
    await record("n1");
    await record("n2");
    await record("n3");
    await book.readFiles(1_800_000, clock);
    const names = () => book.others().map(({ node }) => node).sort();
    expect(names()).toEqual(["n2", "n3"]);
    book.onRoster(roster(member("n1"), member("n4")));
    expect(names()).toEqual(["n4"]);
    expect(book.files().map(({ node }) => node).sort()).toEqual(["n2", "n3"]);
  });

  test("are those whose files can be read, whatever the others hold", async () => {
    await record("n2");
    for (
      const [node, text] of [["n3", "null"], ["n4", "no JSON"], ["n5", '{"format":2}']] as const
    ) {
      await store.replace(brokerKey(node), new TextEncoder().encode(text), null);
    }
    await book.readFiles(1_800_000, clock);
    expect(book.files().map(({ node }) => node)).toEqual(["n2"]);
  });

  test("are not those whose files were not written for too long", async () => {
    await record("n2");
    let isOver = false;
    timeline.schedule(60_000, () => isOver = true);
    while (!isOver && timeline.step());
    await record("n3");
    await book.readFiles(30_000, clock);
    expect(book.others().map(({ node }) => node)).toEqual(["n3"]);
  });
});

describe("who could lead", () => {
  test("is this node too, as it knows itself, and the others as the roster has them", () => {
    book.onRoster(roster(member("n1", { state: "draining" }), member("n2", { zone: "b" })));
    expect(book.contenders()).toEqual([
      { node: "n2", zone: "b", eligible: true, state: "active" },
      { node: "n1", zone: "a", eligible: true, state: "active" },
    ]);
  });

  test("is behind where it lacks a database of this node, or many epochs of it", () => {
    ownHeads = { system: 5, app: 900 };
    book.onRoster(roster(
      member("n2", { heads: { system: 5, app: 880 } }),
      member("n3", { heads: { system: 5 } }),
      member("n4", { heads: { system: 5, app: 3 } }),
    ));
    const behind = book.contenders().map(({ node, isBehind }) => [node, isBehind ?? false]);
    expect(behind).toEqual([["n2", false], ["n3", true], ["n4", true], ["n1", false]]);
  });

  test("is nobody who is suspect", () => {
    book.onRoster(roster(member("n2", { presence: "suspect" })));
    expect(book.contenders()[0]?.state).toBe("suspect");
  });

  test("is by the files before there is a roster; an old file says nothing of it and may", async () => {
    await record("n2", { eligible: false });
    await record("n3");
    await book.readFiles(1_800_000, clock);
    const eligible = Object.fromEntries(book.contenders().map((one) => [one.node, one.eligible]));
    expect(eligible).toEqual({ n1: true, n2: false, n3: true });
  });
});
