import { beforeEach, describe, expect, test } from "bun:test";
import { systemClock } from "../../../src/base/clock.ts";
import { describe as describeError, Failure } from "../../../src/base/failure.ts";
import { seededRandom } from "../../../src/base/random.ts";
import { brokerKey, CLUSTER_KEY, CLUSTER_SECRET_KEY, LEADER_KEY } from "../../../src/epoch/key.ts";
import { BrokerRecord } from "../../../src/server/broker-record.ts";
import {
  findCluster,
  LeaderHeartbeat,
  listBrokers,
  openCluster,
  readClusterSecret,
  readLeaderFile,
} from "../../../src/server/cluster-files.ts";
import { answerLost, fails, ScriptedStore } from "../replica/scripted-store.ts";

const clock = { ...systemClock, sleep: () => Promise.resolve() };
let store: ScriptedStore;
const parts = (seed = 1) => ({ store, clock, random: seededRandom(seed) });
beforeEach(() => store = new ScriptedStore(clock));

const json = async (key: string) =>
  JSON.parse(new TextDecoder().decode((await store.memory.get(key))!.bytes));

describe("the cluster's identity", () => {
  test("is made once, the secret first, and is the same for all that open it", async () => {
    const made = await openCluster(parts(1));
    expect(store.sent.filter((text) => text.startsWith("create"))).toEqual([
      `create ${CLUSTER_SECRET_KEY}`,
      `create ${CLUSTER_KEY}`,
    ]);
    const secret = await json(CLUSTER_SECRET_KEY);
    expect([secret.format, secret.secret.length]).toEqual([1, 64]);
    expect(await openCluster(parts(2))).toEqual(made);
    expect(await json(CLUSTER_SECRET_KEY)).toEqual(secret);
  });

  test("two founders at once agree on one", async () => {
    const [a, b] = await Promise.all([openCluster(parts(1)), openCluster(parts(2))]);
    expect(a).toEqual(b);
  });

  test("is made whole by the next start after a crash between its files", async () => {
    store.next("create", () => Promise.reject(new Error("killed")), { key: CLUSTER_KEY });
    await expect(openCluster(parts(1))).rejects.toThrow("killed");
    const secret = await json(CLUSTER_SECRET_KEY);
    expect((await openCluster(parts(2))).id).toHaveLength(16);
    expect(await json(CLUSTER_SECRET_KEY)).toEqual(secret);
  });

  test("is not made twice for a lost answer", async () => {
    store.next("create", answerLost, { times: 2 });
    const made = await openCluster(parts(1));
    expect(store.count("create")).toBe(2);
    expect((await json(CLUSTER_KEY)).id).toBe(made.id);
  });

  test("of a newer version is refused, and damaged bytes are corrupt", async () => {
    const bytes = (text: string) => new TextEncoder().encode(text);
    await store.memory.create(CLUSTER_KEY, bytes('{"format":2,"id":"x"}'));
    await expect(openCluster(parts())).rejects.toMatchObject({ kind: "invalid" });
    await store.memory.remove([CLUSTER_KEY]);
    await store.memory.create(CLUSTER_KEY, bytes('{"format":1,'));
    await expect(openCluster(parts())).rejects.toMatchObject({ kind: "corrupt" });
  });
});

