/**
 * A fresh process that joins takes little more memory than the database has bytes, all through the
 * join, and what a follower answers to a read with `min_epoch` is never older than that: all that
 * was acknowledged up to the answer's epoch is in it, and nothing else.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { Client, must, NoAnswer } from "../support/client.ts";
import { MemoryWatch, total } from "../support/memory-watch.ts";
import { NodeFolder, type NodeProcess } from "../support/node-process.ts";
import { hasS3, s3Server } from "../support/s3-server.ts";
import { SqlClient } from "../support/sql-client.ts";

const MIB = 1024 * 1024;
const NEVER = 1024 ** 4;
const folder = new NodeFolder();
const server = await s3Server();
afterAll(() => folder.remove());

describe("a database of 500 MiB", () => {
  const cases = [
    ["from a snapshot in a directory", 16 * MIB, () => folder.fileStore()],
    ["from its epochs alone, in a directory", NEVER, () => folder.fileStore()],
    ...(hasS3(server)
      ? [["from a snapshot in S3", 16 * MIB, () => server.settings()]] as const
      : []),
  ] as const;
  for (const [how, snapshotBytes, storeOf] of cases) {
    test(`is joined ${how} within 1.3 times its size in memory`, async () => {
      const store = storeOf();
      const set = { "limits.snapshot_chain_bytes_min": snapshotBytes };
      const owner = await folder.node({ store, set }).start();
      const client = new SqlClient(owner.url);
      await fill(client);
      if (snapshotBytes !== NEVER) await untilSnapshot(client);
      const { snapshot, tip } = await client.inspect("large");
      const follower = folder.node({ store, set: { ...set, eligible: "false" } });
      await follower.launch();
      const watch = new MemoryWatch(follower);
      const writing = writeOn(client);
      await follower.until(/ listening url=/, 60_000);
      await untilServes(follower, "large");
      const written = await writing.stop();
      // What it holds for good, and what a moment later is still on its way.
      const read = { sql: "SELECT count(*) FROM small", min_epoch: written.epoch };
      const answer = await new SqlClient(follower.url).ask("large", read);
      expect(answer).toMatchObject({ status: 200, body: { rows: [[written.rows]] } });
      const most = await watch.stop();
      const { size_bytes } = await client.inspect("large");
      console.log(
        `${how} (${snapshot} of ${tip}): ${text(size_bytes)} joined with ${
          text(most.processes)
        } in processes and ` +
          `${text(most.files)} in files, ${(total(most) / size_bytes).toFixed(2)} times, ` +
          `${watch.looks} looks, ${written.rows} writes meanwhile`,
      );
      expect(watch.looks).toBeGreaterThan(20);
      expect(size_bytes).toBeGreaterThan(500 * MIB);
      // It does hold the database, or the measure is wrong.
      expect(most.files).toBeGreaterThan(500 * MIB);
      expect(total(most)).toBeLessThan(1.3 * size_bytes);
      expect(await digest(follower)).toBe(await digest(owner));
      await Promise.all([owner.kill(), follower.kill()]);
    }, 300_000);
  }
});

test(
  "answers to reads with min_epoch hold all that was acknowledged by their epoch, no more",
  async () => {
    const store = folder.fileStore();
    const owner = await folder.node({ store }).start();
    const follower = () => folder.node({ store, set: { eligible: "false" } }).start();
    const followers = [await follower(), await follower()];
    const ledger = new Ledger();
    await ledger.begin(owner);
    for (const node of followers) await untilServes(node, "app");
    const endMs = performance.now() + WRITING_MS;
    const writers = Array.from({ length: WRITERS }, async (_, index) => {
      const clients = [owner, ...followers].map((node) => node.client());
      for (let number = 1; performance.now() < endMs; number++) {
        const epoch = await ledger.write(clients[0]!, index, number);
        const at = number % followers.length;
        const timeoutMs = [50, 500, 5_000][number % 3]!;
        await ledger.read(clients[1 + at]!, `writer ${index} at ${at}`, epoch, timeoutMs);
      }
      for (const client of clients) client.close();
    });
    const readers = followers.map(async (node, at) => {
      const client = node.client();
      for (let number = 1; performance.now() < endMs; number++) {
        await ledger.read(client, `reader at ${at}`, ledger.newest, 1_000);
        // An epoch that nobody has written.
        if (number % 5 === 0) {
          await ledger.read(client, `ahead at ${at}`, ledger.newest + 9_999, 100);
        }
      }
      client.close();
    });
    await Bun.sleep(WRITING_MS / 3);
    await followers[0]!.kill();
    await followers[0]!.start();
    followers[1]!.signal("SIGSTOP");
    await Bun.sleep(STILL_MS);
    followers[1]!.signal("SIGCONT");
    await Promise.all([...writers, ...readers]);
    console.log(ledger.summary);
    expect(ledger.problems()).toEqual([]);
    for (const at of [0, 1]) expect(ledger.answers(`at ${at}`)).toBeGreaterThan(20);
    expect(ledger.answers("ahead")).toBe(0);
    // Until its catalog is read, a node that has just started knows of no database.
    expect(Object.keys(ledger.refused).filter((kind) => kind !== "missing")).toEqual([
      "unavailable",
    ]);
  },
  120_000,
);

const WRITERS = 6;
const WRITING_MS = 15_000;
/** A follower that stands still answers when it goes on. */
const STILL_MS = 3_000;
const LATE_MS = STILL_MS + 3_000;

/** An answer of a follower, with how many rows of each client it holds. */
interface Seen {
  readonly reader: string;
  readonly minEpoch: number;
  readonly epoch: number;
  readonly counts: ReadonlyMap<number, number>;
}

