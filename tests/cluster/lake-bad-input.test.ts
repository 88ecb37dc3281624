/**
 * Bad rows and bad queries get a clear error of the right kind, leave nothing behind, take no more
 * memory than good ones, and disturb nobody: others write and read all the while.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { Client, must as mustSql } from "../support/client.ts";
import {
  ARROW,
  CSV,
  type LakeAnswer,
  LakeClient,
  lines,
  must,
  NDJSON,
} from "../support/lake-client.ts";
import { column } from "../support/lake-columns.ts";
import { arrowStream } from "../support/lake-writers.ts";
import { MemoryWatch, total } from "../support/memory-watch.ts";
import { NodeFolder, type NodeProcess } from "../support/node-process.ts";

const MIB = 1024 * 1024;
/** Of the node and all its children, while anything of this file happens. */
const MEMORY_BYTES_MAX = 2_048 * MIB;
/** The longest that a write of one row to a database may take beside runaways, on a busy machine. */
const WRITE_MS_MAX = 2_500;
/** What others' writes are given at most, where the machine itself has too much to do. */
const PATIENT = { timeout_ms: 20_000 };

const nodes = new NodeFolder();
let node: NodeProcess;
let client: LakeClient;
let watch: MemoryWatch;
let others: Others;
/** Small bodies that are a gigabyte. */
let bombs: readonly { readonly encoding: string; readonly bytes: Uint8Array }[] = [];

/** Others, who write and read; every failure of theirs is one of the test. */
class Others {
  readonly #sql: Client;
  readonly #lakes: LakeClient;
  readonly #working: Promise<void>;
  #isOver = false;
  rows = 0;
  slowestMs = 0;
  failure: unknown = null;

  constructor() {
    this.#sql = node.client();
    this.#lakes = new LakeClient(node.url);
    this.#working = this.#work().catch((error) => {
      this.failure = error;
    });
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#working;
    this.#sql.close();
    this.#lakes.close();
  }

  async #work(): Promise<void> {
    while (!this.#isOver) {
      const startMs = performance.now();
      mustSql(await this.#sql.execute("good", "INSERT INTO t VALUES (?)", [this.rows], PATIENT));
      this.slowestMs = Math.max(this.slowestMs, performance.now() - startMs);
      this.rows++;
      if (this.rows % 20 === 0) {
        const one = lines([{ id: this.rows }]);
        await this.#persistently(() => this.#lakes.rows("good", "t", one, { create: true }));
      }
      await Bun.sleep(10);
    }
  }

  /** Told to come again, it does. */
  async #persistently(send: () => Promise<LakeAnswer>): Promise<void> {
    for (;;) {
      const answer = await send();
      if (answer.status !== 429) return void must(answer);
      await Bun.sleep(200);
    }
  }
}

beforeAll(async () => {
  node = await nodes.node({ store: nodes.fileStore() }).start();
  client = new LakeClient(node.url);
  for (const lake of ["bad", "good", "secret"]) must(await client.create(lake));
  must(
    await client.createTable("bad", "t", [
      { name: "id", type: "int64", nullable: false },
      { name: "n", type: "int32" },
      { name: "text", type: "varchar" },
    ]),
  );
  must(await client.rows("secret", "hidden", lines([{ word: "s3cr3t" }]), { create: true }));
  const sql = node.client();
  mustSql(await sql.create("good"));
  mustSql(await sql.execute("good", "CREATE TABLE t (x)"));
  sql.close();
  bombs = ["\n", "\0"].flatMap((filler) => {
    const gigabyte = Buffer.alloc(1_024 * MIB, filler);
    return [
      { encoding: "gzip", bytes: gzipSync(gigabyte, { level: 1 }) },
      { encoding: "zstd", bytes: zstdCompressSync(gigabyte) },
    ];
  });
  watch = new MemoryWatch(node);
  others = new Others();
}, 60_000);

afterAll(async () => {
  client.close();
  await nodes.remove();
});

/** The snapshots of the lake, of which none may come to be by what is refused. */
async function snapshots(): Promise<number> {
  return must(await client.get("/v1/lakes/bad/snapshots")).snapshots.length;
}

interface Told {
  readonly status: number;
  readonly kind: string;
  readonly message: string;
  readonly details?: Record<string, unknown>;
}

function told({ status, body }: LakeAnswer): Told {
  return { status, ...body.error };
}