describe("the cluster's secret", () => {
  const put = async (text: string) => {
    await store.memory.remove([CLUSTER_SECRET_KEY]);
    await store.memory.create(CLUSTER_SECRET_KEY, new TextEncoder().encode(text));
  };

  test("is the one that was made first, for everybody", async () => {
    expect(await readClusterSecret(store)).toBeNull();
    const made = await findCluster(parts(1));
    expect(made.secret).toMatch(/^[0-9a-f]{64}$/);
    expect(await findCluster(parts(2))).toEqual(made);
    expect(await readClusterSecret(store)).toBe(made.secret);
  });

  test("that is damaged, too short or of a newer version is refused without being shown", async () => {
    const secret = "0123456789abcdef".repeat(4);
    const cases: [string, string][] = [
      [secret, "corrupt"],
      [`{"format":1,"secret":${secret}}`, "corrupt"],
      [`{"format":1,"secret":"${secret.slice(0, 31)}"}`, "corrupt"],
      ['{"format":1}', "corrupt"],
      ["null", "corrupt"],
      [`{"format":2,"secret":"${secret}"}`, "invalid"],
    ];
    for (const [text, kind] of cases) {
      await put(text);
      const error = await readClusterSecret(store).then(() => null, (thrown) => thrown);
      expect([text, error?.kind]).toEqual([text, kind]);
      expect(describeError(error)).not.toContain(secret.slice(0, 8));
    }
  });

  test("that is gone stops the start: another one would make every token worthless", async () => {
    await findCluster(parts());
    await store.memory.remove([CLUSTER_SECRET_KEY]);
    await expect(findCluster(parts())).rejects.toMatchObject({ kind: "corrupt" });
  });
});

describe("the leader's heartbeat", () => {
  const facts = (node: string) => ({
    node,
    address: `http://${node}`,
    peer_address: `${node}:8443`,
    term: 3,
    epoch: 9,
    heartbeat_ms: 30_000,
  });

  test("is one request, with a fresh nonce each time", async () => {
    const heart = new LeaderHeartbeat(parts());
    expect(await heart.beat(facts("n1"))).toBe(true);
    const first = await readLeaderFile(store);
    const before = store.sent.length;
    expect(await heart.beat(facts("n1"))).toBe(true);
    expect(store.sent.slice(before)).toEqual([`replace ${LEADER_KEY}`]);
    const second = await readLeaderFile(store);
    expect([first?.node, second?.node]).toEqual(["n1", "n1"]);
    expect(second?.nonce).not.toBe(first?.nonce);
  });

  test("tells a leader that another one wrote the file since", async () => {
    const [old, young] = [new LeaderHeartbeat(parts(1)), new LeaderHeartbeat(parts(2))];
    await old.beat(facts("n1"));
    expect(await young.beat(facts("n2"))).toBe(true);
    expect(await old.beat(facts("n1"))).toBe(false);
    expect((await readLeaderFile(store))?.node).toBe("n2");
  });

  test("whose answer was lost is no other leader's, however often", async () => {
    const heart = new LeaderHeartbeat(parts());
    await heart.beat(facts("n1"));
    for (let lost = 0; lost < 3; lost++) {
      store.next("replace", answerLost);
      await expect(heart.beat(facts("n1"))).rejects.toMatchObject({ kind: "uncertain" });
    }
    const { nonce } = (await readLeaderFile(store))!;
    expect(await heart.beat(facts("n1"))).toBe(true);
    expect((await readLeaderFile(store))?.nonce).not.toBe(nonce);
  });

  test("that was lost on its way is sent again", async () => {
    const heart = new LeaderHeartbeat(parts());
    store.next("replace", fails("uncertain"));
    await expect(heart.beat(facts("n1"))).rejects.toMatchObject({ kind: "uncertain" });
    expect(await heart.beat(facts("n1"))).toBe(true);
  });

  test("a lost answer does not hide that another leader wrote after it", async () => {
    const [old, young] = [new LeaderHeartbeat(parts(1)), new LeaderHeartbeat(parts(2))];
    await old.beat(facts("n1"));
    store.next("replace", answerLost);
    await old.beat(facts("n1")).catch(() => {});
    expect(await young.beat(facts("n2"))).toBe(true);
    expect(await old.beat(facts("n1"))).toBe(false);
    expect((await readLeaderFile(store))?.node).toBe("n2");
  });

  test("of a node that leads again replaces what the other left", async () => {
    const [one, two] = [new LeaderHeartbeat(parts(1)), new LeaderHeartbeat(parts(2))];
    await one.beat(facts("n1"));
    await two.beat(facts("n2"));
    expect(await one.beat(facts("n1"))).toBe(false);
    expect(await one.beat(facts("n1"))).toBe(true);
    expect((await readLeaderFile(store))?.node).toBe("n1");
  });
});

