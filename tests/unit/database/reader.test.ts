import { Database } from "bun:sqlite";
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  expect,
  setDefaultTimeout,
  test,
} from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../src/base/clock.ts";
import { createLog } from "../../../src/base/log.ts";
import type { Children } from "../../../src/database/child.ts";
import { createChildren } from "../../../src/database/child-process.ts";
import { createImage } from "../../../src/database/image-builder.ts";
import type { Image } from "../../../src/database/image.ts";
import { ReaderImage } from "../../../src/database/reader-image.ts";
import { createReaders, type ReaderPoolOptions } from "../../../src/database/reader-pool.ts";
import type { Readers, ReadResult } from "../../../src/database/reads.ts";
import type { ReadRequest } from "../../../src/database/statement.ts";
import { ChainOfPages } from "./chain-of-pages.ts";

// The machine may be busy with other suites; each test is far shorter alone.
setDefaultTimeout(30_000);

const parts = {
  clock: systemClock,
  log: createLog({ level: "warn", format: "text", nowMs: Date.now, write: console.error }),
};
const RUNAWAY =
  "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

let directory: string;
let children: Children;
let pids: Set<number>;
let chain: ChainOfPages;
let image: Image;
let readers: Readers;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "headgate-reader-"));
  const plain = createChildren({
    command: [process.execPath, join(import.meta.dir, "../../../main.ts")],
    ...parts,
    directory: join(directory, "children"),
  });
  pids = new Set();
  children = {
    start: (role, handlers) => {
      const child = plain.start(role, handlers);
      pids.add(child.pid);
      return child;
    },
    warm: () => {},
    close: () => plain.close(),
  };
});
afterAll(async () => {
  await children.close();
  rmSync(directory, { recursive: true, force: true });
});

let count = 0;
beforeEach(async () => {
  chain = new ChainOfPages(join(directory, `source-${count}.db`), 4096);
  chain.database.run("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT)");
  chain.database.run("INSERT INTO t(name) VALUES ('a'), ('b'), ('c')");
  image = await imageOf(chain, `image-${count++}.db`);
  readers = pool();
});
afterEach(async () => {
  await readers.close();
  await image.close();
  chain.close();
});

async function imageOf(source: ChainOfPages, name: string, conflictMs = 5_000): Promise<Image> {
  const path = join(directory, name);
  const builder = await createImage({ ...parts, path, pageSize: 4096, conflictMs });
  source.next();
  await builder.write(source.pages(), source.head.commit);
  return builder.finish(source.head);
}

function pool(options: Partial<ReaderPoolOptions> = {}): Readers {
  return createReaders({ ...parts, children, directory: join(directory, "results"), ...options });
}

function query(
  sql: string,
  params?: ReadRequest["params"],
  options: { timeoutMs?: number; byLine?: boolean; resultBytesMax?: number; image?: Image } = {},
): Promise<ReadResult> {
  const { timeoutMs = 5_000, image: of = image, ...rest } = options;
  return readers.query(of, {
    sql,
    ...(params === undefined ? {} : { params }),
    deadlineMs: systemClock.monotonicMs() + timeoutMs,
    ...rest,
  });
}

/** The text of a result, from wherever it is. */
function textOf(result: ReadResult): string {
  if (result.kind === "text") return result.text;
  const text = readFileSync(result.path, "utf8");
  expect(Buffer.byteLength(text)).toBe(result.size);
  result.done();
  result.done();
  expect(existsSync(result.path)).toBe(false);
  return text;
}

async function rows(...args: Parameters<typeof query>): Promise<unknown> {
  return JSON.parse(textOf(await query(...args)));
}

async function failure(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    const { kind, message, details } = error as Error & { kind: string; details: unknown };
    return `${kind}: ${message} ${JSON.stringify(details)}`;
  }
  return "it succeeded";
}

test("a result has columns, rows as lists, and the epoch that it reflects", async () => {
  expect(await rows("SELECT id, name FROM t WHERE id > ?", [1])).toEqual({
    columns: ["id", "name"],
    rows: [[2, "b"], [3, "c"]],
    epoch: 1,
  });
  expect(await rows("SELECT id FROM t WHERE id > :least -- all\n;", { least: 9 })).toEqual({
    columns: ["id"],
    rows: [],
    epoch: 1,
  });
});

test("rows by line are NDJSON, the epoch last", async () => {
  expect(textOf(await query("SELECT id FROM t", [], { byLine: true }))).toBe(
    '{"columns":["id"]}\n[1]\n[2]\n[3]\n{"epoch":1}\n',
  );
});