/** What a request is told that must be refused and leave nothing behind. */
async function refused(send: () => Promise<LakeAnswer>): Promise<Told> {
  const before = await snapshots();
  const answer = told(await send());
  expect(answer.status).toBeGreaterThanOrEqual(400);
  expect(await snapshots()).toBe(before);
  return answer;
}

const good = (id: number) => ({ id, n: 1, text: "x" });
const COLUMNS = [column("id", "int64"), column("n", "int32"), column("text", "varchar")];

describe("a body is refused as a whole", () => {
  test("for a wrong type in its row 70,001, however large it is", async () => {
    const rows: object[] = Array.from({ length: 80_000 }, (_, id) => good(id));
    rows[70_000] = { id: 70_000, n: "many", text: "x" };
    const wrong = await refused(() => client.rows("bad", "t", lines(rows)));
    expect(wrong).toMatchObject({ status: 400, kind: "invalid" });
    expect(wrong.details).toMatchObject({ row: 70_001, column: "n" });
  }, 60_000);

  const CASES: readonly [
    what: string,
    body: string | Uint8Array,
    options: Parameters<LakeClient["rows"]>[3],
    message: RegExp,
  ][] = [
    ["an unknown column", lines([{ ...good(1), more: 1 }]), {}, /more/],
    ["a missing column that is NOT NULL", lines([{ n: 1 }]), {}, /id/],
    ["null in a column that is NOT NULL", lines([{ id: null }]), {}, /id/],
    ["a number that its column cannot hold", lines([{ id: 1, n: 2 ** 31 }]), {}, /n\b/],
    ["invalid UTF-8", Buffer.from('{"id":1,"text":"\xff\xfe"}\n', "latin1"), {}, /UTF-8/i],
    [
      "invalid UTF-8 in CSV",
      Buffer.from("id,text\r\n1,\xff\r\n", "latin1"),
      { type: CSV },
      /UTF-8/i,
    ],
    ["broken JSON", '{"id":1}\n{"id":', {}, /JSON/],
    ["a broken list", '[{"id":1},', { type: "application/json" }, /row 2.* ends/],
    ["a row that is no object", "17\n", {}, /object/],
    ["an empty body", "", {}, /none|empty/],
    ["an empty list", "[]", { type: "application/json" }, /none/],
    ["an empty CSV", "", { type: CSV }, /header|none|empty/],
    ["an unknown column in CSV", "id,more\r\n1,2\r\n", { type: CSV }, /more/],
    ["an open quote in CSV", 'id,text\r\n1,"x', { type: CSV }, /quote/],
    [
      "half an Arrow message",
      arrowStream(COLUMNS, [[1, 1, "x"]]).slice(0, 300),
      { type: ARROW },
      /Arrow/,
    ],
    ["no Arrow at all", "x".repeat(100), { type: ARROW }, /Arrow/],
    ["an unknown content type", lines([good(1)]), { type: "text/plain" }, /content type/],
    ["an unknown encoding", lines([good(1)]), { encoding: "br" }, /encoding/],
    ["gzip that is none", lines([good(1)]), { encoding: "gzip" }, /gzip/],
    ["half of a gzip", gzipSync(lines([good(1)])).subarray(0, 25), { encoding: "gzip" }, /gzip/],
    [
      "half of a zstd",
      zstdCompressSync(lines([good(1)])).subarray(0, 20),
      { encoding: "zstd" },
      /zstd/,
    ],
    [
      "a key that is too long",
      lines([good(1)]),
      { key: "k".repeat(10_000) },
      /Idempotency-Key|key/i,
    ],
  ];
  for (const [what, body, options, message] of CASES) {
    test(`for ${what}`, async () => {
      const wrong = await refused(() => client.rows("bad", "t", body, options));
      expect([wrong.status, wrong.kind]).toEqual([400, "invalid"]);
      expect(wrong.message).toMatch(message);
    }, 30_000);
  }

  test("for being larger than 64 MiB", async () => {
    const wrong = await refused(() => client.rows("bad", "t", Buffer.alloc(65 * MIB, "\n")));
    expect(wrong).toMatchObject({ status: 413, kind: "too_large" });
  }, 60_000);

  test("for growing to a gigabyte out of its compression", async () => {
    for (const { encoding, bytes } of bombs) {
      for (const type of [NDJSON, "application/json", CSV, ARROW]) {
        const wrong = await refused(() => client.rows("bad", "t", bytes, { type, encoding }));
        expect([413, 400]).toContain(wrong.status);
        expect(["too_large", "invalid"]).toContain(wrong.kind);
      }
    }
  }, 240_000);
});

