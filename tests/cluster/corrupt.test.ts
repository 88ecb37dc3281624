/**
 * Bits that flip, objects that end early, objects that stand in another's place: found when a node
 * joins and while it follows, named with key and cause in the answer and in the log, never served;
 * and over without a restart once the right bytes are back. All other databases go on meanwhile.
 *
 * The owner is gone in all of this: what a node knows comes from the store.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  type Damage,
  DAMAGES,
  forged,
  LaterObjects,
  StoredObject,
  storedObjects,
} from "../support/chain-damage.ts";
import { NodeFolder, type NodeProcess } from "../support/node-process.ts";
import { noise } from "../support/noise.ts";
import { type Answer, SqlClient } from "../support/sql-client.ts";

const ROWS = "SELECT n, noise FROM t ORDER BY n";
const ROW_BYTES = 5_000;
/** Epoch 1 makes a database, 2 its table, each further one a row. */
const TIP = 8;
/** Where chains of such rows get their snapshot when they get it as early as may be. */
const SNAPSHOT = 6;
/** Longer than the pauses between two looks at a chain. */
const LOOK_MS = 30_000;

const VICTIMS = DAMAGES.map((_, index) => `victim-${index}`);
/** Where it does not matter which. */
const FLIPPED = DAMAGES.find(({ name }) => name === "a flipped bit in a page")!;

const folder = new NodeFolder();
afterAll(() => folder.remove());

/** An object that is damaged, and what must be said of it. */
interface Victim {
  readonly damage: Damage;
  readonly database: string;
  readonly object: StoredObject;
  /** Key of the object that is named: the next one where only that can tell. */
  readonly named: string;
  readonly good: Uint8Array;
  readonly bad: Uint8Array;
}

for (const [level, kind] of [[0, "an epoch"], [9, "a snapshot"]] as const) {
  describe(`a node that starts on ${kind} with`, () => {
    let victims: Victim[];
    let node: NodeProcess;
    let client: SqlClient;

    beforeAll(async () => {
      const store = await storeWith([...VICTIMS, "well", "donor"]);
      if (level === 0) VICTIMS.forEach((name) => removeCompacted(store, name));
      victims = DAMAGES.map((damage, index) => victim(store, damage, VICTIMS[index]!, level));
      for (const { object, bad } of victims) object.put(bad);
      node = await folder.node({ store }).start();
      client = new SqlClient(node.url);
      await until(() => leads(node));
    }, 120_000);

    for (const [index, { name }] of DAMAGES.entries()) {
      test(`${name} says so, and serves nothing of it [I9]`, async () => {
        const one = victims[index]!;
        await expectRefused(node, one);
        expectLogged(node, one);
        const write = await client.send(one.database, { statements: [insert(one.database, 7)] });
        expectCorrupt(write, one);
        expectCorrupt(await ask(node, one.database, { level: "linearizable" }), one);
      });
    }

    test("any of these serves the other databases, to writers too", async () => {
      expect(await client.query("well", ROWS)).toEqual(rowsAt("well", TIP));
      // A claim comes before it.
      expect(await client.execute("well", [insert("well", TIP - 1)])).toBe(TIP + 2);
      expect(await client.query("well", ROWS)).toEqual(rowsAt("well", TIP + 1));
    });

    test("any of these serves all, without a restart, once the right bytes are back", async () => {
      for (const { object, good } of victims) object.put(good);
      for (const { database } of victims) {
        await until(() => serves(node, database, TIP));
        await client.execute(database, [insert(database, TIP - 1)]);
        expect(await client.query(database, ROWS)).toEqual(rowsAt(database, TIP + 1));
        expect(await client.query(database, "PRAGMA integrity_check")).toEqual([["ok"]]);
      }
    }, 60_000);
  });
}

