/** The command line for lakes, against a node: files are cut, killed half-way, and stored once. */
import { Database } from "bun:sqlite";
import { afterAll, beforeAll, expect, test } from "bun:test";
import { createWriteStream } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { tableFromIPC } from "apache-arrow";
import { commandLine, headgate } from "../support/command.ts";
import { ParquetJudge } from "../support/duckdb-parquet.ts";
import { eventually } from "../support/eventually.ts";
import { NodeFolder, type NodeProcess } from "../support/node-process.ts";

const ROWS = 300_000;
const folder = new NodeFolder();
let node: NodeProcess;

beforeAll(async () => {
  node = await folder.node({ store: folder.fileStore() }).start();
  expect(await lake("create", "web")).toContain("created web");
}, 60_000);
afterAll(() => folder.remove());

/** What a command prints; it must end with 0. */
async function lake(...args: string[]): Promise<string> {
  const { code, out, err } = await headgate(["lake", ...args, "--url", node.url]);
  expect(code, err).toBe(0);
  return out;
}

async function rowsOf(sql: string): Promise<unknown[][]> {
  return JSON.parse(await lake("query", "web", sql, "--json")).rows;
}

/** Writes a file of `ROWS` records. */
async function write(name: string, record: (id: number) => string, head = ""): Promise<string> {
  const path = join(folder.path, name);
  const file = createWriteStream(path);
  file.write(head);
  for (let id = 0; id < ROWS; id += 1000) {
    const text = Array.from({ length: 1000 }, (_, index) => record(id + index)).join("");
    if (!file.write(text)) await new Promise((resolve) => file.once("drain", resolve));
  }
  await new Promise<void>((resolve) => file.end(() => resolve()));
  return path;
}

/** Starts the ingestion, and kills it once some of the rows are there, but not all. */
async function ingestHalf(table: string, file: string): Promise<number> {
  const args = ["lake", "ingest", "web", table, file, "--create", "--url", node.url];
  const child = Bun.spawn(commandLine(args), { stdout: "ignore", stderr: "ignore" });
  const path = `/v1/lakes/web/tables/${table}`;
  await eventually("some rows are stored", async () => {
    const { status, body } = await node.client().request("GET", path);
    return status === 200 && body.rows > 0;
  });
  child.kill("SIGKILL");
  await child.exited;
  expect(child.signalCode).toBe("SIGKILL");
  return (await node.client().request("GET", path)).body.rows;
}

const COUNTS = (table: string) =>
  `SELECT count(*)::INT, count(DISTINCT id)::INT, min(id)::INT, max(id)::INT FROM ${table}`;
const EACH_ONCE = [[ROWS, ROWS, 0, ROWS - 1]];

test("a file of NDJSON whose ingestion was killed is stored once by the same command", async () => {
  const pad = "x".repeat(150);
  const file = await write(
    "events.ndjson",
    (id) => `{"id":${id},"half":${id / 2},"pad":"${pad}"}\n`,
  );
  expect(Bun.file(file).size).toBeGreaterThan(55_000_000);
  expect(await ingestHalf("events", file)).toBeLessThan(ROWS);
  const told = JSON.parse(await lake("ingest", "web", "events", file, "--create", "--json"));
  expect(told).toMatchObject({ rows: ROWS, bytes: Bun.file(file).size });
  expect(await rowsOf(COUNTS("events"))).toEqual(EACH_ONCE);
  const again = await lake("ingest", "web", "events", file);
  expect(again).toStartWith(`${ROWS} rows in `);
  expect(await rowsOf(COUNTS("events"))).toEqual(EACH_ONCE);
}, 120_000);

test("a CSV with line feeds in quotes whose ingestion was killed is stored once too", async () => {
  const pad = "long\n".repeat(20);
  const file = await write("texts.csv", (id) => `${id},"a ""b"",\n${pad}${id}"\n`, "id,text\n");
  expect(await ingestHalf("texts", file)).toBeLessThan(ROWS);
  await lake("ingest", "web", "texts", file);
  expect(await rowsOf(COUNTS("texts"))).toEqual(EACH_ONCE);
  const wrong = `SELECT count(*)::INT FROM texts WHERE text <> 'a "b",\n${pad}' || id`;
  expect(await rowsOf(wrong)).toEqual([[0]]);
}, 120_000);

test("an ingestion goes on by itself when its node is killed and starts again", async () => {
  const pad = "x".repeat(150);
  const file = await write("more.ndjson", (id) => `{"id":${id},"pad":"${pad}"}\n`);
  const running = lake("ingest", "web", "more", file, "--create");
  const path = "/v1/lakes/web/tables/more";
  await eventually("some rows are stored", async () => {
    const { status, body } = await node.client().request("GET", path);
    return status === 200 && body.rows > 0;
  });
  await node.kill();
  await node.start();
  expect(await running).toStartWith(`${ROWS} rows in `);
  expect(await rowsOf(COUNTS("more"))).toEqual(EACH_ONCE);
}, 120_000);

