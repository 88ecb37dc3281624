import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { Failure } from "../../../src/base/failure.ts";
import { LakeCommands } from "./lake-harness.ts";

const commands = new LakeCommands();
afterAll(() => commands.close());
beforeEach(() => commands.reset());

const run = (...args: string[]) => commands.run(["lake", ...args]);

describe("lake", () => {
  test("create, list and drop say what they did", async () => {
    const web = { name: "web", data_path: "s3://b/lakes/web/data/" };
    Object.assign(commands.answers, { create: web, list: [web], drop: { epoch: 9 } });
    expect(await run("create", "web")).toMatchObject({
      code: 0,
      out: "created web, with its files at s3://b/lakes/web/data/\n",
    });
    expect((await run("list")).out).toContain(" web  │ s3://b/lakes/web/data/\n");
    expect(JSON.parse((await run("list", "--json")).out)).toEqual({ lakes: [web] });
    expect((await run("drop", "web")).out).toBe("dropped web in epoch 9\n");
    expect(commands.node.memoryLakes.seen.map(({ call }) => call))
      .toEqual(["create", "list", "list", "drop"]);
  });

  test("tables, describe and snapshots show what is there, nested columns too", async () => {
    const point = column("x", "float64");
    const table = {
      id: 1,
      schema: "main",
      name: "events",
      version: 1,
      columns: [column("id", "int64", false), { ...column("at", "struct"), children: [point] }],
    };
    Object.assign(commands.answers, {
      tables: { value: [table], epoch: 4 },
      table: { table, rows: 3, bytes: 2048, epoch: 4 },
      snapshots: {
        value: [
          { id: 0, atMs: 0, schemaVersion: 0, changes: 'created_schema:"main"' },
          { id: 1, atMs: 1_000, schemaVersion: 1, changes: "inlined_insert:1" },
        ],
        epoch: 4,
      },
    });
    expect((await run("tables", "web")).out).toContain(" main   │ events │ id, at\n");
    expect((await run("describe", "web", "events")).out).toBe(
      " column │ type    │ null\n────────┼─────────┼──────\n id     │ int64   │ no\n" +
        " at     │ struct  │ yes\n at.x   │ float64 │ yes\n3 rows, 2.0 KiB in files, epoch 4\n",
    );
    const { out } = await run("snapshots", "web");
    expect(out.split("\n").slice(2, 5)).toEqual([
      '        0 │ 1970-01-01T00:00:00.000Z │ created_schema:"main"',
      "        1 │ 1970-01-01T00:00:01.000Z │ inlined_insert:1",
      "2 snapshots, epoch 4",
    ]);
  });

  test("flush, merge and expire say what they did, or that there was nothing", async () => {
    Object.assign(commands.answers, {
      flush: { rows: 1, files: 1, epoch: 5 },
      merge: { merged: 12, into: 2, epoch: 6 },
      expire: { snapshots: 4, files: 1, epoch: 7 },
    });
    expect(await run("flush", "web"))
      .toMatchObject({ code: 0, out: "flushed 1 row into 1 file in epoch 5\n" });
    expect((await run("merge", "web", "logs.events")).out)
      .toBe("merged 12 files into 2 in epoch 6\n");
    expect((await run("expire", "web", "--older-than", "7d")).out)
      .toBe("expired 4 snapshots in epoch 7; 1 file can go after the restore window\n");
    expect(JSON.parse((await run("merge", "web", "events", "--json")).out))
      .toEqual({ merged: 12, into: 2, epoch: 6 });
    const { seen } = commands.node.memoryLakes;
    expect(seen.map(({ call, arguments: given }) => [call, ...given])).toEqual([
      ["flush", "web", null],
      ["merge", "web", { schema: "logs", name: "events" }],
      ["expire", "web", { ageMs: 7 * 86_400_000 }],
      ["merge", "web", { schema: "main", name: "events" }],
    ]);
    Object.assign(commands.answers, {
      flush: { rows: 0, files: 0, epoch: 0 },
      merge: { merged: 0, into: 0, epoch: 0 },
      expire: { snapshots: 0, files: 0, epoch: 9 },
    });
    expect((await run("flush", "web", "events")).out).toBe("there is nothing to flush\n");
    expect((await run("merge", "web")).out).toBe("there is nothing to merge\n");
    expect((await run("expire", "web", "--older-than", "0s")).out)
      .toBe("there is nothing to expire\n");
  });

  test("expire takes an age or a time, one of them", async () => {
    commands.answers.expire = { snapshots: 0, files: 0, epoch: 9 };
    const time = "2026-07-24T18:00:00Z";
    for (const before of [time, `${Date.parse(time)}`]) {
      await run("expire", "web", "--before", before);
    }
    expect(commands.node.memoryLakes.seen.map(({ arguments: [, wish] }) => wish))
      .toEqual(Array(2).fill({ beforeMs: Date.parse(time) }));
    expect(await run("expire", "web")).toMatchObject({
      code: 2,
      err: expect.stringContaining("Say what is to go: --older-than AGE or --before T"),
    });
    expect((await run("expire", "web", "--older-than", "7d", "--before", "1")).code).toBe(2);
    expect(await run("expire", "web", "--older-than", "a week")).toMatchObject({
      code: 1,
      err: expect.stringContaining('older_than is "a week"; allowed: a duration, as in "90s"'),
    });
  });

  test("is reached at any of some addresses", async () => {
    const nobody = "http://127.0.0.1:1";
    const web = { name: "web", data_path: "s3://b/lakes/web/data/" };
    Object.assign(commands.answers, {
      create: web,
      list: [web],
      drop: { epoch: 9 },
      tables: { value: [], epoch: 4 },
      table: {
        table: { id: 1, schema: "main", name: "t", version: 1, columns: [] },
        rows: 0,
        bytes: 0,
        epoch: 4,
      },
      snapshots: { value: [], epoch: 4 },
      flush: { rows: 0, files: 0, epoch: 0 },
      merge: { merged: 0, into: 0, epoch: 0 },
      expire: { snapshots: 0, files: 0, epoch: 9 },
    });
    answer('{"columns":["a"],"types":["INTEGER"]}\n', '{"rows":0}\n');
    for (
      const args of [
        ["create", "web"],
        ["list"],
        ["drop", "web"],
        ["tables", "web"],
        ["describe", "web", "t"],
        ["snapshots", "web"],
        ["flush", "web"],
        ["merge", "web"],
        ["expire", "web", "--older-than", "7d"],
        ["query", "web", "SELECT 1"],
        ["catalog", "web", "-o", join(commands.directory, "web.sqlite")],
      ]
    ) {
      for (const urls of [["--url", `${nobody},${commands.url}`], ["--url", nobody, "--url"]]) {
        const all = urls.length === 2 ? urls : [...urls, commands.url];
        expect(await run(...args, ...all)).toMatchObject({ code: 0, err: "" });
      }
    }
    expect((await run("list", "--url", `${commands.url},ftp://x`)).code).toBe(2);
    expect((await commands.run(["lake", "list"], { url: `${nobody}, ${commands.url}` })).code)
      .toBe(0);
  });

  test("catalog writes the file and prints the statement that attaches it", async () => {
    const file = join(commands.directory, "it's.sqlite");
    const { code, out } = await run("catalog", "web", "-o", file);
    expect([code, out]).toEqual([
      0,
      `wrote ${file}: 15.6 KiB, epoch 4\n` +
      `ATTACH 'ducklake:sqlite:${file.replace("'", "''")}' AS "web" (READ_ONLY);\n`,
    ]);
    expect(await Bun.file(file).text()).toStartWith("SQLite format 3");
    expect(commands.node.seen.at(-1)).toMatchObject({ call: "export", database: "lake-web" });
    expect((await run("catalog", "web")).code).toBe(2);
  });

  test("that is not there ends with 1", async () => {
    expect(await run("tables", "web")).toMatchObject({
      code: 1,
      err: "missing: There is no such lake\n",
    });
  });
});

