import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { tableFromArrays, tableToIPC } from "apache-arrow";
import { systemClock } from "../../../src/base/clock.ts";
import { Failure, type FailureKind } from "../../../src/base/failure.ts";
import { CLI_PIECE_BYTES } from "../../../src/base/lake-limits.ts";
import type { RowsRequest } from "../../../src/lake/rows-request.ts";
import { LakeCommands, storing } from "./lake-harness.ts";

const commands = new LakeCommands();
afterAll(() => commands.close());
beforeEach(() => {
  commands.reset();
  commands.answers.store = storing;
});

const ingest = (...args: string[]) => commands.run(["lake", "ingest", "web", "events", ...args]);
const bodies = () => commands.stored.map(({ body }) => Buffer.from(body).toString());
const keys = () => commands.stored.map(({ key }) => key?.key ?? "none");

/** Of more than one piece, with long lines. */
function long(count: number): string {
  const pad = "x".repeat(512 * 1024);
  return Array.from({ length: count }, (_, id) => `{"id":${id},"pad":"${pad}"}\n`).join("");
}

describe("lake ingest", () => {
  test("sends a file and says what was stored", async () => {
    const file = commands.file("a.ndjson", '{"id":1}\n{"id":2}\n');
    const { code, out } = await ingest(file);
    expect(code).toBe(0);
    expect(out).toMatch(/^2 rows in \d\.\d s, \d+ rows\/s, epoch 8\n$/);
    expect(commands.stored[0]).toMatchObject({
      lake: "web",
      table: { schema: "main", name: "events" },
      create: false,
      format: "ndjson",
    });
    expect(JSON.parse((await ingest(file, "--json")).out))
      .toMatchObject({ rows: 2, requests: 1, snapshot: 3, epoch: 8, bytes: 18 });
  });

  test("cuts a large file at the ends of rows; the first piece alone makes the table", async () => {
    const text = long(40);
    let running = 0;
    const together: number[] = [];
    commands.answers.store = async (request: RowsRequest) => {
      together.push(++running);
      // Long enough to read the rest meanwhile.
      await Bun.sleep(200);
      running--;
      return storing(request);
    };
    const { code, out } = await ingest(commands.file("a.ndjson", text), "--create");
    expect([code, out]).toEqual([0, expect.stringMatching(/^40 rows/)]);
    const sent = commands.stored;
    const inOrder = bodies().sort((a, b) => text.indexOf(a) - text.indexOf(b));
    expect(inOrder.join("") === text).toBe(true);
    expect(sent.map(({ create }) => create)).toEqual([true, false, false]);
    expect(sent[0]?.body.length).toBeGreaterThanOrEqual(CLI_PIECE_BYTES);
    expect(bodies().every((body) => body.endsWith("\n"))).toBe(true);
    expect(together).toEqual([1, 1, 2]);
  });

  test("gives each piece a key that is the same when the same command comes again", async () => {
    const file = commands.file("a.ndjson", long(20));
    await ingest(file);
    const first = keys().sort();
    expect(new Set(first).size).toBe(2);
    expect(first.every((key) => /^cli-[\w-]{43}$/.test(key))).toBe(true);
    commands.reset();
    commands.answers.store = storing;
    await ingest(file.replace("/a.ndjson", "/./a.ndjson"));
    expect(keys().sort()).toEqual(first);
  });

  test("gives another key to all that differs, equal bytes elsewhere in a file too", async () => {
    const row = `{"pad":"${"x".repeat(CLI_PIECE_BYTES)}"}\n`;
    const one = commands.file("one.ndjson", row);
    const two = commands.file("two.ndjson", row + row);
    await ingest(one);
    await ingest(two);
    await ingest(one, "--batch", "again");
    await commands.run(["lake", "ingest", "web", "others", one]);
    await commands.run(["lake", "ingest", "other", "events", one]);
    expect(new Set(keys()).size).toBe(6);
  });

  test("sends the header of a CSV file with every piece, and cuts no quoted newline", async () => {
    const value = `${"x\n".repeat(250_000)}""end`;
    const records = Array.from({ length: 20 }, (_, id) => `${id},"${value}"\n`);
    await ingest(commands.file("a.csv", `id,"te\nxt"\n${records.join("")}`));
    expect(bodies().length).toBeGreaterThan(1);
    const header = 'id,"te\nxt"\n';
    expect(bodies().every((body) => body.startsWith(header) && body.endsWith('"\n'))).toBe(true);
    const rows = bodies().map((body) => body.slice(header.length))
      .sort((a, b) => parseInt(a) - parseInt(b));
    expect(rows.join("") === records.join("")).toBe(true);
  });

  test("knows formats and compression by the name, or by --format", async () => {
    const text = '{"id":1}\n';
    const names = ["a.jsonl", "a.b.ndjson.gz", "A.NDJSON.ZST"];
    for (const name of names) {
      const pack = /gz$/.test(name) ? gzipSync : /ZST$/.test(name) ? zstdCompressSync : Buffer.from;
      expect(await ingest(commands.file(name, pack(text)))).toMatchObject({ code: 0 });
    }
    await ingest(commands.file("rows.txt", text), "--format", "ndjson");
    await commands.run(["lake", "ingest", "web", "events", "-", "--format", "jsonl"], {
      input: ['{"id"', ":1}\n"],
    });
    expect(bodies()).toEqual(Array(5).fill(text));
    expect(await ingest(commands.file("rows.txt", text))).toMatchObject({ code: 2 });
    expect(await ingest("-")).toMatchObject({ code: 2 });
    expect(await ingest("-", "--format", "xml")).toMatchObject({ code: 2 });
  });

  test("sends an array of JSON whole, and of an Arrow file the stream in it", async () => {
    const stream = tableToIPC(tableFromArrays({ id: Int32Array.of(1, 2) }), "stream");
    const footer = "a footer";
    const file = Buffer.concat([
      Buffer.from("ARROW1\0\0"),
      stream,
      Buffer.from(footer),
      Uint8Array.of(footer.length, 0, 0, 0),
      Buffer.from("ARROW1"),
    ]);
    await ingest(commands.file("a.json", "[{},\n{}]"));
    await ingest(commands.file("a.arrows", stream));
    await ingest(commands.file("a.arrow", file));
    const [json, arrows, arrow] = commands.stored;
    expect([json?.format, bodies()[0]]).toEqual(["json", "[{},\n{}]"]);
    expect(arrows?.format).toBe("arrow");
    expect(Buffer.from(arrows?.body ?? []).equals(stream)).toBe(true);
    expect(Buffer.from(arrow?.body ?? []).equals(stream)).toBe(true);
    const short = commands.file("short.arrow", file.subarray(0, -20));
    expect((await ingest(short)).err).toContain("short.arrow: it is an Arrow file that is cut");
  });

  test("refuses an array of JSON that is too large, and names what is not", async () => {
    const { code, err } = await ingest(commands.file("big.json", Buffer.alloc(64 * 2 ** 20 + 1)));
    expect([code, commands.stored]).toEqual([1, []]);
    expect(err).toContain("too_large: Cannot take");
    expect(err).toContain("is sent whole; NDJSON, a row a line, may be of any size");
  });

  test("reads nothing before it knows that all files are there", async () => {
    const good = commands.file("a.ndjson", "{}\n");
    const gone = await ingest(good, `${commands.directory}/gone.csv`);
    expect(gone).toMatchObject({ code: 1, out: "" });
    expect(gone.err).toContain("gone.csv: ENOENT");
    expect((await ingest(good, commands.directory)).code).toBe(2);
    expect((await ingest(good, good)).err).toContain("is given twice");
    expect(commands.stored).toEqual([]);
  });

  test("names a file whose compression is damaged, and sends nothing of its end", async () => {
    const packed = gzipSync('{"id":1}\n'.repeat(10_000));
    const { code, err } = await ingest(commands.file("cut.ndjson.gz", packed.subarray(0, -9)));
    expect(code).toBe(1);
    expect(err).toMatch(/^invalid: Cannot decompress \S+cut\.ndjson\.gz as gzip: /);
    expect(err).toContain("Stored, and staying so: nothing");
    expect(commands.stored).toEqual([]);
  });

  test("stores nothing for files without rows", async () => {
    const files = [commands.file("a.ndjson", "\n \n"), commands.file("a.csv", "id\n")];
    expect(await ingest(...files)).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^0 rows/),
    });
    expect(commands.stored).toEqual([]);
  });

  test("shows on a terminal how far it is", async () => {
    commands.answers.store = async (request: RowsRequest) => {
      await Bun.sleep(300);
      return storing(request);
    };
    const file = commands.file("a.ndjson", '{"id":1}\n');
    const { err } = await commands.run(["lake", "ingest", "web", "events", file], {
      errorIsTerminal: true,
    });
    expect(err).toContain("\r\x1b[K0 rows, 0 rows/s, 0.0 MB/s, 100 % read");
    expect(err).toEndWith("\r\x1b[K");
    expect((await ingest(file)).err).toBe("");
  });
});

