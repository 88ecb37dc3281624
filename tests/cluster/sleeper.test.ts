/**
 * An owner that is put to sleep in the middle of its work and wakes when its chains belong to
 * another: every write that was pending is answered, none is acknowledged that is not in the chain,
 * and the process goes on as a follower, however long it slept and whatever was pruned meanwhile.
 */
import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { agreement } from "../support/agreement.ts";
import { Client, must } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { History, LEDGER_SQL } from "../support/history.ts";
import { NodeFolder, type NodeProcess } from "../support/node-process.ts";
import { hasS3, s3Server } from "../support/s3-server.ts";
import { StoredChains } from "../support/stored-chains.ts";
import { Writers } from "../support/writers.ts";

const MARKS_SQL = "CREATE TABLE marks (id INTEGER)";
const DATABASES = ["orders", "people", "events"];
/** Clients of the owner that falls asleep, for each database; and of its successor. */
const CLIENTS = 16;
const SUCCESSOR_CLIENTS = 6;
const SUCCESSOR_PAUSE_MS = 30;
/** Deadlines of the writes: most are over when the owner wakes, some are not. */
const TIMEOUTS_MS = [300, 1_000, 1_000, 10_000];
/** Writes that each database has had before the owner falls asleep, and from its successor. */
const WRITES_BEFORE = 200;
const WRITES_AFTER = 50;

/** The issue asks for 1 s; a loaded machine gets more before the test is red. */
const ANSWER_MS = 1_000;
const SLACK_MS = 1_000;
/** A client of the sleeper waits for as long as the whole test. */
const PATIENCE_MS = 240_000;
const PRUNED_WITHIN_MS = 120_000;

const QUICK = {
  "cluster_mode.leader_heartbeat_interval_secs": 1,
  "cluster_mode.leader_stale_threshold_secs": 2,
};
const FORGETFUL = {
  ...QUICK,
  "retention.every_epoch": "2s",
  "retention.window": "30s",
  "limits.snapshot_chain_bytes_min": 16 * 1024,
};

const folder = new NodeFolder();
const server = await s3Server();
const started: NodeProcess[] = [];
const closing: (() => unknown)[] = [];

afterEach(async () => {
  for (const node of started.splice(0)) await node.kill();
  for (const close of closing.splice(0)) await close();
});
afterAll(() => folder.remove());

const STORES = [
  { name: "directory", store: () => folder.fileStore(), skip: false },
  {
    name: "bucket",
    store: () => hasS3(server) ? server.settings() : "",
    skip: !hasS3(server),
  },
];

for (const { name, store, skip } of STORES) {
  describe.skipIf(skip)(`an owner on a ${name}`, () => {
    test(
      "that slept while another took its chains answers all that was pending and follows [I8]",
      async () => {
        const night = await fallAsleep(store(), QUICK);
        await wakeUp(night);
      },
      180_000,
    );

    // A PUT that takes its time is on its way in the moment of falling asleep.
    test(
      "that slept with an append in flight does not acknowledge what is not in the chain [I2, I7]",
      async () => {
        const night = await fallAsleep(store(), { ...QUICK, "storage.simulate_latency_ms": 60 });
        await wakeUp(night);
      },
      180_000,
    );

    test(
      "that slept for longer than epochs are kept finds its number taken, and follows [I4, I9]",
      async () => {
        const night = await fallAsleep(store(), FORGETFUL);
        await expectPruned(night);
        await wakeUp(night);
      },
      PRUNED_WITHIN_MS + 120_000,
    );
  });
}

/** One owner asleep, and what goes on meanwhile. */
interface Night {
  readonly sleeper: NodeProcess;
  readonly pid: number;
  readonly load: PendingWrites;
  readonly successor: NodeProcess;
  readonly awake: readonly Writers[];
  readonly histories: ReadonlyMap<string, History>;
  readonly chains: StoredChains;
}

/** Resolves when the successor has taken every chain, and acknowledged writes in each. */
async function fallAsleep(store: Store, set: Record<string, string | number>): Promise<Night> {
  const sleeper = await start({ store, set });
  const client = connect(sleeper);
  for (const database of DATABASES) {
    must(await client.create(database));
    must(await client.statements(database, [{ sql: LEDGER_SQL }, { sql: MARKS_SQL }]));
  }
  const successor = await start({ store, set });
  const chains = await StoredChains.open(store);
  closing.push(() => chains.close());
  const histories = new Map(DATABASES.map((database) => [database, new History(database)]));
  const load = new PendingWrites(sleeper, [...histories.values()]);
  await moreWrites(histories, WRITES_BEFORE);
  const { pid } = sleeper;
  sleeper.signal("SIGSTOP");
  await successor.until(/ this node leads/, 60_000);
  const awake = [...histories.values()].map((history) =>
    new Writers([successor], history, {
      count: SUCCESSOR_CLIENTS,
      firstClient: CLIENTS,
      pauseMs: SUCCESSOR_PAUSE_MS,
    })
  );
  await moreWrites(histories, WRITES_AFTER);
  return { sleeper, pid, load, successor, awake, histories, chains };
}

