// The command against a server with SQLite behind the two routes that it uses.
import { Database } from "bun:sqlite";
import { afterEach, describe, expect, test } from "bun:test";
import { systemClock } from "../../../../src/base/clock.ts";
import { runBench } from "../../../../src/cli/bench/bench.ts";
import { parseBenchOptions } from "../../../../src/cli/bench/options.ts";

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

interface Body {
  name: string;
  sql: string;
  params: number[];
  statements: { sql: string; params: number[] }[];
}

interface Flaws {
  /** Acknowledges this many inserts without making them. */
  lose?: number;
  token?: string;
  refuseEvery?: number;
}

function serve({ lose = 0, token, refuseEvery = Infinity }: Flaws = {}): string {
  const database = new Database(":memory:");
  let made = false;
  let epoch = 0;
  const error = (status: number, kind: string): Response =>
    Response.json({ error: { kind, message: `${kind} it is` } }, { status });
  const execute = (statements: Body["statements"]): Response => {
    for (const { sql, params } of statements) {
      if (params.length > 0 && (epoch + 1) % refuseEvery === 0) {
        epoch++;
        return error(429, "busy");
      }
      if (params.length > 0 && lose > 0) lose--;
      else database.query(sql).run(...params);
    }
    return Response.json({ results: [], epoch: ++epoch });
  };
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    http2: true,
    fetch: async (request) => {
      if (token !== undefined && request.headers.get("authorization") !== `Bearer ${token}`) {
        return error(401, "denied");
      }
      const body: Body = JSON.parse(await request.text());
      const { pathname } = new URL(request.url);
      if (pathname === "/v1/databases") {
        if (made) return error(409, "conflict");
        made = body.name === "bench";
        return Response.json({ name: body.name }, { status: 201 });
      }
      if (!made) return error(404, "missing");
      if (pathname === "/v1/databases/bench/execute") return execute(body.statements);
      if (pathname !== "/v1/databases/bench/query") return error(404, "missing");
      const rows = database.query(body.sql).values(...body.params);
      return Response.json({ columns: [], rows, epoch });
    },
  });
  stops.push(() => server.stop(true));
  return server.url.origin;
}

async function bench(...args: string[]) {
  let out = "";
  let err = "";
  const code = await runBench(args, {
    clock: systemClock,
    environment: {},
    write: (text) => void (out += text),
    writeError: (text) => void (err += text),
  });
  return { code, out, err };
}

const SHORT = ["--seconds", "0.2", "--warmup", "0.05", "--concurrency", "10"];

test("writes are counted again afterwards and printed for people, twice on one database", async () => {
  const url = serve();
  for (let round = 0; round < 2; round++) {
    const { code, out, err } = await bench("writes", "--url", url, ...SHORT);
    expect([code, err]).toEqual([0, ""]);
    const [, acknowledged, found] = out.match(/rows: ([\d,]+) acknowledged, ([\d,]+) found\n/)!;
    expect(acknowledged).toBe(found!);
    expect(out).toMatch(/^[\d,.]+ durable transactions a second\n/);
    expect(out).toContain(
      `headgate bench writes --url ${url} --seconds 0.2 --warmup 0.05 ` +
        "--concurrency 10 --connections 8\n",
    );
    for (const word of ["p50", "p90", "p99", "p99.9", "max"]) expect(out).toContain(`  ${word} `);
  }
});

test("reads fill their table, and --json says the same to programs", async () => {
  const url = serve();
  const { code, out } = await bench("reads", "--url", url, ...SHORT, "--rate", "500", "--json");
  const report = JSON.parse(out);
  expect(code).toBe(0);
  expect(report).toMatchObject({ mode: "reads", answers: 100, rate: 500, rate_wanted: 500 });
  expect(report.failures).toEqual({});
  expect(report.rows).toBeNull();
  expect(report.latency_ms.p50).toBeGreaterThan(0);
  expect(report.latency_ms.max).toBeGreaterThanOrEqual(report.latency_ms.p99);
});

test("latency sends one write at a time", async () => {
  const { code, out } = await bench(
    "latency",
    "--url",
    serve(),
    "--seconds",
    "0.2",
    "--warmup",
    "0",
  );
  expect(code).toBe(0);
  expect(out).toContain("1 at once over 1 connection\n");
});

test("a row that was acknowledged and is not there makes the bench fail", async () => {
  const { code, out } = await bench("writes", "--url", serve({ lose: 3 }), ...SHORT);
  expect(code).toBe(1);
  expect(out).toContain("WRONG");
});

test("refused requests are shown, and make the bench fail", async () => {
  const { code, out } = await bench("writes", "--url", serve({ refuseEvery: 10 }), ...SHORT);
  expect(code).toBe(1);
  expect(out).toMatch(/[\d,]+ × 429 busy\n/);
  expect(out).toContain("e.g. 429 {");
  expect(out).not.toContain("WRONG");
});

test("the token goes with every request and is never printed", async () => {
  const url = serve({ token: "s3cret" });
  const denied = await bench("writes", "--url", url, ...SHORT);
  expect([denied.code, denied.err]).toEqual([1, "denied: denied it is\n"]);
  const { code, out, err } = await bench("writes", "--url", url, "--token", "s3cret", ...SHORT);
  expect(code).toBe(0);
  expect(out + err).not.toContain("s3cret");
});

test("nobody there is exit code 3", async () => {
  const url = serve();
  await stops.pop()?.();
  const { code, err } = await bench("reads", "--url", url, ...SHORT);
  expect(code).toBe(3);
  expect(err).toContain(url);
});

describe("options", () => {
  const parse = (...args: string[]) => parseBenchOptions(args, { HEADGATE_TOKEN: "t" });

  test("have the defaults that the help states", () => {
    const options = parse("writes");
    expect(options?.target.url.href).toBe("http://127.0.0.1:8080/");
    expect(options).toMatchObject({
      target: { database: "bench", token: "t" },
      ...{ seconds: 10, warmupSeconds: 2, concurrency: 2000, connections: 8, json: false },
    });
    expect(options?.ratePerS).toBeUndefined();
    expect(parse("latency")).toMatchObject({ concurrency: 1, connections: 1 });
    expect(parse("reads", "--concurrency", "4000")?.connections).toBe(16);
    expect(parse("reads", "--concurrency", "3")?.connections).toBe(3);
  });

  test("wrong usage names the flag and what is allowed, with exit code 2", async () => {
    const wrong: [string[], string][] = [
      [[], "writes, reads, latency, ingest"],
      [["deletes"], '"deletes"'],
      [["writes", "more"], '"more"'],
      [["writes", "--seconds", "soon"], '--seconds is "soon"'],
      [["writes", "--seconds", ""], "--seconds"],
      [["writes", "--concurrency", "1.5"], "a whole number from 1"],
      [["writes", "--connections", "1", "--concurrency", "257"], "needs 2"],
      [["writes", "--rate", "0"], "--rate"],
      [["writes", "--url", "ftp://x"], "--url"],
      [["writes", "--url", "http://u:p@x"], "--token"],
      [["latency", "--rate", "5"], "--rate does not go with latency"],
      [["writes", "--colour"], "--colour"],
    ];
    for (const [args, text] of wrong) {
      const { code, err } = await bench(...args);
      expect([args, code]).toEqual([args, 2]);
      expect(err).toContain(text);
      expect(err).toContain("headgate bench --help");
    }
    expect((await bench("--help")).out).toContain("headgate bench writes");
  });
});