describe("lake ingest --ack stored", () => {
  const file = () => commands.file("a.ndjson", '{"id":1}\n{"id":2}\n');
  /** As a node answers that has the rows in the bucket, and knows the catalog until epoch 7. */
  const staging = (request: RowsRequest) => ({
    rows: storing(request).rows,
    stored: "lakes/web/staged/x.json",
    epoch: 7,
  });

  test("asks for it, and promises no snapshot and no epoch", async () => {
    commands.answers.store = staging;
    const { code, out } = await ingest(file(), "--ack", "stored");
    expect(code).toBe(0);
    expect(out).toMatch(/^2 rows in \d\.\d s, \d+ rows\/s, stored, visible soon\n$/);
    const { seconds, rows_per_second, ...told } = JSON.parse(
      (await ingest(file(), "--ack", "stored", "--json")).out,
    );
    expect(told).toEqual({ rows: 2, requests: 1, visible_soon: 2, bytes: 18 });
    expect([typeof seconds, typeof rows_per_second]).toEqual(["number", "number"]);
    expect(commands.stored.map(({ ack }) => ack)).toEqual(["stored", "stored"]);
  });

  test("has the keys that it has otherwise, and names the epoch of what is visible", async () => {
    expect((await ingest(file(), "--ack", "stored")).out).toEndWith(", epoch 8\n");
    await ingest(file(), "--ack", "visible");
    await ingest(file());
    expect(commands.stored.map(({ ack }) => ack)).toEqual(["stored", "visible", "visible"]);
    expect(new Set(keys()).size).toBe(1);
  });

  test("says how many of the rows are not visible where some are", async () => {
    const text = long(40);
    commands.answers.store = (request: RowsRequest) =>
      Buffer.from(request.body.subarray(0, 8)).toString() === '{"id":0,'
        ? storing(request)
        : staging(request);
    const path = commands.file("long.ndjson", text);
    const told = JSON.parse((await ingest(path, "--ack", "stored", "--json")).out);
    expect(told).toMatchObject({ rows: 40, requests: 3 });
    expect(told.visible_soon).toBeGreaterThan(0);
    expect(told.visible_soon).toBeLessThan(40);
    expect(Object.keys(told)).not.toContain("epoch");
    expect((await ingest(path, "--ack", "stored")).out).toEndWith(", stored, visible soon\n");
  });

  test("is nothing else", async () => {
    expect(await ingest(file(), "--ack", "later")).toMatchObject({
      code: 2,
      err: expect.stringContaining('--ack is "later"; allowed: visible, stored'),
    });
    expect(commands.stored).toEqual([]);
  });
});