describe("a request is refused", () => {
  test("for parameters that nobody knows", async () => {
    const answers = [
      await refused(() => client.request("POST", "/v1/lakes/bad/tables/t/rows?creat=true", "", {})),
      await refused(() => client.request("POST", "/v1/lakes/bad/tables/t/rows?create=yes", "", {})),
      await refused(() =>
        client.request("POST", "/v1/lakes/bad/tables/t/rows?timeout_ms=-1", "", {})
      ),
      await refused(() => client.get("/v1/lakes/bad/tables?min_epoch=x")),
      await refused(() => client.get("/v1/lakes/bad/snapshots?limit=1")),
      await refused(() => client.query("bad", "SELECT 1", { timeout: 5 })),
      await refused(() => client.query("bad", "SELECT 1", { snapshot: 1, time: "2026-01-01" })),
      await refused(() => client.query("bad", "SELECT 1", { snapshot: -1 })),
      await refused(() => client.query("bad", "SELECT 1", { level: "newest" })),
      await refused(() => client.query("bad", "")),
    ];
    expect(answers.map(({ kind }) => kind)).toEqual(answers.map(() => "invalid"));
  }, 30_000);

  const NAMES = [
    'x"; drop',
    "x'; DROP TABLE ducklake_table; --",
    "a\nb",
    "a\0b",
    "..",
    "../../etc",
    "%2e%2e",
    "UPPER",
    " ",
    "ä",
    "x".repeat(500),
  ];

  test("for a name that no lake can have", async () => {
    for (const name of [...NAMES, ""]) {
      const made = told(await client.create(name));
      expect({ name, kind: made.kind }).toEqual({ name, kind: "invalid" });
      if (name === "" || name === "..") continue;
      const path = `/v1/lakes/${encodeURIComponent(name)}`;
      for (
        const answer of [
          await client.get(`${path}/tables`),
          await client.json("POST", `${path}/query`, { sql: "SELECT 1" }),
        ]
      ) {
        expect([400, 404]).toContain(answer.status);
      }
    }
    const { lakes } = must(await client.get("/v1/lakes"));
    expect(lakes.map(({ name }: { name: string }) => name)).toEqual(["bad", "good", "secret"]);
  }, 30_000);

  test("or its odd name of a table is a name and nothing else", async () => {
    must(await client.create("names"));
    const allowed: string[] = [];
    for (const name of NAMES) {
      const made = await client.createTable("names", name, [{ name, type: "int64" }]);
      if (made.status === 201) allowed.push(name);
      else expect({ name, status: made.status }).toEqual({ name, status: 400 });
    }
    expect(allowed).toContain('x"; drop');
    expect(allowed).not.toContain("a\0b");
    for (const name of allowed) {
      const id = `"${name.replaceAll('"', '""')}"`;
      if (!name.includes(".")) {
        const { epoch } = must(await client.rows("names", name, lines([{ [name]: 7 }])));
        expect(await client.select("names", `SELECT ${id} FROM ${id}`, { min_epoch: epoch }))
          .toEqual([[7]]);
      }
    }
    const { tables } = must(await client.get("/v1/lakes/names/tables"));
    expect(tables.length).toBe(allowed.length);
  }, 60_000);

  test("for columns that no table can have", async () => {
    const columns: unknown[] = [
      [],
      [{ name: "a", type: "int64" }, { name: "A", type: "int64" }],
      [{ name: "", type: "int64" }],
      [{ name: "a", type: "int65" }],
      [{ name: "a", type: "decimal(99,1)" }],
      [{ name: "a", type: "list" }],
      [{ name: "a", type: "int64", children: [{ name: "b", type: "int64" }] }],
      [{ name: "a" }],
      [{ name: "a", type: "int64", default: 1 }],
      Array.from({ length: 3_000 }, (_, index) => ({ name: `c${index}`, type: "int8" })),
      "a int64",
    ];
    for (const list of columns) {
      const body = { name: "wrong", columns: list };
      const wrong = await refused(() => client.json("POST", "/v1/lakes/bad/tables", body));
      expect([list, wrong.status]).toEqual([list, 400]);
    }
  }, 60_000);
});