describe("a node that follows and comes to an epoch with", () => {
  const later = new Map<string, LaterObjects>();
  let store: string;
  let victims: Victim[];
  let covered: Victim;
  let node: NodeProcess;
  let watch: Watch;

  beforeAll(async () => {
    store = await storeWith([...VICTIMS, "well", "covered", "twice", "donor"]);
    for (const name of VICTIMS) removeCompacted(store, name);
    victims = DAMAGES.map((damage, index) => victim(store, damage, VICTIMS[index]!, 0));
    covered = victim(store, FLIPPED, "covered", 0);
    const ends = [...VICTIMS, "well", "covered"].map((name) => [name, SNAPSHOT - 1] as const);
    const starts = [...ends, ["twice", SNAPSHOT] as const];
    for (const [name, last] of starts) later.set(name, new LaterObjects(store, name, last));
    node = await folder.node({ store, set: { eligible: "false" } }).start();
    for (const [name, last] of starts) await until(() => serves(node, name, last));
    watch = new Watch(node, starts.map(([name]) => name));
    for (const { database, object, bad } of victims) {
      later.get(database)!.show({ [object.key]: bad });
    }
  }, 120_000);

  afterAll(() => watch?.stop());

  for (const [index, { name }] of DAMAGES.entries()) {
    test(`${name} says so, and serves nothing of it [I9]`, async () => {
      const one = victims[index]!;
      await until(() => isRefused(node, one.database));
      await expectRefused(node, one);
      expectLogged(node, one);
    }, 60_000);
  }

  test("any of these follows the other databases", async () => {
    later.get("well")!.show();
    await until(() => serves(node, "well", TIP));
  }, 60_000);

  test("one of these passes it over where a snapshot reaches further", async () => {
    later.get("covered")!.show({ [covered.object.key]: covered.bad });
    await until(() => serves(node, "covered", TIP));
    expect(node.log).toContain(covered.object.key);
  }, 60_000);

  test("another link, and a damaged snapshot in its stead, names the snapshot", async () => {
    const snapshot = victim(store, FLIPPED, "twice", 9);
    snapshot.object.put(snapshot.bad);
    const next = epochOf(store, "twice", SNAPSHOT + 1);
    later.get("twice")!.show();
    const good = next.read();
    next.put(forged(good, { link: 77n }));
    await until(() => isRefused(node, "twice"));
    await expectRefused(node, snapshot);
    expect(node.log).toContain(`Cannot apply ${next.key}: its link is 000000000000004d`);
    victims.push(snapshot, { ...snapshot, object: next, good });
  }, 60_000);

  test("any of these serves all, without a restart, once the right bytes are back", async () => {
    for (const { object, good } of victims) object.put(good);
    for (const { database } of victims) await until(() => serves(node, database, TIP));
    await watch.stop();
    expect(watch.problems).toEqual([]);
    expect(watch.served).toBeGreaterThan(VICTIMS.length);
  }, 60_000);
});

test(
  "a node that starts where another database's snapshot is the chain's end says so",
  async () => {
    const store = await storeWith(["swapped", "donor"]);
    for (let epoch = SNAPSHOT + 1; epoch <= TIP; epoch++) epochOf(store, "swapped", epoch).take();
    const snapshot = snapshotOf(store, "swapped");
    const good = snapshot.read();
    snapshot.put(snapshotOf(store, "donor").read());
    const node = await folder.node({ store, set: { eligible: "false" } }).start();
    const { status, body } = await ask(node, "swapped");
    expect({ status, kind: body.error?.kind }).toEqual({ status: 500, kind: "corrupt" });
    expect(body.error?.message).toContain(`Cannot use ${snapshot.key}: its database checksum is `);
    snapshot.put(good);
    await until(() => serves(node, "swapped", SNAPSHOT));
  },
  60_000,
);

