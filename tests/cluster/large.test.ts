/**
 * Large transactions, values and databases come through byte by byte, and what is too large leaves
 * nothing behind. Each content is held against what was sent, in this process and in a fresh one
 * that has the store alone.
 */
import { Database } from "bun:sqlite";
import { afterAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { NodeFolder, type NodeProcess } from "../support/node-process.ts";
import { noise } from "../support/noise.ts";
import { SqlClient, type Statement } from "../support/sql-client.ts";

const MIB = 1024 * 1024;
const ROW_BYTES = 256 * 1024;
const NEVER = 1024 ** 4;

const nodes = new NodeFolder();
afterAll(() => nodes.remove());

/** One statement a row, so that the request holds every byte of the transaction. */
function insertNoise(first: number, bytes: number): Statement[] {
  return Array.from({ length: Math.ceil(bytes / ROW_BYTES) }, (_, index) => ({
    sql: "INSERT INTO blobs (id, bytes) VALUES (?, ?)",
    params: [first + index, { base64: noise(first + index, ROW_BYTES).toString("base64") }],
  }));
}

/** Every row of an exported file is the noise of its id; answers how many there are. */
function expectNoise(file: Uint8Array): number {
  const database = Database.deserialize(file);
  try {
    expect(database.query("PRAGMA integrity_check").values()).toEqual([["ok"]]);
    const rows = database.query("SELECT id, bytes FROM blobs").values() as [number, Uint8Array][];
    for (const [id, bytes] of rows) {
      if (!noise(id, bytes.length).equals(bytes)) throw new Error(`row ${id} has other bytes`);
    }
    return rows.length;
  } finally {
    database.close();
  }
}

async function startWithBlobs(set: Record<string, number> = {}) {
  const node = await nodes.node({ store: nodes.fileStore(), set }).start();
  const client = new SqlClient(node.url);
  await client.create("large");
  await client.execute("large", ["CREATE TABLE blobs (id INTEGER PRIMARY KEY, bytes BLOB)"]);
  return { node, client };
}

describe("one transaction", () => {
  for (const sizeMib of [3, 6, 60]) {
    test(`of ${sizeMib} MiB comes through exactly, and again after a kill`, async () => {
      const { node, client } = await startWithBlobs();
      const startedMs = performance.now();
      const statements = insertNoise(1, sizeMib * MIB);
      const answer = await client.send("large", { statements, timeout_ms: 60_000 });
      expect(answer).toMatchObject({ status: 200, body: { epoch: 3 } });
      console.log(`${sizeMib} MiB: ${(performance.now() - startedMs).toFixed(0)} ms`);
      expect(expectNoise(await client.export("large"))).toBe(statements.length);
      await node.kill();
      await node.start();
      expect(expectNoise(await client.export("large"))).toBe(statements.length);
      await node.kill();
    }, 120_000);
  }

  test("over the limit is too_large, and nothing of it stays", async () => {
    const { node, client } = await startWithBlobs();
    await client.execute("large", insertNoise(1, MIB));
    const { tip } = await client.inspect("large");
    const over = await client.send("large", {
      statements: [
        { sql: "CREATE TABLE more (x)" },
        { sql: "INSERT INTO blobs (id, bytes) VALUES (900, x'00')" },
        ...insertNoise(1_000, 66 * MIB),
      ],
      timeout_ms: 60_000,
    });
    expect(over).toMatchObject({ status: 413, body: { error: { kind: "too_large" } } });
    console.log(over.body.error?.message);
    const inside = await client.send("large", {
      statements: [{
        sql: "WITH RECURSIVE n (i) AS (SELECT 2000 UNION ALL SELECT i + 1 FROM n LIMIT 70) " +
          "INSERT INTO blobs SELECT i, randomblob(1000000) FROM n",
      }],
      timeout_ms: 60_000,
    });
    expect(inside).toMatchObject({ status: 413, body: { error: { kind: "too_large" } } });
    expect((await client.inspect("large")).tip).toBe(tip);
    expect(await client.query("large", "SELECT count(*), max(id) FROM blobs")).toEqual([[4, 4]]);
    expect(await client.query("large", "SELECT count(*) FROM sqlite_schema WHERE name = 'more'"))
      .toEqual([[0]]);
    // The next write is not in its way.
    await client.execute("large", insertNoise(5, MIB));
    expect(expectNoise(await client.export("large"))).toBe(8);
    await node.kill();
  }, 120_000);
});

test("values of 10 MB come through exactly, as bytes and as text", async () => {
  const { node, client } = await startWithBlobs();
  const bytes = noise(7, 10_000_000);
  const text = "Ωλ𐍈".repeat(1_100_000);
  await client.execute("large", [
    "CREATE TABLE texts (x TEXT)",
    { sql: "INSERT INTO blobs VALUES (7, ?)", params: [{ base64: bytes.toString("base64") }] },
    { sql: "INSERT INTO texts VALUES (?)", params: [text] },
  ]);
  const check = async () => {
    const [[blob]] = await client.query("large", "SELECT bytes FROM blobs") as [
      [{ base64: string }],
    ];
    expect(Buffer.from(blob.base64, "base64").equals(bytes)).toBe(true);
    const [[found]] = await client.query("large", "SELECT x FROM texts") as [[string]];
    expect(found === text).toBe(true);
  };
  await check();
  await node.kill();
  await node.start();
  await check();
  await node.kill();
}, 60_000);

describe("a database of 500 MiB", () => {
  const SUM = "SELECT count(*), sum(length(bytes)), sum(id * unicode(hex(substr(bytes, id, 1)))) " +
    "FROM blobs";
  for (
    const [how, snapshotBytes] of [
      ["from a snapshot", 16 * MIB],
      ["from its epochs alone", NEVER],
    ] as const
  ) {
    test(`opens in a fresh process ${how}`, async () => {
      const set = { "limits.snapshot_chain_bytes_min": snapshotBytes };
      const { node, client } = await startWithBlobs(set);
      await fill(client);
      const sum = await client.query("large", SUM);
      const { tip } = await client.inspect("large");
      const digest = await fileDigest(client);
      if (snapshotBytes !== NEVER) await untilSnapshot(client);
      console.log(`${how}: owner ${memoryText(node)} after 500 MiB of writes`);
      await node.kill();

      const startedMs = performance.now();
      await node.start();
      expect(await client.query("large", SUM)).toEqual(sum);
      console.log(
        `${how}: serves after ${(performance.now() - startedMs).toFixed(0)} ms, ${
          memoryText(node)
        }`,
      );
      // The owner's copy then, and what the store holds for that epoch now.
      expect(await fileDigest(client, tip)).toBe(digest);
      expect(await client.query("large", "PRAGMA integrity_check")).toEqual([["ok"]]);
      await client.execute("large", ["DELETE FROM blobs WHERE id = 1"]);
      console.log(
        `${how}: writes after ${(performance.now() - startedMs).toFixed(0)} ms, ${
          memoryText(node)
        }`,
      );
      await node.kill();
    }, 300_000);
  }
});

/** 500 MiB of random bytes that SQLite makes itself. */
async function fill(client: SqlClient): Promise<void> {
  for (let part = 0; part < 11; part++) {
    await client.execute("large", [
      "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 190) " +
      "INSERT INTO blobs (bytes) SELECT randomblob(262144) FROM n",
    ]);
  }
  await client.query("large", "SELECT 1");
  const { size_bytes } = await client.inspect("large");
  expect(size_bytes).toBeGreaterThan(500 * MIB);
}

async function fileDigest(client: SqlClient, epoch?: number): Promise<string> {
  return createHash("sha256").update(await client.export("large", epoch)).digest("hex");
}

async function untilSnapshot(client: SqlClient): Promise<void> {
  const deadlineMs = performance.now() + 60_000;
  for (;;) {
    const { snapshot, tip } = await client.inspect("large");
    if (snapshot > 1) return void console.log(`snapshot at epoch ${snapshot} of ${tip}`);
    if (performance.now() > deadlineMs) throw new Error("no snapshot within 60 s");
    await Bun.sleep(200);
  }
}

/** Private memory of the node and its children; images are files, and are not in it. */
function memoryText(node: NodeProcess): string {
  const pids = [node.pid, ...node.children().map(({ pid }) => pid)];
  const sum = (field: string) =>
    pids.reduce((all, pid) => {
      const status = readFileSync(`/proc/${pid}/status`, "utf8");
      return all + Number(new RegExp(`^${field}:\\s+(\\d+)`, "m").exec(status)?.[1] ?? 0);
    }, 0) / 1024;
  return `${sum("RssAnon").toFixed(0)} MiB private in ${pids.length} processes`;
}