test(
  "an ingestion goes on with --ack stored, which promises no epoch, and stores each row once",
  async () => {
    const pad = "x".repeat(150);
    const file = await write("soon.ndjson", (id) => `{"id":${id},"pad":"${pad}"}\n`);
    await ingestHalf("soon", file);
    const told = JSON.parse(
      await lake("ingest", "web", "soon", file, "--create", "--ack", "stored", "--json"),
    );
    expect(told).toMatchObject({ rows: ROWS, visible_soon: expect.any(Number) });
    expect([told.epoch, told.snapshot]).toEqual([undefined, undefined]);
    await eventually(
      "all rows are visible",
      async () => (await rowsOf("SELECT count(*)::INT FROM soon"))[0]?.[0] === ROWS,
    );
    expect(await rowsOf(COUNTS("soon"))).toEqual(EACH_ONCE);
    // Both ways know the keys of the other.
    for (const ack of ["visible", "stored"]) {
      expect(await lake("ingest", "web", "soon", file, "--ack", ack))
        .toMatch(/^300000 rows in .*, epoch \d+\n$/);
    }
    expect(await rowsOf(COUNTS("soon"))).toEqual(EACH_ONCE);
  },
  120_000,
);

test("a lake is flushed, merged and expired by hand", async () => {
  for (const id of [1, 2, 3]) {
    const file = join(folder.path, `kept-${id}.ndjson`);
    await Bun.write(file, `{"id":${id}}\n`);
    await lake("ingest", "web", "kept", file, "--create");
    expect(await lake("flush", "web", "kept"))
      .toMatch(/^flushed 1 row into 1 file in epoch \d+\n$/);
  }
  expect(await lake("flush", "web", "kept")).toBe("there is nothing to flush\n");
  expect(await lake("merge", "web", "kept")).toMatch(/^merged 3 files into 1 in epoch \d+\n$/);
  expect(JSON.parse(await lake("merge", "web", "kept", "--json")))
    .toMatchObject({ merged: 0, into: 0 });
  expect(await rowsOf("SELECT count(*)::INT, sum(id)::INT FROM kept")).toEqual([[3, 6]]);
  // In a lake of its own: other tests read what was.
  await lake("create", "old");
  const file = join(folder.path, "kept-1.ndjson");
  await lake("ingest", "old", "kept", file, "--create");
  expect(await lake("expire", "old", "--older-than", "1d")).toBe("there is nothing to expire\n");
  expect(await lake("expire", "old", "--older-than", "0s"))
    .toMatch(/^expired \d+ snapshots in epoch \d+\n$/);
  expect(JSON.parse(await lake("snapshots", "old", "--json")).snapshots).toHaveLength(1);
  await lake("drop", "old");
}, 60_000);

test("a command goes on from an address where nobody is, a change too", async () => {
  const urls = `http://127.0.0.1:1,${node.url}`;
  for (
    const args of [["create", "far"], ["list"], ["tables", "far"], ["flush", "far"], [
      "drop",
      "far",
    ]]
  ) expect(await headgate(["lake", ...args, "--url", urls])).toMatchObject({ code: 0, err: "" });
  const environment = { HEADGATE_URL: urls };
  expect(await headgate(["lake", "query", "web", "SELECT 1", "--format", "csv"], environment))
    .toMatchObject({ code: 0, err: "" });
  const nobody = ["--url", "http://127.0.0.1:1", "--url", "http://127.0.0.1:2"];
  expect(await headgate(["lake", "create", "far", ...nobody])).toEqual({
    code: 3,
    out: "",
    err: "unavailable: Cannot reach any of http://127.0.0.1:1, http://127.0.0.1:2: " +
      "is a node running there?\n",
  });
}, 60_000);

test("the same rows are stored again in another batch, out of a compressed file too", async () => {
  const file = join(folder.path, "few.ndjson.gz");
  await Bun.write(file, gzipSync('{"id":1}\n{"id":2}\n'));
  for (const batch of ["a", "a", "b"]) {
    await lake("ingest", "web", "few", file, "--create", "--batch", batch);
  }
  expect(await rowsOf("SELECT count(*)::INT, sum(id)::INT FROM few")).toEqual([[4, 6]]);
}, 60_000);

