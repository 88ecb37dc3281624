/**
 * A store that fails while clients write: answers lost after the object was made, connections
 * dropped, 500, 503, 409, a hang of five seconds, no store at all. Every client is answered by its
 * deadline, nothing is lost or doubled, and the owner stays owner, since nobody took its chain.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Client, must } from "../support/client.ts";
import { type Fault, type FaultProxy, startFaultProxy } from "../support/fault-proxy.ts";
import { History, LEDGER_SQL } from "../support/history.ts";
import { NodeFolder, type NodeProcess } from "../support/node-process.ts";
import { hasS3, s3Server } from "../support/s3-server.ts";

const CLIENTS = 20;
const WRITES_A_CLIENT = 8;
/** A store that does not answer is known to after this time (STORE_ATTEMPT_MS). */
const ATTEMPT_MS = 5_000;
const SLACK_MS = 2_000;

const server = await s3Server();
const folder = new NodeFolder();
let proxy: FaultProxy;
let node: NodeProcess;
let ledgers = 0;

const FAULTS: readonly { name: string; fault: Fault; times?: number }[] = [
  { name: "the answer is lost, the object was made", fault: { kind: "drop-after" } },
  { name: "a reset instead of the answer", fault: { kind: "drop-after", reset: true } },
  { name: "half an answer", fault: { kind: "cut-answer", bytes: 9 } },
  { name: "the connection drops before", fault: { kind: "drop-before" } },
  { name: "the connection drops within the body", fault: { kind: "cut-request", bytes: 150 } },
  { name: "500 before", fault: answer(500, "InternalError", "before") },
  { name: "500 after the object was made", fault: answer(500, "InternalError", "after") },
  { name: "503 before", fault: answer(503, "SlowDown", "before") },
  { name: "503 after the object was made", fault: answer(503, "SlowDown", "after") },
  { name: "409 before", fault: answer(409, "ConditionalRequestConflict", "before") },
  { name: "409 after the object was made", fault: answer(409, "OperationAborted", "after") },
  { name: "5 s of silence, then it is made", fault: hang("before"), times: 1 },
  { name: "it is made, then 5 s of silence", fault: hang("after"), times: 1 },
];