describe("a node's own file", () => {
  const facts = (nonce: string, state = "active") => ({
    node: "n1",
    address: `http://${nonce}`,
    peer_address: `${nonce}:8443`,
    zone: "z",
    roles: ["standby"],
    state,
    version: "1",
    nonce,
  });
  const file = () => json(brokerKey("n1"));

  const live = new Set<string>();
  const recordParts = () => ({
    ...parts(),
    isSelfAt: (address: string) => Promise.resolve(live.has(address)),
  });

  test("is not taken from an older process that answers", async () => {
    const old = new BrokerRecord(recordParts());
    await old.write(facts("old"));
    live.add("http://old");
    await expect(new BrokerRecord(recordParts()).write(facts("new"))).rejects.toMatchObject({
      kind: "conflict",
      message: "Cannot start: the node id n1 is in use at http://old; " +
        "delete the file at cluster_mode.node_id_path for a new one",
    });
    expect(await file()).toMatchObject({ nonce: "old" });
    await old.write(facts("old", "draining"));
    live.clear();
  });

  test("is not taken from one that writes at the same moment and answers", async () => {
    const old = new BrokerRecord(recordParts());
    store.next("replace", async (apply) => {
      await old.write(facts("old"));
      live.add("http://old");
      return await apply();
    });
    await expect(new BrokerRecord(recordParts()).write(facts("new"))).rejects.toMatchObject({
      kind: "conflict",
    });
    expect(await file()).toMatchObject({ nonce: "old" });
    live.clear();
  });

  test("replaces what an earlier process left, with one request afterwards", async () => {
    await new BrokerRecord(recordParts()).write(facts("old"));
    const record = new BrokerRecord(recordParts());
    await record.write(facts("new"));
    const before = store.sent.length;
    await record.write(facts("new", "draining"));
    expect(store.sent.length - before).toBe(1);
    expect(await file()).toMatchObject({ format: 1, nonce: "new", state: "draining" });
    expect((await listBrokers(store)).map(({ node }) => node)).toEqual(["n1"]);
  });

  test("that holds a newer process's nonce ends the older one", async () => {
    const [old, young] = [new BrokerRecord(recordParts()), new BrokerRecord(recordParts())];
    await old.write(facts("old"));
    await young.write(facts("new"));
    await expect(old.write(facts("old"))).rejects.toMatchObject({
      kind: "conflict",
      message: "The node id n1 is in use by another process at http://new",
    });
    expect(await file()).toMatchObject({ nonce: "new" });
  });

  test("after a lost answer is still its own, and later a newer process's is noticed", async () => {
    const [old, young] = [new BrokerRecord(recordParts()), new BrokerRecord(recordParts())];
    await old.write(facts("old"));
    store.next("replace", answerLost);
    await expect(old.write(facts("old"))).rejects.toMatchObject({ kind: "uncertain" });
    await old.write(facts("old"));
    await young.write(facts("new"));
    await expect(old.write(facts("old"))).rejects.toMatchObject({ kind: "conflict" });
  });

  test("is taken away by its own process alone, also while it is written", async () => {
    const record = new BrokerRecord(recordParts());
    void record.write(facts("own"));
    await record.remove(facts("own"));
    expect(await store.memory.get(brokerKey("n1"))).toBeNull();
    await record.write(facts("own"));
    expect((await json(brokerKey("n1"))).nonce).toBe("own");
    await record.remove(facts("another"));
    expect((await json(brokerKey("n1"))).nonce).toBe("own");
  });

  test("is written at the first attempt although the older process writes at that moment", async () => {
    const old = new BrokerRecord(recordParts());
    await old.write(facts("old"));
    store.next("replace", async (apply) => {
      await old.write(facts("old", "draining"));
      return await apply();
    });
    await new BrokerRecord(recordParts()).write(facts("new"));
    expect(await file()).toMatchObject({ nonce: "new" });
    await expect(old.write(facts("old"))).rejects.toBeInstanceOf(Failure);
  });
});