test("columns of one name, and named by numbers, keep their places", async () => {
  for (
    const sql of [
      "SELECT 2, 1, id AS x, name AS x FROM t WHERE id = ? ORDER BY 1",
      "SELECT 2, 1, id AS x, name AS x FROM t WHERE id = ? -- a comment",
      "SELECT 2, 1, id AS x, name AS x FROM t WHERE id = ? ; -- a comment",
      "WITH w AS (SELECT id, name FROM t) SELECT 2, 1, id AS x, name AS x FROM w WHERE id = ?",
    ]
  ) {
    expect(await rows(sql, [2])).toEqual({
      columns: ["2", "1", "x", "x"],
      rows: [[2, 1, 2, "b"]],
      epoch: 1,
    });
  }
  expect(await rows("SELECT id AS x, id % 2 AS x FROM t ORDER BY 2 DESC, 1 DESC")).toMatchObject({
    rows: [[3, 1], [1, 1], [2, 0]],
  });
  expect(await rows('SELECT 1 AS "__proto__", 2 AS "constructor"')).toMatchObject({
    columns: ["__proto__", "constructor"],
    rows: [[1, 2]],
  });
});

test("values of every type come through exactly", async () => {
  expect(
    textOf(
      await query(
        "SELECT ? AS a, typeof(?2) AS b, ?2 AS c, x'00ff' AS d, NULL AS e, 1.0 AS f, ?3 AS g, 9e999 AS h",
        [{ integer: "9223372036854775807" }, { real: "1.0" }, "ü\u0000😀"],
      ),
    ),
  ).toBe(
    '{"columns":["a","b","c","d","e","f","g","h"],"rows":[[{"integer":"9223372036854775807"},' +
      '"real",1.0,{"base64":"AP8="},null,1.0,"ü\\u0000😀",{"real":"Infinity"}]],"epoch":1}',
  );
});

test("PRAGMA and EXPLAIN answer too", async () => {
  expect(await rows("PRAGMA page_size")).toMatchObject({ rows: [[4096]] });
  expect(await rows("EXPLAIN QUERY PLAN SELECT * FROM t")).toMatchObject({
    rows: [[expect.any(Number), 0, expect.any(Number), "SCAN t"]],
  });
});

test("what is wrong with a statement is said, and the others in its batch do not notice", async () => {
  const wrong = [
    "SELECT * FROM nowhere",
    "INSERT INTO t(name) VALUES ('d')",
    "SELECT 1; SELECT 2",
    "PRAGMA journal_mode = WAL",
    "SELECT ?, ?",
    "WITH x AS (SELECT 1) INSERT INTO t SELECT 9, 'x'",
    "SELECT abs(-9223372036854775808)",
  ];
  const good = query("SELECT count(*) FROM t");
  for (const answer of await Promise.all(wrong.map((sql) => failure(query(sql, ["a"]))))) {
    expect(answer).toMatch(/^invalid: /);
  }
  expect(textOf(await good)).toContain("[[3]]");
});

test("a large result is a file of exactly that text, removed when the receiver is done", async () => {
  const many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) " +
    "SELECT i, 'ü' || i AS text FROM n";
  const result = await query(many);
  expect(result.kind).toBe("file");
  const { rows: found } = JSON.parse(textOf(result)) as { rows: unknown[][] };
  expect(found).toHaveLength(20_000);
  expect(found[19_999]).toEqual([20_000, "ü20000"]);
  const lines = textOf(await query(many, [], { byLine: true })).split("\n");
  expect(lines).toHaveLength(20_003);
  expect(lines.at(-2)).toBe('{"epoch":1}');
});

test("a result over its limit is refused, however it grows, and leaves no file", async () => {
  const many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
  for (
    const [sql, resultBytesMax] of [
      [many, 1_000_000],
      ["SELECT zeroblob(3000000) AS a", 1_000_000],
      ["SELECT hex(zeroblob(40)) AS a", 100],
      ["SELECT replace(hex(zeroblob(9)), '0', 'ü') AS a", 60],
    ] as const
  ) {
    expect(await failure(query(sql, [], { resultBytesMax }))).toMatch(
      new RegExp(`^too_large: .*larger than ${resultBytesMax} bytes`),
    );
  }
  expect(await rows("SELECT hex(zeroblob(20)) AS a", [], { resultBytesMax: 100 })).toMatchObject({
    rows: [["0".repeat(40)]],
  });
  expect(readdirSync(join(directory, "results")).filter((name) => name.endsWith(".result")))
    .toEqual([]);
});