describe.skipIf(!hasS3(server))("an S3 server behind a proxy", () => {
  beforeAll(async () => {
    if (!hasS3(server)) return;
    proxy = await startFaultProxy(Number(new URL(server.endpoint).port));
    // Without heartbeats all PUTs are those of the writes.
    const set = { "cluster_mode.leader_heartbeat_interval_secs": 3600 };
    node = await folder.node({ store: server.settings(proxy.endpoint), set }).start();
  }, 60_000);

  afterAll(async () => {
    await folder.remove();
    await proxy?.stop();
  });

  for (const { name, fault, times = 2 } of FAULTS) {
    test(`${name}: all are answered, nothing is lost or doubled [I2, I7]`, async () => {
      const { database, history, client } = await ledger();
      const before = { ...await facts(client), wire: proxy.count("PUT") };
      const epochs = new RegExp(`databases/${database}/0000/`);
      // One after a success, some in a row, then all is well again.
      const rules = [{ nth: 2, times }, { nth: 2 + times + 2, times: 1 }];
      proxy.rules.push(
        ...rules.map((rule) => ({ method: "PUT", key: epochs, fault, ...rule })),
      );
      await write(history);
      proxy.rules.length = 0;
      const spoiled = proxy.seen.filter((seen) => seen.fault !== null && epochs.test(seen.key));
      expect(spoiled.length).toBe(times + 1);
      expect(history.refusals.get("no answer")).toBeUndefined();
      expect(history.slowestMs).toBeLessThan(ATTEMPT_MS + SLACK_MS);
      expect(history.size).toBe(CLIENTS * WRITES_A_CLIENT);
      if (fault.kind !== "hang") expect(history.acknowledged).toBe(history.size);
      await quiet(client, database);
      expect(await history.problems(client)).toEqual([]);
      expect(resentBlindly(epochs)).toEqual([]);
      const { puts, ...after } = await facts(client);
      expect(after).toEqual({ leader: before.leader, term: before.term });
      // Counted by the node under its retries, and by the proxy on the wire.
      expect(puts - before.puts).toBe(proxy.count("PUT") - before.wire);
      client.close();
    }, 60_000);
  }

  test("a rollback whose answer from the store was lost is done once", async () => {
    const { database, client } = await ledger();
    const old = must(await client.execute(database, "INSERT INTO ledger VALUES ('a', 0, 1)"));
    const last = must(await client.execute(database, "INSERT INTO ledger VALUES ('b', 0, 2)"));
    const key = new RegExp(`databases/${database}/0000/`);
    for (const fault of [{ kind: "drop-after" }, answer(500, "InternalError", "after")] as const) {
      proxy.rules.push({ method: "PUT", key, fault });
    }
    const rolled = must(await client.rollback(database, old.epoch));
    proxy.rules.length = 0;
    expect(rolled.epoch).toBe(last.epoch + 1);
    expect(await client.rows(database, "SELECT id FROM ledger")).toEqual([["a"]]);
    const next = must(await client.execute(database, "INSERT INTO ledger VALUES ('c', 0, 3)"));
    expect(next.epoch).toBe(rolled.epoch + 1);
    client.close();
  }, 60_000);

  test("create and drop go on through lost answers at every object they make", async () => {
    const client = node.client();
    const fault = { kind: "drop-after" } as const;
    proxy.rules.push({ method: "PUT", key: /databases\/(fallen|system)\//, times: 4, fault });
    must(await client.create("fallen"));
    proxy.rules.length = 0;
    proxy.rules.push({ method: "PUT", key: /databases\/(fallen|system)\//, times: 6, fault });
    must(await client.drop("fallen"));
    proxy.rules.length = 0;
    const { databases } = must(await client.get("/v1/databases"));
    expect(databases.map(({ name }: { name: string }) => name)).not.toContain("fallen");
    expect(must(await client.create("fallen")).name).toBe("fallen");
    client.close();
  }, 60_000);

  test(
    "without a store reads go on, writes are answered by their deadline, and all comes back",
    async () => {
      const { database, history, client } = await ledger();
      const before = await facts(client);
      await write(history);
      await proxy.refuse(true);
      const startedMs = performance.now();
      const lost = Array.from({ length: CLIENTS }, (_, index) => {
        const number = WRITES_A_CLIENT + 1;
        return history.write(client, { client: index, number }, { timeout_ms: 1_500 });
      });
      const rows = await client.rows(database, "SELECT count(*) FROM ledger");
      expect(rows).toEqual([[CLIENTS * WRITES_A_CLIENT]]);
      const answer = await client.query(database, "SELECT 1", [], {
        level: "linearizable",
        timeout_ms: 1_000,
      });
      expect(answer.status).toBe(503);
      for (const outcome of await Promise.all(lost)) expect(outcome).not.toBe("acknowledged");
      expect(performance.now() - startedMs).toBeLessThan(1_500 + SLACK_MS);
      expect(history.refusals.get("no answer")).toBeUndefined();
      await proxy.refuse(false);
      await quiet(client, database);
      expect(await history.problems(client)).toEqual([]);
      expect((await facts(client)).term).toBe(before.term);
      client.close();
    },
    60_000,
  );

  test(
    "a node founds a cluster on a store that fails every fifth request, and starts again",
    async () => {
      if (!hasS3(server)) return;
      const founder = folder.node({ store: server.settings(proxy.endpoint) });
      const fault = answer(503, "SlowDown", "before");
      const fifth = () => {
        for (let nth = 5; nth < 500; nth += 5) proxy.rules.push({ nth, fault });
      };
      fifth();
      await founder.start();
      const history = new History("app");
      const client = founder.client();
      must(await client.create("app"));
      must(await client.execute("app", LEDGER_SQL));
      for (let number = 1; number <= 20; number++) {
        expect(await history.write(client, { client: 0, number })).toBe("acknowledged");
      }
      client.close();
      await founder.kill();
      proxy.rules.length = 0;
      fifth();
      await founder.start();
      const again = founder.client();
      await quiet(again, "app");
      proxy.rules.length = 0;
      expect(await history.problems(again)).toEqual([]);
      again.close();
    },
    60_000,
  );
});

/** A database of its own, with an empty ledger. */
async function ledger() {
  const database = `faults-${++ledgers}`;
  const client = node.client();
  must(await client.create(database));
  must(await client.execute(database, LEDGER_SQL));
  return { database, history: new History(database), client };
}

async function write(history: History): Promise<void> {
  await Promise.all(Array.from({ length: CLIENTS }, async (_, index) => {
    const client = node.client();
    for (let number = 1; number <= WRITES_A_CLIENT; number++) {
      await history.write(client, { client: index, number });
    }
    client.close();
  }));
}

/** Waits until what was in flight is decided: a write that is durable comes after it. */
async function quiet(client: Client, database: string): Promise<void> {
  const touch = "PRAGMA user_version = 1";
  must(await client.execute(database, touch, [], { timeout_ms: 20_000 }));
}

async function facts(client: Client) {
  const { leader, term } = must(await client.get("/v1/cluster"));
  const text = String(must(await client.get("/metrics")));
  const pattern = /^headgate_store_requests_total\{operation="(?:create|replace)".*\} (\d+)$/gm;
  const puts = [...text.matchAll(pattern)].reduce((sum, [, count]) => sum + Number(count), 0);
  return { leader, term, puts };
}

/** Keys that were sent a second time without a look at what the first time came to. */
function resentBlindly(keys: RegExp): string[] {
  const unlooked = new Set<string>();
  return proxy.seen.filter(({ key }) => keys.test(key)).flatMap(({ method, key }) => {
    if (method !== "PUT") unlooked.delete(key);
    else if (unlooked.has(key)) return [key];
    else unlooked.add(key);
    return [];
  });
}

function answer(status: number, code: string, when: "before" | "after"): Fault {
  return { kind: "answer", status, code, when };
}

function hang(when: "before" | "after"): Fault {
  return { kind: "hang", ms: 5_000, when };
}
