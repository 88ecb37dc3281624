/**
 * Whatever SQLite can do at the owner is on a follower as it is there, at every epoch: table by
 * table, byte by byte, and by the checksum that the epoch's header in the store states. The image of
 * the follower is looked at when each epoch is its head, and again, through the store, when all are
 * past; and a node that comes late finds the same.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { systemClock } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import { systemRandom } from "../../src/base/random.ts";
import { decodeHeader, HEADER_BYTES } from "../../src/epoch/header.ts";
import { objectKey } from "../../src/epoch/key.ts";
import { openStore } from "../../src/store/open.ts";
import type { Store } from "../../src/store/store.ts";
import { NodeFolder, type NodeOptions, type NodeProcess } from "../support/node-process.ts";
import { hasS3, s3Server } from "../support/s3-server.ts";
import { SqlClient } from "../support/sql-client.ts";
import { exported, QUESTIONS, TRANSACTIONS } from "../support/sql-features.ts";

/** A follower that polls is this late at most. */
const FOLLOW_MS = 20_000;

/** One epoch of a database: a transaction, or what else makes one. */
type Step = readonly string[] | { readonly rollbackTo: number } | "drop and create";

interface Life {
  readonly pageSize?: number;
  readonly steps: readonly Step[];
}

const SHRINKS: readonly Step[] = [
  [
    "CREATE TABLE t (x)",
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 2000) " +
    "INSERT INTO t SELECT randomblob(2000) FROM n",
  ],
  ["DELETE FROM t WHERE rowid % 100 > 3"],
  ["PRAGMA incremental_vacuum(500)"],
  ["PRAGMA incremental_vacuum"],
  ["INSERT INTO t SELECT randomblob(9000) FROM t"],
  ["DELETE FROM t", "PRAGMA incremental_vacuum"],
  ["DROP TABLE t"],
];

const VALUES: readonly Step[] = [
  ["CREATE TABLE v (x ANY, at TEXT DEFAULT CURRENT_TIMESTAMP, r INTEGER DEFAULT (random())) STRICT"],
  ["INSERT INTO v (x) VALUES (9223372036854775807), (-9223372036854775808), (9007199254740993)"],
  ["INSERT INTO v (x) VALUES (9e999), (-9e999), (-0.0), (4.9e-324), (0.1), (1.0), (1e308)"],
  ["INSERT INTO v (x) VALUES (''), (x''), ('a' || char(0) || 'b'), ('Ωλ𐍈é'), (NULL), (x'00ff')"],
  ["INSERT INTO v (x) VALUES (zeroblob(300000)), (randomblob(100000)), (hex(randomblob(20000)))"],
  ["UPDATE v SET x = x || 'more', r = random() WHERE typeof(x) = 'text'"],
  ["DELETE FROM v WHERE typeof(x) = 'blob'", "PRAGMA incremental_vacuum"],
];

const ROLLED: readonly Step[] = [
  ["CREATE TABLE a (x)", "INSERT INTO a VALUES (1), (2), (3)"],
  ["CREATE TABLE b AS SELECT x * 10 AS y FROM a", "CREATE INDEX b_y ON b (y)"],
  ["DROP TABLE a", "ALTER TABLE b RENAME COLUMN y TO z", "PRAGMA user_version = 4"],
  { rollbackTo: 2 },
  ["INSERT INTO a VALUES (4)", "CREATE TABLE c (other TEXT)"],
  { rollbackTo: 4 },
  ["INSERT INTO b VALUES (99)"],
  { rollbackTo: 1 },
  ["CREATE TABLE a (from_the_start INTEGER PRIMARY KEY) WITHOUT ROWID"],
];

const AGAIN: readonly Step[] = [
  ["CREATE TABLE t (first)", "INSERT INTO t VALUES (1)"],
  "drop and create",
  ["CREATE TABLE other (a, b)", "CREATE TABLE t (second, life)", "INSERT INTO t VALUES (2, 2)"],
  ["INSERT INTO t VALUES (3, 3)"],
];

const ALL: Readonly<Record<string, Life>> = {
  "all": { steps: TRANSACTIONS },
  "all-512": { pageSize: 512, steps: TRANSACTIONS },
  "all-65536": { pageSize: 65_536, steps: TRANSACTIONS },
  "shrinks": { steps: SHRINKS },
  "values": { steps: VALUES },
  "rolled": { steps: ROLLED },
  "again": { steps: AGAIN },
};

const SOME: Readonly<Record<string, Life>> = {
  "all": { steps: TRANSACTIONS },
  "shrinks": { pageSize: 1024, steps: SHRINKS },
  "rolled": { pageSize: 8192, steps: ROLLED },
};

const folder = new NodeFolder();
const server = await s3Server();
afterAll(() => folder.remove());

follows("through a directory", folder.fileStore(), ALL);
if (hasS3(server)) follows("through an S3 bucket", server.settings(), SOME);
else test.skip(`through an S3 bucket: ${server.reason}`, () => {});

