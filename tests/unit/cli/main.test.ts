import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import manifest from "../../../package.json" with { type: "json" };
import { systemClock } from "../../../src/base/clock.ts";
import { Failure } from "../../../src/base/failure.ts";
import { silentLog } from "../../../src/base/log.ts";
import { seededRandom } from "../../../src/base/random.ts";
import { VERSION } from "../../../src/base/version.ts";
import { COMMANDS } from "../../../src/cli/commands.ts";
import { runCommand } from "../../../src/cli/main.ts";
import type { WriteRequest } from "../../../src/database/statement.ts";
import { createApp } from "../../../src/http/app.ts";
import { listen } from "../../../src/server/listen.ts";
import { MemoryNode } from "../../support/memory-node.ts";

// The subject is what goes over the wire and what comes back on the screen, so there is a server.
let node = new MemoryNode();
const listener = listen({
  host: "127.0.0.1",
  port: 0,
  bodyBytesMax: 1_000_000,
  clock: systemClock,
  fetch: (request) => createApp(node, { clock: systemClock, log: silentLog }).fetch(request),
});
const directory = mkdtempSync(join(tmpdir(), "headgate-cli-"));
afterAll(async () => {
  await listener.stop(0);
  rmSync(directory, { recursive: true });
});
beforeEach(() => {
  node.remove();
  node = new MemoryNode();
});

async function run(
  args: readonly string[],
  input = "",
  environment: Record<string, string> = {},
): Promise<{ code: number; out: string; err: string }> {
  let out = "";
  let err = "";
  const code = await runCommand(args, {
    environment: { HEADGATE_URL: listener.url, XDG_STATE_HOME: directory, ...environment },
    clock: systemClock,
    random: seededRandom(1),
    write: (text) => void (out += text),
    writeBytes: (bytes) => void (out += Buffer.from(bytes)),
    writeError: (text) => void (err += text),
    readInput: () => input,
    input: () => new Blob([input]).stream(),
    inputIsTerminal: false,
    outputIsTerminal: false,
    errorIsTerminal: false,
    columns: () => 80,
    command: ["headgate"],
  });
  return { code, out, err };
}

describe("a command line", () => {
  test("that is empty, or asks for help, gets the overview", async () => {
    for (const args of [[], ["help"], ["--help"], ["db"], ["db", "--help"]]) {
      const { code, out } = await run(args);
      expect(code).toBe(0);
      expect(out).toContain("db query");
    }
  });

  test("that names a group of commands gets their overview", async () => {
    for (
      const args of [["cluster", "broker"], ["cluster", "broker", "--help"], ["help", "cluster"]]
    ) {
      const { code, out } = await run(args);
      expect(code).toBe(0);
      expect(out).toContain("cluster broker update");
      expect(out).not.toContain("db query");
    }
  });

  test("that names no command ends with 2 and the nearest one", async () => {
    expect(await run(["serv"])).toEqual({
      code: 2,
      out: "",
      err: "There is no command headgate serv; did you mean headgate serve?\nSee: headgate help\n",
    });
    expect((await run(["db", "qurey", "x"])).err).toContain("did you mean headgate db query?");
    expect((await run(["cluster", "broker", "updat", "x"])).err)
      .toContain(
        "no command headgate cluster broker updat; did you mean headgate cluster broker update?",
      );
    expect((await run(["-x"])).err).toContain("There is no command headgate -x");
    expect((await run(["query"])).err).toContain("did you mean headgate db query?");
  });

  test("with too few or too many operands, or a wrong option, ends with 2", async () => {
    expect(await run(["db", "create"])).toMatchObject({
      code: 2,
      err: "Something is missing: headgate db create NAME\nSee: headgate db create --help\n",
    });
    expect((await run(["db", "list", "x"])).code).toBe(2);
    expect((await run(["db", "list", "--jsno"])).err).toContain("did you mean --json?");
    expect((await run(["db", "list", "--url", "ftp://x"])).code).toBe(2);
    expect(node.seen).toEqual([]);
  });

  for (const command of COMMANDS.filter(({ raw }) => raw === undefined)) {
    test(`headgate ${command.name} --help has an example that is one`, async () => {
      const { code, out } = await run([...command.name.split(" "), "--help"]);
      expect(code).toBe(0);
      expect(out).toContain(`Example:\n  headgate ${command.name}`);
      for (const [option] of command.example.matchAll(/--[a-z-]+/g)) expect(out).toContain(option);
    });
  }
});

describe("exit codes", () => {
  const cases = [
    ["invalid", 1],
    ["missing", 1],
    ["conflict", 1],
    ["too_large", 1],
    ["corrupt", 1],
    ["busy", 3],
    ["unavailable", 3],
    ["uncertain", 4],
  ] as const;
  for (const [kind, code] of cases) {
    test(`${kind} is ${code}`, async () => {
      node.failure = new Failure(kind, "It did not work");
      const result = await run(["db", "execute", "orders", "DELETE FROM t"]);
      expect(result).toEqual({ code, out: "", err: `${kind}: It did not work\n` });
    });
  }

  test("nobody at the address is 3", async () => {
    const result = await run(["db", "list"], "", { HEADGATE_URL: "http://127.0.0.1:1" });
    expect(result.code).toBe(3);
    expect(result.err).toBe(
      "unavailable: Cannot reach http://127.0.0.1:1: is a node running there?\n",
    );
  });
});