test("a result names exactly the epoch whose content it has, under steady writes and reads", async () => {
  chain.database.run("CREATE TABLE counter(n INTEGER)");
  chain.database.run("INSERT INTO counter VALUES (2)");
  await image.apply(chain.next());
  let done = false;
  let reads = 0;
  const reader = async () => {
    let last = 0;
    while (!done) {
      const { epoch, text } = await query("SELECT n, (SELECT count(*) FROM t) AS c FROM counter")
        .then((result) => ({ epoch: result.epoch, text: textOf(result) }));
      expect(text).toBe(`{"columns":["n","c"],"rows":[[${epoch},${epoch + 1}]],"epoch":${epoch}}`);
      expect(epoch).toBeGreaterThanOrEqual(last);
      last = epoch;
      reads++;
    }
  };
  const all = Array.from({ length: 16 }, reader);
  for (let epoch = 3; epoch < 60; epoch++) {
    chain.database.run("UPDATE counter SET n = n + 1");
    chain.database.run("INSERT INTO t(name) VALUES (hex(randomblob(500)))");
    await image.apply(chain.next());
    await systemClock.sleep(1);
  }
  done = true;
  await Promise.all(all);
  expect(reads).toBeGreaterThan(100);
});

test("a change of the schema is seen by statements prepared before", () => {
  const source = new Database(join(directory, "schema.db"), { create: true });
  source.run("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT); INSERT INTO t VALUES (1, 'a')");
  const reader = new ReaderImage(join(directory, "schema.db"));
  const read = () => {
    const found: unknown[] = [];
    reader.begin();
    reader.query(
      "SELECT * FROM t",
      null,
      (columns) => found.push([...columns]),
      (row) => found.push([...row]),
    );
    reader.end();
    return found;
  };
  expect(read()).toEqual([["id", "name"], [1n, "a"]]);
  source.run("ALTER TABLE t ADD COLUMN extra DEFAULT 7");
  expect(read()).toEqual([["id", "name", "extra"], [1n, "a", 7n]]);
  source.run("ALTER TABLE t DROP COLUMN name");
  expect(read()).toEqual([["id", "extra"], [1n, 7n]]);
  source.run("DROP TABLE t");
  expect(read).toThrow("no such table");
  reader.end();
  reader.close();
  source.close();
});

test("a runaway is ended at its deadline, and nobody else waits for it", async () => {
  await rows("SELECT 1");
  const from = performance.now();
  const runaways = [1, 2, 3].map(() => failure(query(RUNAWAY, [], { timeoutMs: 700 })));
  const latencies: number[] = [];
  while (performance.now() - from < 600) {
    const sentMs = performance.now();
    await Promise.all(Array.from({ length: 8 }, () => rows("SELECT count(*) FROM t")));
    latencies.push(performance.now() - sentMs);
    await systemClock.sleep(1);
  }
  for (const answer of await Promise.all(runaways)) {
    expect(answer).toMatch(/^unavailable: .*deadline of (6\d\d|700) ms .*"reason":"deadline"/);
  }
  expect(performance.now() - from).toBeLessThan(2_000);
  latencies.sort((a, b) => a - b);
  expect(latencies[latencies.length >> 1]).toBeLessThan(50);
  expect(await rows("SELECT count(*) FROM t")).toMatchObject({ rows: [[3]] });
});

test(
  "long reads never take all readers: more than may run at once wait for each other",
  async () => {
    await readers.close();
    readers = pool({ readersMax: 3 });
    const long =
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000) " +
      "SELECT count(*) AS c FROM n";
    const answers = Promise.all(
      Array.from({ length: 5 }, () => rows(long, [], { timeoutMs: 20_000 })),
    );
    let short = 0;
    let ended = false;
    answers.finally(() => void (ended = true));
    while (!ended) {
      const from = performance.now();
      expect(await rows("SELECT count(*) FROM t")).toMatchObject({ rows: [[3]] });
      expect(performance.now() - from).toBeLessThan(1_000);
      short++;
    }
    for (const answer of await answers) expect(answer).toMatchObject({ rows: [[3_000_000]] });
    expect(short).toBeGreaterThan(10);
  },
  30_000,
);

test("a reader that is killed while it writes a large result leaves no file", async () => {
  const endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
  const left = () =>
    readdirSync(join(directory, "results")).filter((name) => name.endsWith(".result"));
  const ended = failure(query(endless, [], { timeoutMs: 1_500, resultBytesMax: 1e10 }));
  const kept = await query(`${endless} LIMIT 20000`);
  await until(() => left().length === 2);
  expect(await ended).toContain("deadline");
  await until(() => left().length === 1);
  expect(textOf(kept)).toContain("[20000]");
});