function follows(
  how: string,
  where: NodeOptions["store"],
  lives: Readonly<Record<string, Life>>,
): void {
  describe(`a follower ${how}`, () => {
    const names = Object.keys(lives);
    let store: Store;
    let owner: NodeProcess;
    let follower: NodeProcess;
    /** Epochs that were compared when they were the head. */
    const seen = new Map<string, number[]>(names.map((name) => [name, []]));

    beforeAll(async () => {
      store = await openStore(where, { clock: systemClock, random: systemRandom, log: silentLog });
      owner = await folder.node({ store: where }).start();
      follower = await folder.node({ store: where, set: { eligible: "false" } }).start();
      const client = new SqlClient(owner.url);
      for (const name of names) await client.create(name, lives[name]!.pageSize);
      await Promise.all(names.map((name) => untilAt(follower, name, 1)));
    }, 60_000);
    afterAll(() => store?.close());

    test("has each epoch as the owner has it, while it is the newest [I6]", async () => {
      await Promise.all(names.map(async (name) => {
        for (const step of lives[name]!.steps) {
          const epoch = await take(owner, name, step);
          await untilAt(follower, name, epoch);
          await expectSame(store, [owner, follower], name, epoch, null);
          seen.get(name)!.push(epoch);
        }
      }));
    }, 120_000);

    test("has each epoch as the owner has it, when it is past", async () => {
      for (const name of names) {
        const droppedAt = lives[name]!.steps.indexOf("drop and create");
        expect([name, seen.get(name)!.length]).toEqual([name, lives[name]!.steps.length]);
        for (const [index, epoch] of seen.get(name)!.entries()) {
          if (index >= droppedAt) await expectSame(store, [owner, follower], name, epoch, epoch);
          else for (const node of [owner, follower]) await expectMissing(node, name, epoch);
        }
      }
    }, 120_000);

    test("answers through indexes, full text and trees as the owner does", async () => {
      const [asked, answered] = [owner, follower].map((node) => new SqlClient(node.url));
      for (const name of names.filter((name) => name.startsWith("all"))) {
        const [min_epoch] = seen.get(name)!.slice(-1);
        for (const sql of [...QUESTIONS, "PRAGMA integrity_check", "PRAGMA freelist_count"]) {
          const { status, body } = await answered!.ask(name, { sql, min_epoch: min_epoch! });
          expect({ sql, status, rows: body.rows, epoch: body.epoch })
            .toEqual({ sql, status: 200, rows: await asked!.query(name, sql), epoch: min_epoch });
        }
      }
    });

    test("has the same after kill -9, and so has one that comes late", async () => {
      await follower.kill();
      await follower.start();
      const late = await folder.node({ store: where, set: { eligible: "false" } }).start();
      for (const name of names) {
        const epoch = seen.get(name)!.at(-1)!;
        await expectSame(store, [owner, follower, late], name, epoch, null);
        await expectSame(store, [owner, follower, late], name, epoch, epoch);
      }
    }, 60_000);
  });
}

/** Carries out one step at the owner; answers the epoch that it made. */
async function take(owner: NodeProcess, name: string, step: Step): Promise<number> {
  const client = new SqlClient(owner.url);
  if (step === "drop and create") {
    const dropped = await fetch(`${owner.url}/v1/databases/${name}`, { method: "DELETE" });
    expect(dropped.status).toBe(200);
    await client.create(name);
    return (await client.inspect(name)).tip;
  }
  if ("rollbackTo" in step) {
    const rolled = await fetch(`${owner.url}/v1/databases/${name}/rollback`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ epoch: step.rollbackTo }),
    });
    expect(rolled.status).toBe(200);
    return (await rolled.json() as { epoch: number }).epoch;
  }
  return await client.execute(name, step);
}

/** Until the follower serves the epoch; a read with `min_epoch` waits for it. */
async function untilAt(node: NodeProcess, name: string, epoch: number): Promise<void> {
  const client = new SqlClient(node.url);
  const deadlineMs = performance.now() + FOLLOW_MS;
  for (;;) {
    const read = { sql: "SELECT 1", min_epoch: epoch, timeout_ms: FOLLOW_MS };
    const { status, body } = await client.ask(name, read);
    if (status === 200 && body.epoch === epoch) return;
    if (status === 200) throw new Error(`${name} is at ${body.epoch}, not at ${epoch}`);
    if (performance.now() > deadlineMs) throw new Error(`${name}: ${JSON.stringify(body)}`);
    // A database is there for others when their catalogs say so.
    await Bun.sleep(200);
  }
}

/** `at` null is the head; every node must be at `epoch` then. */
async function expectSame(
  store: Store,
  nodes: readonly NodeProcess[],
  name: string,
  epoch: number,
  at: number | null,
): Promise<void> {
  const files = await Promise.all(
    nodes.map((node) => new SqlClient(node.url).export(name, at ?? undefined)),
  );
  const layout = store.name.startsWith("s3:") ? "s3" : "filesystem";
  const key = objectKey(layout, name, 0, epoch, epoch);
  const header = await store.getRange(key, { offset: 0, length: HEADER_BYTES });
  const { databaseChecksum, pageSize, commit } = decodeHeader(header!, key);
  const [first, ...others] = files;
  const content = exported(first!);
  for (const file of others) {
    expect({ name, epoch, content: exported(file) }).toEqual({ name, epoch, content });
    expect([name, epoch, file.length / pageSize]).toEqual([name, epoch, commit]);
    expect([name, epoch, checksum(file, pageSize)]).toEqual([name, epoch, databaseChecksum]);
    expect([name, epoch, Buffer.compare(first!, file)]).toEqual([name, epoch, 0]);
  }
}

/** The sum of the pages' hashes, as docs/protocol.md says. */
function checksum(file: Uint8Array, pageSize: number): bigint {
  let sum = 0n;
  for (let page = 1; page * pageSize <= file.length; page++) {
    const bytes = file.subarray((page - 1) * pageSize, page * pageSize);
    sum += Bun.hash.xxHash64(bytes, BigInt(page));
  }
  return BigInt.asUintN(64, sum);
}

async function expectMissing(node: NodeProcess, name: string, epoch: number): Promise<void> {
  const answer = await fetch(`${node.url}/v1/databases/${name}/export?epoch=${epoch}`);
  expect([name, epoch, answer.status]).toEqual([name, epoch, 404]);
}