/** Rows (client, number), each in a write of its own, and what readers found of them. */
class Ledger {
  readonly refused: Record<string, number> = {};
  newest = 0;
  /** Of each client, the epochs of its writes. */
  readonly #epochs = new Map<number, number[]>();
  readonly #seen: Seen[] = [];
  readonly #late: string[] = [];

  async begin(owner: NodeProcess): Promise<void> {
    const client = owner.client();
    must(await client.create("app"));
    const sql = "CREATE TABLE ledger (client INTEGER, number INTEGER)";
    this.newest = must(await client.execute("app", sql)).epoch;
    client.close();
  }

  /** Answers the epoch. */
  async write(connection: Client, client: number, number: number): Promise<number> {
    const sql = "INSERT INTO ledger VALUES (?, ?)";
    const { epoch } = must(await connection.execute("app", sql, [client, number]));
    this.#epochs.set(client, [...this.#epochs.get(client) ?? [], epoch]);
    this.newest = Math.max(this.newest, epoch);
    return epoch;
  }

  async read(at: Client, reader: string, minEpoch: number, timeoutMs: number): Promise<void> {
    const sql = "SELECT client, count(*), max(number) FROM ledger GROUP BY client";
    const more = { min_epoch: minEpoch, timeout_ms: timeoutMs };
    const startedMs = performance.now();
    try {
      const { status, body } = await at.query("app", sql, [], more);
      if (status === 200) {
        const rows = body.rows as [number, number, number][];
        // Of each client its first writes, or else what no count can be.
        const counts = rows.map(([client, count, last]) =>
          [client, count === last ? count : NaN] as const
        );
        this.#seen.push({ reader, minEpoch, epoch: body.epoch, counts: new Map(counts) });
        return;
      }
      const kind = String(body.error.kind);
      this.refused[kind] = (this.refused[kind] ?? 0) + 1;
      const ms = performance.now() - startedMs;
      // One that starts refuses at once.
      await Bun.sleep(20);
      if (ms > timeoutMs + LATE_MS) this.#late.push(`${reader}: ${kind} after ${ms} ms`);
    } catch (error) {
      // It was killed.
      if (!(error instanceof NoAnswer)) throw error;
      await Bun.sleep(50);
    }
  }

  answers(reader: string): number {
    return this.#seen.filter((seen) => seen.reader.includes(reader)).length;
  }

  get summary(): string {
    const writes = [...this.#epochs.values()].reduce((sum, { length }) => sum + length, 0);
    return `${writes} writes, ${this.#seen.length} answers, ${JSON.stringify(this.refused)}`;
  }

  /** Every write was acknowledged, so an epoch holds those whose epochs are not after it. */
  problems(): string[] {
    const problems = this.#seen.flatMap(({ reader, minEpoch, epoch, counts }) => [
      ...(epoch < minEpoch ? [`${reader}: at epoch ${epoch}, asked from ${minEpoch} on`] : []),
      ...[...this.#epochs].flatMap(([client, epochs]) => {
        const [found, wanted] = [
          counts.get(client) ?? 0,
          epochs.filter((one) => one <= epoch).length,
        ];
        return found === wanted
          ? []
          : [`${reader}: ${found} rows of client ${client} at ${epoch}, not ${wanted}`];
      }),
    ]);
    return [...this.#late, ...problems].slice(0, 20);
  }
}

function text(bytes: number): string {
  return `${(bytes / MIB).toFixed(0)} MiB`;
}

/** 500 MiB of random bytes that SQLite makes itself, and a small table. */
async function fill(client: SqlClient): Promise<void> {
  await client.create("large");
  await client.execute("large", [
    "CREATE TABLE blobs (id INTEGER PRIMARY KEY, bytes BLOB)",
    "CREATE TABLE small (x)",
  ]);
  for (let part = 0; part < 11; part++) {
    await client.execute("large", [
      "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 190) " +
      "INSERT INTO blobs (bytes) SELECT randomblob(262144) FROM n",
    ]);
  }
}

/** Writes the rows anew until there is a snapshot that holds all of them. */
async function untilSnapshot(client: SqlClient): Promise<void> {
  const { tip } = await client.inspect("large");
  for (let part = 0; (await client.inspect("large")).snapshot < tip; part++) {
    if (part > 40) throw new Error("no snapshot, though the database was written some times over");
    const anew = `UPDATE blobs SET bytes = randomblob(262144) WHERE id % 11 = ${part % 11}`;
    await client.execute("large", [anew]);
    await Bun.sleep(200);
  }
}

/** The owner goes on writing a little. */
function writeOn(client: SqlClient) {
  let isOver = false;
  let epoch = 0;
  let rows = 0;
  const writing = (async () => {
    while (!isOver) {
      epoch = await client.execute("large", ["INSERT INTO small VALUES (randomblob(1000))"]);
      rows++;
      await Bun.sleep(50);
    }
  })();
  const stop = async () => {
    isOver = true;
    await writing;
    return { epoch, rows };
  };
  return { stop };
}

async function untilServes(node: NodeProcess, database: string): Promise<void> {
  const deadlineMs = performance.now() + 120_000;
  const client = new SqlClient(node.url);
  for (;;) {
    const { status, body } = await client.ask(database, { sql: "SELECT 1", timeout_ms: 60_000 });
    if (status === 200) return;
    // Its catalog may not say yet that there is one.
    expect(["missing", "unavailable"]).toContain(body.error!.kind);
    if (performance.now() > deadlineMs) throw new Error(`${database} is not served`);
    await Bun.sleep(20);
  }
}

/** Of the database as the node's image has it. */
async function digest(node: NodeProcess): Promise<string> {
  const file = await new SqlClient(node.url).export("large");
  return createHash("sha256").update(file).digest("hex");
}