async function wakeUp(night: Night): Promise<void> {
  const { sleeper, load, successor, awake, histories, chains } = night;
  const answers = await load.wake();
  const slowestMs = Math.round(Math.max(...answers.map(({ ms }) => ms)));
  console.log(`${answers.length} writes were pending, the last was answered ${slowestMs} ms later`);
  const late = answers.filter(({ ms, timeoutMs }) =>
    ms > Math.max(ANSWER_MS, timeoutMs) + SLACK_MS
  );
  expect(late).toEqual([]);
  for (const history of histories.values()) {
    expect(history.refusals.get("no answer")).toBeUndefined();
  }
  for (const writers of awake) await writers.stop();
  await expectFollowing(night);
  for (const [database, history] of histories) {
    await agreement([connect(sleeper), connect(successor)], database);
    expect(await history.problems(connect(successor))).toEqual([]);
    expect(await history.problems(connect(sleeper))).toEqual([]);
  }
  for (const database of [...DATABASES, "system"]) {
    // A leader that nobody has a link to makes way once, and here has to claim again (section 8).
    const claims = (await chains.claims(database)).length;
    expect({ database, isFew: claims === 2 || claims === 3 }).toEqual({ database, isFew: true });
  }
}

/** In the same process, and with all that its successor acknowledged. */
async function expectFollowing({ sleeper, pid, successor, histories }: Night): Promise<void> {
  expect(sleeper.pid).toBe(pid);
  const [here, there] = [connect(sleeper), connect(successor)];
  await eventually("the one that slept follows", async () => {
    const { status, body } = await here.get("/v1/cluster");
    // It may be reading a chain anew.
    if (status === 503) return false;
    const { role } = must(await here.get("/health/ready"));
    return body.leader?.id === successor.id && body.term >= 2 && role === "broker";
  }, { instead: () => sleeper.log });
  for (const database of histories.keys()) {
    await agreement([here, there], database);
    const { epoch } = must(await there.execute(database, "INSERT INTO marks VALUES (?)", [pid]));
    const session = { level: "session", min_epoch: epoch };
    const read = must(await here.query(database, "SELECT id FROM marks", [], session));
    expect(read.rows).toEqual([[pid]]);
    expect(read.epoch).toBeGreaterThanOrEqual(epoch);
  }
  await agreement([here, there], "system");
}

/** Resolves when all data that was in level 0 at the time of this call is gone, and no claim is. */
async function expectPruned({ chains }: Night): Promise<void> {
  const night = await Promise.all(DATABASES.map(async (database) => {
    const headers = await chains.headers(database, await chains.epochs(database));
    const of = (kind: string) =>
      headers.filter((header) => header.kind === kind).map(({ maxEpoch }) => maxEpoch);
    return { database, data: of("data"), claims: of("claim") };
  }));
  for (const { database, data, claims } of night) {
    expect(data.length).toBeGreaterThan(0);
    // The second is at the number that the sleeper would write next, or one after what it had sent.
    expect([2, 3]).toContain(claims.length);
    const left = async () => new Set(await chains.epochs(database));
    await eventually(`epochs ${data[0]} to ${data.at(-1)} of ${database} are pruned`, async () => {
      const kept = await left();
      return data.every((epoch) => !kept.has(epoch));
    }, { withinMs: PRUNED_WITHIN_MS });
    const kept = await left();
    expect(claims.filter((claim) => !kept.has(claim))).toEqual([]);
    expect((await chains.snapshots(database)).at(-1)).toBeGreaterThan(claims[1]!);
  }
}

interface Answered {
  readonly timeoutMs: number;
  /** From SIGCONT to the answer. */
  readonly ms: number;
}

/** Clients that write at a node, so that when it falls asleep each has exactly one write pending. */
class PendingWrites {
  readonly #node: NodeProcess;
  readonly #running: Promise<Answered>[];
  #wokenMs = Infinity;

  constructor(node: NodeProcess, histories: readonly History[]) {
    this.#node = node;
    this.#running = histories.flatMap((history) =>
      Array.from({ length: CLIENTS }, (_, client) => this.#write(history, client))
    );
  }

  /** Wakes the node; resolves with the answers to all writes that were pending. */
  wake(): Promise<Answered[]> {
    this.#wokenMs = performance.now();
    this.#node.signal("SIGCONT");
    return Promise.all(this.#running);
  }

  async #write(history: History, client: number): Promise<Answered> {
    const connection = new Client(this.#node.url, { answerMs: PATIENCE_MS });
    closing.push(() => connection.close());
    const timeoutMs = TIMEOUTS_MS[client % TIMEOUTS_MS.length]!;
    for (let number = 1;; number++) {
      await history.write(connection, { client, number }, { timeout_ms: timeoutMs });
      const nowMs = performance.now();
      if (nowMs > this.#wokenMs) return { timeoutMs, ms: nowMs - this.#wokenMs };
    }
  }
}

type Options = Parameters<NodeFolder["node"]>[0];
type Store = Options["store"];

async function start(options: Options): Promise<NodeProcess> {
  const node = folder.node(options);
  started.push(node);
  return await node.start();
}

/** Closed after the test. */
function connect(node: NodeProcess): Client {
  const client = new Client(node.url, { answerMs: PATIENCE_MS });
  closing.push(() => client.close());
  return client;
}

/** In each of the databases. */
async function moreWrites(histories: ReadonlyMap<string, History>, count: number): Promise<void> {
  const aims = [...histories.values()].map((history) => ({
    history,
    aimed: history.acknowledged + count,
  }));
  await eventually(
    `${count} more writes in each database`,
    () => aims.every(({ history, aimed }) => history.acknowledged >= aimed),
    { withinMs: 60_000, instead: () => started.map(({ log }) => log).join("\n---\n") },
  );
}