test("a bad row ends with 1, its line, and what is stored nevertheless", async () => {
  const pad = "x".repeat(1_000);
  const good = (id: number) => `{"id":${id},"pad":"${pad}"}\n`;
  const file = join(folder.path, "bad.ndjson");
  const lines = Array.from({ length: 20_000 }, (_, id) => good(id));
  lines[9_999] = '{"id":"no number"}\n';
  await Bun.write(file, lines.join(""));
  const { code, out, err } = await headgate(
    ["lake", "ingest", "web", "bad", file, "--create", "--url", node.url],
  );
  expect([code, out]).toEqual([1, ""]);
  expect(err).toStartWith(`invalid: Cannot take line 10000 of ${file}: column "id" is "no number"`);
  const [[stored] = []] = await rowsOf("SELECT count(*)::INT FROM bad");
  expect(err).toContain(`Stored, and staying so: ${stored} rows: lines 1 to `);
  expect(stored).toBeGreaterThan(7_000);
}, 60_000);

test("a query comes in each format", async () => {
  const query = (...more: string[]) =>
    lake(
      "query",
      "web",
      "SELECT id, text[:3] AS text FROM texts WHERE id < ? ORDER BY id",
      ...more,
    );
  const short = ["--param", "2"];
  const table = ' id │ text\n────┼──────\n  0 │ a "\n  1 │ a "\n2 rows, snapshot ';
  expect(await query(...short)).toStartWith(table);
  expect(await query(...short, "--format", "line")).toStartWith(
    '  id = 0\ntext = a "\n\n  id = 1\n',
  );
  expect(await query(...short, "--format", "csv"))
    .toBe('id,text\r\n0,"a """\r\n1,"a """\r\n');
  expect(JSON.parse(await query(...short, "--json")).rows).toEqual([[0, 'a "'], [1, 'a "']]);
  expect((await query(...short, "--format", "ndjson")).split("\n").slice(1))
    .toEqual(['[0,"a \\""]', '[1,"a \\""]', '{"rows":2}', ""]);
  expect((await query("--param", "100000", "--format", "csv")).split("\r\n")).toHaveLength(100_002);
  expect(await query("--param", "100000")).toContain("\nthe first 2000 rows; --format csv, ");
  const args = ["lake", "query", "web", "SELECT id FROM texts", "--format", "arrow"];
  const child = Bun.spawn(commandLine([...args, "--url", node.url]), { stdout: "pipe" });
  expect(tableFromIPC(await new Response(child.stdout).bytes()).numRows).toBe(ROWS);
}, 120_000);

test("a query as Parquet is a file that DuckDB reads", async () => {
  const judge = await ParquetJudge.start();
  try {
    const sql = "SELECT *, [id, NULL] AS ids, id / 4 AS quarter FROM texts";
    const args = ["lake", "query", "web", sql, "--format", "parquet", "--url", node.url];
    const child = Bun.spawn(commandLine(args), { stdout: "pipe" });
    const path = judge.keep(await new Response(child.stdout).bytes());
    expect(await child.exited).toBe(0);
    const wrong = `text NOT LIKE 'a "b",%' || id OR ids <> [id, NULL] OR quarter <> id / 4`;
    const check = `SELECT count(*)::INT, count(DISTINCT id)::INT, count_if(${wrong})::INT`;
    expect(await judge.values(`${check} FROM ${path}`)).toEqual([[ROWS, ROWS, 0]]);
    // By bytes: there are fewer rows than 122,880 in each.
    const groups = `SELECT num_row_groups > 4 FROM parquet_file_metadata(${path})`;
    expect(await judge.values(groups)).toEqual([[true]]);
  } finally {
    judge.stop();
  }
}, 60_000);

test("a query reads an earlier snapshot, and SQL of the input", async () => {
  const { snapshots } = JSON.parse(await lake("snapshots", "web", "--json"));
  const made = snapshots.find(({ changes }: { changes: string }) => changes.includes('"texts"'));
  const sql = "SELECT count(*)::INT FROM texts";
  const answer = await lake("query", "web", sql, "--snapshot", `${made.snapshot}`, "--json");
  expect(JSON.parse(answer).rows).toEqual([[0]]);
  const args = ["lake", "query", "web", "--json", "--url", node.url];
  const child = Bun.spawn(commandLine(args), { stdin: new Blob([sql]), stdout: "pipe" });
  expect(JSON.parse(await new Response(child.stdout).text()).rows).toEqual([[ROWS]]);
}, 60_000);

test("the catalog is a SQLite file with the lake's tables", async () => {
  const file = join(folder.path, "web.sqlite");
  const out = await lake("catalog", "web", "-o", file);
  expect(out).toContain(`\nATTACH 'ducklake:sqlite:${file}' AS "web" (READ_ONLY);\n`);
  const catalog = new Database(file, { readonly: true });
  const tables = catalog.query("SELECT table_name FROM ducklake_table ORDER BY 1").values();
  expect(tables).toEqual([["bad"], ["events"], ["few"], ["kept"], ["more"], ["soon"], ["texts"]]);
  catalog.close();
  const listed = await lake("tables", "web");
  for (const [table] of tables) expect(listed).toContain(` ${table} `);
}, 60_000);