describe("the chain of system with a flipped bit", () => {
  test("keeps a node from starting, which says where; whole again, it starts", async () => {
    const store = await storeWith(["well"]);
    const object = storedObjects(store, "system", 0).at(-1)!;
    const good = object.read();
    object.put(flip(good));
    removeCompacted(store, "system");
    const node = folder.node({ store });
    const { ended } = await node.launch();
    expect((await ended).code).toBe(1);
    expect(node.log).toContain(object.key);
    expect(node.log).toMatch(FLIPPED.cause);
    object.put(good);
    await node.start();
    await until(() => serves(node, "well", TIP));
  }, 60_000);

  test("leaves a follower what it has; what comes later comes once it is whole", async () => {
    const store = await storeWith(["early"]);
    const last = storedObjects(store, "system", 0).at(-1)!.max;
    await storeWith(["late"], store);
    removeCompacted(store, "system");
    const next = epochOf(store, "system", last + 1);
    const good = next.read();
    const later = new LaterObjects(store, "system", last);
    const node = await folder.node({ store, set: { eligible: "false" } }).start();
    await until(() => serves(node, "early", TIP));
    expect((await ask(node, "late")).status).toBe(404);
    later.show({ [next.key]: flip(good) });
    await node.until(/ error the chain is damaged.* database=system /, LOOK_MS);
    const answer = await new SqlClient(node.url).ask("system", { sql: "SELECT 1" });
    expect(answer).toMatchObject({ status: 500, body: { error: { kind: "corrupt" } } });
    expect(answer.body.error?.message).toContain(next.key);
    expect(await serves(node, "early", TIP)).toBe(true);
    next.put(good);
    await until(() => serves(node, "late", TIP));
  }, 60_000);
});

/** A store with these databases, each with a chain to TIP and a snapshot; their owner is dead. */
async function storeWith(
  databases: readonly string[],
  store = folder.fileStore(),
): Promise<string> {
  const set = { "limits.snapshot_chain_bytes_min": 1024 };
  const owner = await folder.node({ store, set }).start();
  const client = new SqlClient(owner.url);
  await until(() => leads(owner));
  for (const database of databases) {
    await client.create(database);
    await client.execute(database, ["CREATE TABLE t (n INTEGER PRIMARY KEY, noise BLOB)"]);
    for (let n = 1; n <= TIP - 2; n++) {
      expect(await client.execute(database, [insert(database, n)])).toBe(n + 2);
      // In the image too, so that a snapshot which the next one causes is of this epoch.
      await client.query(database, "SELECT 1");
    }
  }
  for (const database of databases) {
    await until(async () => (await client.inspect(database)).snapshot === SNAPSHOT);
  }
  await owner.kill();
  return store;
}

/** The rows of a database as of an epoch. */
function rowsAt(database: string, epoch: number): unknown[][] {
  return Array.from({ length: epoch - 2 }, (_, index) => [index + 1, row(database, index + 1)]);
}

function row(database: string, n: number) {
  return { base64: noise(`${database} ${n}`, ROW_BYTES).toString("base64") };
}

function insert(database: string, n: number) {
  return { sql: "INSERT INTO t VALUES (?, ?)", params: [n, row(database, n)] };
}

function epochOf(store: string, database: string, epoch: number): StoredObject {
  return new StoredObject(store, database, 0, epoch, epoch);
}

function snapshotOf(store: string, database: string): StoredObject {
  return new StoredObject(store, database, 9, 1, SNAPSHOT);
}

/** Leaves a chain nothing but its epochs. */
function removeCompacted(store: string, database: string): void {
  for (let level = 1; level <= 9; level++) {
    for (const object of storedObjects(store, database, level)) object.take();
  }
}

function flip(bytes: Uint8Array): Uint8Array {
  return FLIPPED.make(bytes, { anotherEpoch: bytes, anotherDatabase: bytes });
}

