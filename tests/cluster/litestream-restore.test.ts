/**
 * Litestream, which knows nothing of us, restores what a node wrote: at the head, at every epoch,
 * before and after a snapshot, from a directory and from an S3 server, equal to our own export page
 * by page.
 */
import { Database } from "bun:sqlite";
import { afterAll, describe, expect, test } from "bun:test";
import type { S3Settings } from "../../src/store/url.ts";
import { findLitestream, litestreamRestore } from "../support/litestream.ts";
import { NodeFolder } from "../support/node-process.ts";
import { hasS3, s3Server } from "../support/s3-server.ts";
import { SqlClient } from "../support/sql-client.ts";

const PAGE_BYTES = 4096;

const found = await findLitestream();
if ("missing" in found) console.warn(`skipped: ${found.missing}`);
const litestream = "path" in found ? found.path : "";
const server = await s3Server();
if (!hasS3(server)) console.warn(`skipped: ${server.reason}`);

const nodes = new NodeFolder();
const environment = { ...process.env };
afterAll(async () => {
  await nodes.remove();
  for (const key of ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]) {
    if (environment[key] === undefined) delete process.env[key];
    else process.env[key] = environment[key];
  }
});

const STEPS: readonly (readonly string[])[] = [
  ["CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, bytes BLOB)"],
  [
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3000) " +
    "INSERT INTO t SELECT i, 'name ' || i, randomblob(i % 500) FROM n",
    "CREATE INDEX t_name ON t (name)",
  ],
  [
    "UPDATE t SET bytes = randomblob(700) WHERE id % 3 = 0",
    "CREATE VIRTUAL TABLE f USING fts5 (a)",
  ],
  ["INSERT INTO f SELECT name FROM t", "PRAGMA user_version = 7"],
  ["DELETE FROM t WHERE id > 100", "PRAGMA incremental_vacuum"],
  ["INSERT INTO t (bytes) VALUES (randomblob(3000000))"],
];

describe.skipIf(litestream === "")("litestream restore gives what an export gives", () => {
  test("from the filesystem store", async () => {
    const store = nodes.fileStore();
    await writeAndCompare(store, (name) => `${store}/databases/${name}`);
  }, 120_000);

  test.skipIf(!hasS3(server))("from the S3 server", async () => {
    if (!hasS3(server)) return;
    const settings = server.settings();
    process.env["AWS_ACCESS_KEY_ID"] = server.accessKey;
    process.env["AWS_SECRET_ACCESS_KEY"] = server.secretKey;
    const query = new URLSearchParams({
      endpoint: server.endpoint,
      forcePathStyle: "true",
      region: "us-east-1",
    });
    await writeAndCompare(
      settings,
      (name) => `s3://${server.bucket}/${settings.prefix}/databases/${name}?${query}`,
    );
  }, 120_000);
});

async function writeAndCompare(
  store: string | S3Settings,
  urlOf: (name: string) => string,
): Promise<void> {
  const set = { "limits.snapshot_chain_bytes_min": 1024 };
  const node = await nodes.node({ store, set }).start();
  const client = new SqlClient(node.url);
  await client.create("orders");
  for (const statements of STEPS) await client.execute("orders", statements);
  const { tip } = await client.inspect("orders");
  expect(tip).toBe(1 + STEPS.length);

  const compare = async (epoch?: number) => {
    const options = epoch === undefined ? {} : { epoch };
    const restored = await litestreamRestore(litestream, urlOf("orders"), options);
    expectEqualPages(restored, await client.export("orders", epoch));
    return restored;
  };
  for (let epoch = 1; epoch <= tip; epoch++) await compare(epoch);
  const whole = Database.deserialize(await compare());
  expect(whole.query("PRAGMA integrity_check").values()).toEqual([["ok"]]);
  expect(whole.query("SELECT count(*) FROM f WHERE f MATCH 'name'").values()).toEqual([[3_000]]);
  whole.close();

  const snapshot = await untilSnapshot(client);
  await client.execute("orders", ["DELETE FROM t", "PRAGMA incremental_vacuum"]);
  for (const epoch of [2, snapshot, tip, tip + 1]) await compare(epoch);
  await compare();
  // A new owner's claim is an epoch like others.
  await node.kill();
  await node.start();
  await client.execute("orders", ["INSERT INTO t (name) VALUES ('after')"]);
  await compare(tip + 2);
  await compare();
  await node.kill();
}

/** Waits for the one that follows a chain which has grown larger than its database. */
async function untilSnapshot(client: SqlClient): Promise<number> {
  for (let times = 0; times < 200; times++) {
    const { snapshot } = await client.inspect("orders");
    if (snapshot > 1) return snapshot;
    await Bun.sleep(100);
  }
  throw new Error("no snapshot within 20 s");
}

function expectEqualPages(restored: Uint8Array, exported: Uint8Array): void {
  expect(restored.length).toBe(exported.length);
  const differing: number[] = [];
  for (let at = 0; at < exported.length; at += PAGE_BYTES) {
    const [ours, theirs] = [exported, restored].map((file) => file.subarray(at, at + PAGE_BYTES));
    if (Buffer.compare(ours!, theirs!) !== 0) differing.push(1 + at / PAGE_BYTES);
  }
  expect(differing).toEqual([]);
}