test("a read that wants too much memory is ended alone", async () => {
  await readers.close();
  readers = pool({ childBytesMax: 200_000_000 });
  const greedy = failure(
    query(
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) " +
        "SELECT length(group_concat(hex(randomblob(1000000 + i)))) FROM n",
    ),
  );
  const others = Promise.all(Array.from({ length: 50 }, () => rows("SELECT count(*) FROM t")));
  expect(await greedy).toMatch(/^too_large: .*more than 200000000 bytes of memory/);
  expect(await others).toHaveLength(50);
});

test("an epoch that has waited the conflict time cancels the reads in its way, and no others", async () => {
  const other = await imageOf(chain, "conflict.db", 150);
  chain.database.run("INSERT INTO t(name) VALUES ('d')");
  const epoch = chain.next();
  const inTheWay = failure(query(RUNAWAY, [], { image: other }));
  const elsewhere = failure(query(RUNAWAY, [], { timeoutMs: 3_000 }));
  // A process takes its time to start on a busy machine, and a read that has not begun is in no way.
  await systemClock.sleep(1_000);
  const from = performance.now();
  await other.apply(epoch);
  expect(performance.now() - from).toBeLessThan(2_000);
  expect(await inTheWay).toMatch(/^unavailable: .*cancelled: conflict with replication/);
  expect(await rows("SELECT count(*) FROM t", [], { image: other })).toMatchObject({ rows: [[4]] });
  expect(await elsewhere).toContain("deadline");
  await readers.forget(other);
  await other.close();
});

test("when a reader process dies, only the read that it executed fails", async () => {
  await rows("SELECT 1");
  const victim = failure(query(RUNAWAY));
  await systemClock.sleep(50);
  const before = [...pids];
  const others = Promise.all(Array.from({ length: 20 }, () => rows("SELECT count(*) FROM t")));
  for (const pid of before) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It has ended already.
    }
  }
  expect(await victim).toMatch(/^unavailable: .*process that executed it has ended/);
  const answers = await Promise.allSettled([others]);
  expect(answers[0]?.status).toBe("fulfilled");
});

test("too many waiting reads are refused with busy", async () => {
  await readers.close();
  readers = pool({ readsWaitingMax: 10 });
  const ten = Array.from({ length: 10 }, () => rows("SELECT 1"));
  expect(await failure(query("SELECT 1"))).toMatch(/^busy: .*10 others wait/);
  await Promise.all(ten);
  expect(await rows("SELECT 1 AS x")).toMatchObject({ rows: [[1]] });
});

test("a forgotten image's readers let go of its file; its reads are told", async () => {
  const other = await imageOf(chain, "forgotten.db");
  await rows("SELECT 1 AS x", [], { image: other });
  const holds = () => [...pids].some((pid) => holdsFile(pid, "forgotten.db"));
  if (process.platform === "linux") expect(holds()).toBe(true);
  const runaway = failure(query(RUNAWAY, [], { image: other }));
  await systemClock.sleep(60);
  await readers.forget(other);
  expect(await runaway).toMatch(/^unavailable: .*being replaced/);
  expect(holds()).toBe(false);
  await other.close();
  expect(await failure(query("SELECT 1", [], { image: other }))).toMatch(/^unavailable/);
});

test("reads that wait when the pool closes are told, and no process stays", async () => {
  const waiting = [failure(query(RUNAWAY)), failure(query("SELECT 1"))];
  await readers.close();
  for (const answer of await Promise.all(waiting)) {
    expect(answer).toMatch(/^unavailable: .*closing/);
  }
  expect(await failure(query("SELECT 1"))).toMatch(/^unavailable: .*closing/);
});

test("idle readers end, and the next read starts new ones", async () => {
  await readers.close();
  pids.clear();
  readers = pool({ childIdleMs: 150 });
  await rows("SELECT 1");
  const first = [...pids];
  await systemClock.sleep(500);
  for (const pid of first) expect(() => process.kill(pid, 0)).toThrow();
  expect(await rows("SELECT count(*) FROM t")).toMatchObject({ rows: [[3]] });
});

async function until(condition: () => boolean): Promise<void> {
  const endMs = performance.now() + 5_000;
  while (!condition()) {
    if (performance.now() > endMs) throw new Error("it did not happen within 5 s");
    await systemClock.sleep(5);
  }
}

/** Whether a process has a file open, on Linux. */
function holdsFile(pid: number, name: string): boolean {
  const folder = `/proc/${pid}/fd`;
  if (!existsSync(folder)) return false;
  return readdirSync(folder).some((descriptor) => {
    try {
      return readlinkSync(join(folder, descriptor)).includes(name);
    } catch {
      return false;
    }
  });
}