describe("a query", () => {
  const ESCAPES = [
    "SELECT * FROM secret.hidden",
    "SELECT * FROM hidden",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM read_parquet('/**/*.parquet')",
    "SELECT * FROM read_blob('../../**')",
    "SELECT * FROM glob('/*')",
    "ATTACH '/tmp/x.db' AS x",
    "COPY t TO '/tmp/headgate-escaped.csv'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "PRAGMA database_list",
    "SELECT 1; SELECT 2",
    "INSERT INTO t VALUES (1, 1, 'x')",
    "DROP TABLE t",
    "CREATE TABLE mine (a INT)",
    "SELECT getenv('HOME')",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_secrets()",
    "EXPORT DATABASE '/tmp/headgate-escaped'",
  ];

  test("that tries to leave its lake is refused and tells nothing", async () => {
    for (const sql of ESCAPES) {
      const answer = await refused(() => client.query("bad", sql));
      expect([sql, answer.status, answer.kind]).toEqual([sql, 400, "invalid"]);
      expect(JSON.stringify(answer)).not.toMatch(/s3cr3t|root:|\.parquet'?: |headgate-cluster/);
    }
  }, 60_000);

  test("that runs away ends at its deadline, and nobody waits for it", async () => {
    const RUNAWAYS = [
      "SELECT count(*) FROM range(1000000000) a, range(1000000000) b",
      "SELECT sum(a.range * b.range) FROM range(100000000) a, range(100000000) b",
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
      "SELECT repeat('x', 1000000000), repeat('y', 1000000000)",
      "SELECT list(range) FROM range(1000000000)",
    ];
    others.slowestMs = 0;
    const rowsBefore = others.rows;
    const startMs = performance.now();
    const answers = await Promise.all(
      [...RUNAWAYS, ...RUNAWAYS].map((sql) => client.query("bad", sql, { timeout_ms: 1_000 })),
    );
    expect(performance.now() - startMs).toBeLessThan(15_000);
    for (const answer of answers) {
      expect(["unavailable", "too_large", "busy"]).toContain(told(answer).kind);
    }
    expect(others.rows).toBeGreaterThan(rowsBefore);
    expect(others.slowestMs).toBeLessThan(WRITE_MS_MAX);
    expect(await client.select("bad", "SELECT 42")).toEqual([[42]]);
  }, 60_000);
});

describe("too much at once", () => {
  test("is told to come again, or stored; nothing dies and nothing is lost", async () => {
    const ROWS = 2_048;
    const body = (request: number) =>
      lines(Array.from({ length: ROWS }, (_, row) => ({
        id: request * ROWS + row,
        n: request,
        text: "x".repeat(500),
      })));
    const one = body(0);
    expect(one.length).toBeGreaterThan(MIB);
    const crowd = Array.from({ length: 20 }, () => new LakeClient(node.url));
    const answers = await Promise.all(
      Array.from({ length: 1_000 }, (_, index) => {
        const sent = Buffer.from(index === 0 ? one : one.replaceAll('"n":0', `"n":${index}`));
        return crowd[index % crowd.length]!.rows("bad", "t", sent).catch(() => null);
      }),
    );
    for (const each of crowd) each.close();
    const stored = answers.filter((answer) => answer?.status === 200);
    const kinds = answers.map((answer) => answer === null ? "no answer" : told(answer).kind);
    const count = (kind: string | undefined) => kinds.filter((one) => one === kind).length;
    console.log(`stored ${stored.length}, busy ${count("busy")}, of 1,000 of 1 MiB`);
    expect(stored.length).toBeGreaterThan(0);
    expect(stored.length + count("busy") + count("unavailable")).toBe(1_000);
    const epoch = Math.max(...stored.map((answer) => must(answer!).epoch));
    expect(
      await client.select("bad", "SELECT count(*), count(DISTINCT n) FROM t", { min_epoch: epoch }),
    )
      .toEqual([[stored.length * ROWS, stored.length]]);
  }, 180_000);
});

test("through all of it, memory stays bounded and others are served", async () => {
  await others.stop();
  const most = await watch.stop();
  console.log(`${Math.round(total(most) / MIB)} MiB at most; ${others.rows} rows of others`);
  expect(others.failure).toBeNull();
  expect(others.rows).toBeGreaterThan(100);
  expect(total(most)).toBeLessThan(MEMORY_BYTES_MAX);
  expect(node.log).not.toContain("met a bug");
});
