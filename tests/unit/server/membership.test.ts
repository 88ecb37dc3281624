/** Nodes as one cluster: the product's membership over a network in memory. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { OPEN } from "../../support/simulated-network.ts";
import { QuietCluster } from "../../support/quiet-cluster.ts";

const SILENT = { ...OPEN, isSilent: [true, true] } as const;

let world: QuietCluster;
beforeEach(() => world = new QuietCluster());
afterEach(() => world.close());

describe("three nodes", () => {
  test("have one leader, links to it, and one roster", () => {
    world.found("n1", { n2: { zone: "b" }, n3: { eligible: false } });
    expect(world.cluster.leaders().map(({ node }) => node)).toEqual(["n1"]);
    for (const node of ["n1", "n2", "n3"]) {
      const { membership } = world.member(node);
      const { leader, term, members } = membership.roster();
      expect([leader, term]).toEqual(["n1", 1]);
      expect(members.map((one) => [one.node, one.zone, one.eligible])).toEqual([
        ["n1", "", true],
        ["n2", "b", true],
        ["n3", "", false],
      ]);
    }
  });

  test("take writes at any of them, and every image gets what was written", async () => {
    world.found("n1", { n2: {}, n3: {} });
    await world.create();
    world.pass(100);
    await world.execute("n2", "CREATE TABLE t (a)");
    const { epoch } = await world.execute("n3", "INSERT INTO t VALUES (1)");
    world.pass(50);
    for (const node of ["n1", "n2", "n3"]) {
      expect(world.member(node).catalog.peek("orders")?.image.head.epoch).toBe(epoch);
    }
  });

  test("that follow and have links ask the store for nothing", async () => {
    world.found("n1", { n2: {}, n3: {} });
    await world.create();
    // The first request from here proves who the leader is.
    await world.execute("n2", "CREATE TABLE t (a)");
    world.pass(1_000);
    world.sent.length = 0;
    for (let write = 0; write < 20; write++) {
      await world.execute("n2", `INSERT INTO t VALUES (${write})`);
      world.pass(500);
    }
    expect(world.sent.filter((text) => !text.startsWith("n1"))).toEqual([]);
  });
});

describe("a link that is silent", () => {
  test("is no reason to see nothing new: all databases are read from the store", async () => {
    world.found("n1", { n2: {}, n3: {} });
    await world.create();
    await world.execute("n1", "CREATE TABLE t (a)");
    world.pass(1_000);
    world.cluster.network.set("n1", "n2", SILENT);
    world.pass(5_000);
    const { epoch } = await world.execute("n3", "INSERT INTO t VALUES (1)");
    world.pass(6_000);
    expect(world.member("n2").membership.leadership.standby?.state).toBe("watching");
    expect(world.member("n2").catalog.peek("orders")?.image.head.epoch).toBe(epoch);
  });

  test("rests again when it speaks, with what was missed", async () => {
    world.found("n1", { n2: {} });
    await world.create();
    await world.execute("n1", "CREATE TABLE t (a)");
    world.cluster.network.set("n1", "n2", SILENT);
    world.pass(5_000);
    const { epoch } = await world.execute("n1", "INSERT INTO t VALUES (1)");
    world.cluster.network.set("n1", "n2", OPEN);
    world.pass(5_000);
    expect(world.member("n2").leader).toBe("n1");
    expect(world.member("n2").catalog.peek("orders")?.image.head.epoch).toBe(epoch);
    world.sent.length = 0;
    world.pass(60_000);
    expect(world.sent.filter((text) => text.startsWith("n2"))).toEqual([]);
  });
});

describe("a leader that was deposed and does not know it", () => {
  test("asks the chain as soon as the new one tells it, long before its next heartbeat", () => {
    world.found("n1", { n2: {}, n3: { eligible: false } });
    world.pass(60_000);
    const { membership, catalog } = world.member("n2");
    // A claim without need, as after a silence that only n2 has seen.
    void catalog.system.replica.claim(null);
    world.pass(100);
    expect(world.member("n1").leads).toBe(true);
    void world.member("n1").membership.onTold("n2", NaN);
    world.pass(100);
    expect(world.member("n1").leads).toBe(false);
    expect(membership.leadership.claim).toBeNull();
  });
});

describe("a request that is forwarded", () => {
  test("ends at its deadline while the line to the leader is being opened", async () => {
    world.found("n1", { n2: {}, n3: {} });
    await world.create();
    world.pass(100);
    // The link stands still, but what calls n1 now hears nothing.
    world.cluster.setAll("n2", { isSilent: [true, true], isRefusing: false, delayMs: 1 });
    const startedMs = world.timeline.nowMs;
    await expect(world.execute("n2", "CREATE TABLE t (a)", 400)).rejects.toMatchObject({
      kind: "unavailable",
    });
    expect(world.timeline.nowMs - startedMs).toBeWithin(350, 900);
  });

  test("waits for the next leader, and is executed once", async () => {
    world.found("n1", { n2: {}, n3: {} });
    await world.create();
    await world.execute("n1", "CREATE TABLE t (a)");
    world.pass(100);
    world.cluster.kill("n1");
    const { epoch } = await world.execute("n3", "INSERT INTO t VALUES (1)");
    world.pass(1_000);
    expect(world.cluster.leaders().map(({ node }) => node)).toEqual(["n2"]);
    const { image } = world.member("n3").catalog.peek("orders")!;
    expect(image.head.epoch).toBe(epoch);
    const rows = image.read((database) => database.query("SELECT count(*) FROM t").values());
    expect(await world.settle(rows)).toEqual([[1]]);
  });
});

describe("all nodes that start at once", () => {
  test("each lead or have a link soon after, every time", async () => {
    world.found("n1", { n2: {}, n3: {} });
    await world.create();
    const nodes = ["n1", "n2", "n3"];
    for (let round = 0; round < 30; round++) {
      for (const node of nodes) world.cluster.kill(node);
      world.pass(100);
      for (const node of nodes) {
        world.cluster.start(node);
        world.pass(round % 15);
      }
      world.pass(5_000);
      const apart = nodes.filter((node) => !world.member(node).leads && !world.member(node).leader);
      expect([round, apart]).toEqual([round, []]);
    }
  });
});

describe("a planned hand-over", () => {
  test("goes to the preferred node, and every link with it", async () => {
    world.found("n1", { n2: {}, n3: {} });
    const { leadership } = world.member("n1").membership;
    const handOver = await world.settle(leadership.stepDown("n3"));
    expect(handOver).toMatchObject({ from: "n1", to: "n3" });
    expect(handOver.ms).toBeLessThan(300);
    world.pass(1_000);
    expect(["n1", "n2"].map((node) => world.member(node).leader)).toEqual(["n3", "n3"]);
  });

  test("keeps no write waiting for a link to whoever has told that it leads", async () => {
    world.found("n1", { n2: {}, n3: {} });
    await world.create();
    await world.execute("n3", "CREATE TABLE t (a)");
    world.pass(100);
    void world.member("n1").membership.leadership.stepDown("n2");
    const { replica } = world.member("n3").catalog.system;
    while (replica.ownership?.claim.successor !== "n2") world.pass(1);
    const { epoch } = await world.execute("n3", "INSERT INTO t VALUES (1)");
    expect(world.member("n3").leader).not.toBe("n2");
    world.pass(1_000);
    expect(world.member("n3").leader).toBe("n2");
    const { image } = world.member("n3").catalog.peek("orders")!;
    expect(image.head.epoch).toBe(epoch);
    const rows = image.read((database) => database.query("SELECT count(*) FROM t").values());
    expect(await world.settle(rows)).toEqual([[1]]);
  });

  test("whose successor is silent delays the writes of others and fails none", async () => {
    world.found("n1", { n2: {}, n3: {} });
    await world.create();
    await world.execute("n1", "CREATE TABLE t (a)");
    world.pass(100);
    world.member("n1").membership.leadership.stepDown("n2").catch(() => {});
    const { replica } = world.member("n3").catalog.system;
    while (replica.ownership?.claim.successor !== "n2") world.pass(1);
    world.cluster.setAll("n2", SILENT);
    world.cluster.pause("n2");
    const { epoch } = await world.execute("n3", "INSERT INTO t VALUES (1)");
    expect(epoch).toBeGreaterThan(0);
  });

  test("goes to nobody who does not answer", async () => {
    world.found("n1", { n2: {}, n3: {} });
    world.pass(100);
    world.cluster.pause("n2");
    world.pass(3_000);
    const { leadership } = world.member("n1").membership;
    await expect(world.settle(leadership.stepDown("n2"))).rejects.toMatchObject({
      kind: "conflict",
      message: expect.stringContaining("it does not answer"),
    });
    expect(await world.settle(leadership.stepDown())).toMatchObject({ from: "n1", to: "n3" });
  });

  test("that nobody takes up is told as soon as the node leads again", async () => {
    world.found("n1", { n2: {} });
    world.pass(100);
    world.cluster.pause("n2");
    const startedMs = world.timeline.nowMs;
    const { leadership } = world.member("n1").membership;
    await expect(world.settle(leadership.stepDown())).rejects.toMatchObject({
      kind: "unavailable",
      message: expect.stringContaining("leads again"),
    });
    expect(world.timeline.nowMs - startedMs).toBeLessThan(3_000);
    expect(world.member("n1").leads).toBe(true);
  });

  test("is what a node that drains does first, and it is not elected again", async () => {
    world.found("n1", { n2: {}, n3: { eligible: false } });
    await world.settle(world.member("n1").states.order("draining"));
    world.pass(1_000);
    expect(world.cluster.leaders().map(({ node }) => node)).toEqual(["n2"]);
    const states = world.member("n2").membership.roster().members.map(({ state }) => state);
    expect(states).toEqual(["draining", "active", "active"]);
  });
});