describe("lake query", () => {
  const head = '{"columns":["id","v"],"types":["BIGINT","STRUCT(a DECIMAL(4,2))"]}\n';

  test("prints a table of any values", async () => {
    answer(head, '[{"integer":"9007199254740993"},{"a":{"decimal":"1.50"}}]\n', '{"rows":1}\n');
    const { code, out } = await run("query", "web", "SELECT 1");
    expect(code).toBe(0);
    expect(out).toBe(
      " id               │ v\n──────────────────┼────────────\n" +
        ' 9007199254740993 │ {"a":1.50}\n1 row, snapshot 5, epoch 7\n',
    );
  });

  test("sends what it was given", async () => {
    answer(head, '{"rows":0}\n');
    const options = ["-p", "5", "--snapshot", "4", "--min-epoch", "6", "--format", "line"];
    await run("query", "web", "SELECT ?", ...options);
    expect(commands.node.memoryLakes.seen.at(-1)?.arguments).toMatchObject([
      "web",
      {
        sql: "SELECT ?",
        params: [5],
        moment: { version: 4 },
        format: "ndjson",
        freshness: { level: "session", minEpoch: 6 },
      },
    ]);
    answer(head, '{"rows":0}\n');
    await commands.run(["lake", "query", "web", "--time", "1000"], { input: ["SELECT 2"] });
    expect(commands.node.memoryLakes.seen.at(-1)?.arguments)
      .toMatchObject(["web", { sql: "SELECT 2", moment: { atMs: 1000 } }]);
  });

  test("cuts a table after 2000 rows and says so, reading no further", async () => {
    let read = 0;
    commands.answers.query = () => ({
      ...ANSWER,
      body: (async function* () {
        yield Buffer.from(head);
        for (; read < 1_000_000; read++) yield Buffer.from(`[${read},null]\n`.repeat(100));
      })(),
    });
    const { code, out } = await run("query", "web", "SELECT 1");
    expect(code).toBe(0);
    expect(out.split("\n")).toHaveLength(2 + 2000 + 1 + 1);
    expect(out).toEndWith(
      "the first 2000 rows; --format csv, ndjson or arrow gives all, snapshot 5, epoch 7\n",
    );
    expect(read).toBeLessThan(900_000);
  });

  test.each(
    [
      ["csv", "a\r\n\xff"],
      ["json", '{"columns":["a"],"types":["BLOB"],"rows":[]}\n'],
      ["ndjson", `${head}{"rows":0}\n`],
      ["arrow", "\xff\xff\xff\xff\0\0\0\0"],
      ["parquet", "PAR1\xffPAR1"],
    ] as const,
  )("writes %s as it comes", async (format, text) => {
    const bytes = Buffer.from(text, "latin1");
    commands.answers.query = () => ({ ...ANSWER, body: pieces(bytes) });
    const ran = await run("query", "web", "SELECT 1", "--format", format);
    expect([ran.code, ran.err]).toEqual([0, ""]);
    expect(Buffer.from(ran.bytes).equals(bytes)).toBe(true);
    const [, asked] = commands.node.memoryLakes.seen.at(-1)?.arguments ?? [];
    expect(asked).toMatchObject({ format });
  });

  test.each(["table", "line", "ndjson"])(
    "ends as a query failed that failed after rows of it were written in %s",
    async (format) => {
      answer(head, "[1,null]\n", '{"error":{"kind":"too_large","message":"Out of ', 'memory"}}\n');
      const { code, err } = await run("query", "web", "SELECT 1", "--format", format);
      expect([code, err]).toEqual([1, "too_large: Out of memory\n"]);
      answer(head, "[1,null]\n");
      const broken = await run("query", "web", "SELECT 1", "--format", format);
      expect([broken.code, broken.err]).toEqual([
        3,
        "unavailable: The answer broke off: its last line is missing\n",
      ]);
    },
  );

  test.each(["table", "csv", "json", "ndjson", "arrow", "parquet"])(
    "ends with 3 when the connection breaks within an answer in %s",
    async (format) => {
      commands.answers.query = () => ({
        ...ANSWER,
        body: (async function* () {
          yield Buffer.from(head);
          await Bun.sleep(20);
          throw new Error("The process has ended");
        })(),
      });
      const { code, err } = await run("query", "web", "SELECT 1", "--format", format);
      expect(code).toBe(3);
      expect(err).toStartWith("unavailable: The answer broke off: ");
    },
  );

  test("ends with 2 for what contradicts itself", async () => {
    for (
      const wrong of [
        ["--format", "xml"],
        ["--json", "--format", "csv"],
        ["--snapshot", "1", "--time", "1000"],
      ]
    ) expect((await run("query", "web", "SELECT 1", ...wrong)).code).toBe(2);
    for (const [format, file] of [["arrow", "rows.arrows"], ["parquet", "rows.parquet"]] as const) {
      const words = ["lake", "query", "web", "SELECT 1", "--format", format];
      const { code, err } = await commands.run(words, { outputIsTerminal: true });
      expect(code).toBe(2);
      expect(err).toContain(`> ${file}`);
    }
    expect(commands.node.memoryLakes.seen).toEqual([]);
  });

  test("ends with 1 for SQL that is refused", async () => {
    commands.answers.query = () => {
      throw new Failure("invalid", "Cannot run this query: DROP");
    };
    expect(await run("query", "web", "DROP TABLE t"))
      .toMatchObject({ code: 1, out: "", err: "invalid: Cannot run this query: DROP\n" });
  });
});

const ANSWER = { contentType: "text/plain", epoch: 7, snapshot: 5 };

function answer(...lines: string[]): void {
  commands.answers.query = () => ({
    ...ANSWER,
    body: pieces(...lines.map((line) => Buffer.from(line))),
  });
}

async function* pieces(...all: Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* all;
}

function column(name: string, type: string, nullable = true) {
  return { id: 1, name, type: { name: type }, nullable, children: [] };
}