describe("db", () => {
  test("create, list, drop and rollback say what they did", async () => {
    expect((await run(["db", "create", "orders"])).out).toBe("created orders\n");
    expect((await run(["db", "list"])).out).toContain(" orders │ 4.0 KiB │ ");
    expect((await run(["db", "rollback", "orders", "--epoch", "3"])).out)
      .toBe("orders is what it was at epoch 3, in the new epoch 13\n");
    expect((await run(["db", "rollback", "orders"])).code).toBe(2);
    expect((await run(["db", "drop", "orders"])).out).toBe("dropped orders in epoch 9\n");
    expect(JSON.parse((await run(["db", "list", "--json"])).out)).toEqual({ databases: [] });
  });

  test("query prints a table, or JSON", async () => {
    node.queryText = '{"columns":["id","v"],"rows":[[1,2.0],[2,null]],"epoch":11}';
    expect((await run(["db", "query", "orders", "SELECT 1", "-p", "5"])).out).toBe(
      " id │ v\n────┼──────\n  1 │  2.0\n  2 │ NULL\n2 rows, epoch 11\n",
    );
    expect(node.seen[0]?.argument).toMatchObject({ sql: "SELECT 1", params: [5] });
    expect((await run(["db", "query", "orders", "SELECT 1", "--json"])).out)
      .toBe(`${node.queryText}\n`);
    await run(["db", "query", "orders"], "SELECT 2");
    expect(node.seen.at(-1)?.argument).toMatchObject({ sql: "SELECT 2" });
  });

  test("execute sends all statements as one transaction, with a key of its own", async () => {
    const sql = "INSERT INTO t VALUES (1); CREATE TRIGGER a AFTER INSERT ON t BEGIN SELECT 1; END";
    const { out } = await run(["db", "execute", "orders", "-"], sql);
    expect(out).toBe("1 row affected, last insert id 7\ncommitted in epoch 12\n");
    const first = node.seen[0]?.argument as WriteRequest;
    expect(first.statements.map(({ sql }) => sql)).toEqual([
      "INSERT INTO t VALUES (1)",
      "CREATE TRIGGER a AFTER INSERT ON t BEGIN SELECT 1; END",
    ]);
    expect(first.idempotencyKey).toMatch(/^cli-[0-9a-f]{32}$/);
    const two = await run(["db", "execute", "orders", "DELETE FROM a; DELETE FROM b", "-p", "1"]);
    expect(two.code).toBe(2);
  });

  test("export writes the file whole or not at all", async () => {
    const file = join(directory, "orders.db");
    const { out } = await run(["db", "export", "orders", "-o", file]);
    expect(out).toBe(`wrote ${file}: 15.6 KiB, epoch 4\n`);
    expect(await Bun.file(file).text()).toStartWith("SQLite format 3");
    node.failure = new Failure("missing", "There is no epoch 99");
    const other = join(directory, "other.db");
    expect((await run(["db", "export", "orders", "-o", other, "--epoch", "99"])).code).toBe(1);
    expect(await Bun.file(other).exists()).toBe(false);
  });
});

describe("db shell, reading a script", () => {
  test("runs statements across lines and goes on after an error", async () => {
    await run(["db", "create", "orders"]);
    const script = ".mode csv\nSELECT\n1;\n.nope\nCOMMIT;\nDELETE FROM t; SELECT 2\n";
    const { code, out, err } = await run(["db", "shell", "orders"], script);
    expect(code).toBe(2);
    expect(out).toBe("id\r\n1\r\nid\r\n1\r\n");
    expect(err).toContain("There is no .nope");
    expect(err).toContain("invalid: Cannot run this statement: COMMIT");
    const calls = node.seen.filter(({ call }) => call === "query" || call === "execute");
    expect(calls.map(({ call }) => call)).toEqual(["query", "execute", "query"]);
    // It reads its own write.
    expect(calls[2]?.argument).toMatchObject({ level: "session", minEpoch: 12 });
  });

  test("of a database that is not there ends with 1", async () => {
    expect(await run(["db", "shell", "nope"])).toMatchObject({
      code: 1,
      err: "missing: There is no database nope\n",
    });
  });

  test("ends at .quit", async () => {
    await run(["db", "create", "orders"]);
    const { code, out } = await run(["db", "shell", "orders"], ".quit\nSELECT 1;");
    expect([code, out]).toEqual([0, ""]);
  });
});

describe("serve", () => {
  test("prints its configuration, secrets masked", async () => {
    const { code, out } = await run(
      [
        "serve",
        "--print-config",
        "--store",
        "s3://bucket/p?region=x",
        "--set",
        "limits.readers_max=4",
      ],
      "",
      {
        HEADGATE_STORAGE__PRIMARY_BACKEND__SECRET_KEY: "hush",
        HEADGATE_STORAGE__PRIMARY_BACKEND__ACCESS_KEY: "id",
      },
    );
    expect(code).toBe(0);
    expect(out).toContain("readers_max: 4");
    expect(out).toContain('secret_key: "***"');
    expect(out).not.toContain("hush");
  });

  test("stops at a wrong configuration and names the place", async () => {
    const file = join(directory, "config.yaml");
    writeFileSync(file, "storage:\n  primary_backend:\n    type: filesystem\n    paht: /x\n");
    const { code, err } = await run(["serve", "--config", file]);
    expect(code).toBe(1);
    expect(err).toContain(`${file}:4: storage.primary_backend.paht is not a key; allowed: type, `);
    expect((await run(["serve", "--config", "/nowhere.yaml"])).err).toContain("ENOENT");
    expect((await run(["serve", "--store", "ftp://x"])).err).toContain("--store: ");
    expect((await run(["serve", "--set", "x"])).code).toBe(2);
  });
});

test("version is that of the package", async () => {
  expect(VERSION).toBe(manifest.version);
  const { out } = await run(["version", "--json"]);
  expect(JSON.parse(out)).toMatchObject({ version: VERSION, bun: Bun.version });
});