/** Plans the damage; nothing is done yet. */
function victim(store: string, damage: Damage, database: string, level: 0 | 9): Victim {
  const of = level === 0
    ? (name: string) => epochOf(store, name, SNAPSHOT)
    : (name: string) => snapshotOf(store, name);
  const object = of(database);
  const good = object.read();
  const { min, max } = object;
  const anotherEpoch = forged(good, { minEpoch: level === 0 ? min - 1 : 1, maxEpoch: max - 1 });
  const bad = damage.make(good, { anotherEpoch, anotherDatabase: of("donor").read() });
  // Nothing in a snapshot says whose it is.
  const isFoundByNext = level === 9 && damage.name.startsWith("another database");
  const named = isFoundByNext ? epochOf(store, database, SNAPSHOT + 1) : object;
  return { damage, database, object, named: named.key, good, bad };
}

function ask(node: NodeProcess, database: string, more: object = {}): Promise<Answer> {
  return new SqlClient(node.url).ask(database, { sql: ROWS, timeout_ms: 5_000, ...more });
}

async function leads(node: NodeProcess): Promise<boolean> {
  const answer = await fetch(`${node.url}/health/ready`);
  const { role } = await answer.json() as { role: string };
  return role === "leader";
}

async function isRefused(node: NodeProcess, database: string): Promise<boolean> {
  return (await ask(node, database)).body.error?.kind === "corrupt";
}

/** True when the epoch is served; rejects when its rows are not what they were. */
async function serves(node: NodeProcess, database: string, epoch: number): Promise<boolean> {
  const { status, body } = await ask(node, database);
  if (status !== 200 || body.epoch! < epoch) return false;
  expect(body.rows).toEqual(rowsAt(database, epoch));
  return true;
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + LOOK_MS;
  while (!(await isSo())) {
    if (performance.now() > deadlineMs) throw new Error(`not so within ${LOOK_MS} ms: ${isSo}`);
    await Bun.sleep(100);
  }
}

/** Whatever a client asks of a database whose chain is damaged, it is told the same. */
async function expectRefused(node: NodeProcess, one: Victim): Promise<void> {
  for (const more of [{}, { min_epoch: 3 }, { level: "local" }]) {
    expectCorrupt(await ask(node, one.database, more), one);
  }
  for (const at of ["", "?epoch=3"]) {
    const answer = await fetch(`${node.url}/v1/databases/${one.database}/export${at}`);
    expect([at, answer.status]).toEqual([at, 500]);
    expectCorrupt({ status: 500, ms: 0, body: await answer.json() as Answer["body"] }, one);
  }
}

function expectCorrupt({ status, body }: Answer, { damage, named }: Victim): void {
  expect({ status, kind: body.error?.kind }).toEqual({ status: 500, kind: "corrupt" });
  expect(body.error?.message).toContain(named);
  expect(body.error?.message).toMatch(damage.cause);
}

function expectLogged(node: NodeProcess, { database, damage, named }: Victim): void {
  const lines = node.log.split("\n").filter((line) =>
    / error /.test(line) && line.includes(` database=${database} `) && line.includes(named)
  );
  expect(lines.join("\n")).toMatch(damage.cause);
}

/** Clients that read all along: what they get is right for its epoch, or nothing. */
class Watch {
  readonly problems: string[] = [];
  served = 0;
  readonly #watching: Promise<void>;
  #isOver = false;

  constructor(node: NodeProcess, databases: readonly string[]) {
    this.#watching = this.#watch(node, databases);
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#watching;
  }

  async #watch(node: NodeProcess, databases: readonly string[]): Promise<void> {
    while (!this.#isOver) {
      for (const database of databases) {
        const { status, body } = await ask(node, database);
        const kind = body.error?.kind ?? "";
        if (status !== 200 && ["corrupt", "unavailable"].includes(kind)) continue;
        this.served++;
        const { epoch = 0 } = body;
        const isRight = Bun.deepEquals(body.rows, rowsAt(database, epoch));
        if (!isRight) this.problems.push(`${database} at ${epoch}: ${status} ${kind}`);
      }
      await Bun.sleep(50);
    }
  }
}