describe("lake ingest, when a node does not take a request", () => {
  const file = () => commands.file("a.ndjson", '{"id":1}\n');

  function failing(...failures: Failure[]): void {
    commands.answers.store = (request: RowsRequest) => {
      const failure = failures.shift();
      if (failure) throw failure;
      return storing(request);
    };
  }

  test("sends it again with the same key, not before it was told to", async () => {
    failing(
      new Failure("busy", "Full", { retryAfterMs: 2_345 }),
      new Failure("unavailable", "No leader"),
      new Failure("uncertain", "Perhaps"),
    );
    expect(await ingest(file())).toMatchObject({ code: 0, err: "" });
    expect(new Set(keys()).size).toBe(1);
    expect(commands.stored).toHaveLength(4);
    expect(commands.waitsMs[0]).toBe(2_345);
    expect(commands.waitsMs).toHaveLength(3);
  });

  test("tries the next address where nobody is", async () => {
    const nobody = "http://127.0.0.1:1";
    for (const more of [["--url", `${nobody},${commands.url}`], ["--url", nobody, "--url"]]) {
      const urls = more.length === 2 ? more : [...more, commands.url];
      expect(await ingest(file(), ...urls)).toMatchObject({ code: 0 });
    }
    const args = ["lake", "ingest", "web", "events", file()];
    expect(await commands.run(args, { url: `${nobody}, ${commands.url}` }))
      .toMatchObject({ code: 0 });
    expect(commands.stored).toHaveLength(3);
  });

  test.each([["unavailable", 3], ["busy", 3], ["uncertain", 4]] as const)(
    "gives up after --timeout, as %s with %d",
    async (kind: FailureKind, code: number) => {
      commands.answers.store = () => {
        throw new Failure(kind, "It did not work");
      };
      const ran = await ingest(file(), "--timeout", "20000");
      expect(ran.code).toBe(code);
      expect(ran.err).toContain(`${kind}: Cannot store lines 1 to 1 of `);
      const waitedMs = commands.waitsMs.reduce((sum, ms) => sum + ms, 0);
      expect(waitedMs).toBeGreaterThan(14_000);
      expect(waitedMs).toBeLessThan(20_000);
    },
  );

  test("is uncertain in the end if one attempt was", async () => {
    let attempts = 0;
    commands.answers.store = () => {
      throw new Failure(++attempts === 1 ? "uncertain" : "unavailable", "It did not work");
    };
    expect((await ingest(file(), "--timeout", "5000")).code).toBe(4);
  });

  test("ends at once where trying again is no use", async () => {
    for (const kind of ["denied", "missing", "conflict", "too_large", "corrupt"] as const) {
      failing(new Failure(kind, "It did not work"));
      expect((await ingest(file())).code).toBe(1);
    }
    expect(commands.stored).toHaveLength(5);
    expect(commands.waitsMs).toEqual([]);
  });

  test("allows the next attempt more time when one took all that it had", async () => {
    const allowedMs: number[] = [];
    commands.answers.store = (request: RowsRequest) => {
      allowedMs.push(Math.round((request.deadlineMs - systemClock.monotonicMs()) / 1000) * 1000);
      if (allowedMs.length === 4) return storing(request);
      // The second is refused at once.
      if (allowedMs.length !== 2) commands.pass(allowedMs.at(-1) ?? 0);
      throw new Failure("unavailable", "Ended at the deadline");
    };
    expect((await ingest(file())).code).toBe(0);
    expect(allowedMs).toEqual([30_000, 60_000, 60_000, 120_000]);
  });

  test("hears that it may not, though its body was not read", async () => {
    commands.node.access.required = true;
    const large = commands.file("large.ndjson", long(20));
    const { code, err } = await ingest(large, "--token", "wrong");
    expect(code).toBe(1);
    expect(err).toStartWith("denied: ");
    expect(commands.stored).toEqual([]);
  });

  test("names the line and the column of a bad row, and what is stored", async () => {
    const lines = long(40).trimEnd().split("\n");
    const text = ["", " ", ...lines].join("\n");
    // The second piece is refused while the others are being stored.
    commands.answers.store = async (request: RowsRequest) => {
      const body = Buffer.from(request.body).toString();
      const row = body.trim().split("\n").findIndex((line) => line.startsWith('{"id":20,')) + 1;
      if (row === 0) return storing(request);
      await Bun.sleep(50);
      throw new Failure("invalid", `Cannot take row ${row}: column "id" is 20; allowed: 21`, {
        details: { row, column: "id" },
      });
    };
    const path = commands.file("bad.ndjson", text);
    const { code, out, err } = await ingest(path);
    expect([code, out]).toEqual([1, ""]);
    expect(err).toMatch(/^invalid: Cannot take line 23 of \S+: column "id" is 20; allowed: 21\n/);
    expect(err).toMatch(
      /\nStored, and staying so: 24 rows: lines 1 to 18 of \S+, lines 35 to 42 of \S+\n$/,
    );
  });
});
