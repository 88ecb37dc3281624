// Short runs against a server in this process. Nothing here asserts how fast anything is.
import { afterEach, expect, test } from "bun:test";
import { systemClock } from "../../../../src/base/clock.ts";
import { isFailure } from "../../../../src/base/failure.ts";
import { type LoadOptions, runLoad } from "../../../../src/cli/bench/load.ts";
import { writesWorkload } from "../../../../src/cli/bench/workload.ts";

type Server = ReturnType<typeof Bun.serve>;
type Handler = (request: Request, server: Server) => Response | Promise<Response>;

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

function serve(fetch: Handler, port = 0): Server {
  const server = Bun.serve({ hostname: "127.0.0.1", port, http2: true, fetch });
  stops.push(() => server.stop(true));
  return server;
}

function run(server: Server, options: Partial<LoadOptions> = {}) {
  return runLoad(server.url, {
    clock: systemClock,
    workload: writesWorkload({ url: server.url, database: "bench" }),
    connections: 2,
    concurrency: 20,
    warmupMs: 50,
    durationMs: 250,
    cpuMs: () => 0,
    ...options,
  });
}

test("the closed loop keeps its number of requests under way and sends each number once", async () => {
  const numbers = new Set<number>();
  let requests = 0;
  let underWay = 0;
  let most = 0;
  const server = serve(async (request) => {
    most = Math.max(most, ++underWay);
    numbers.add(JSON.parse(await request.text()).statements[0].params[0]);
    requests++;
    await Bun.sleep(2);
    underWay--;
    return new Response("{}");
  });
  const result = await run(server);
  expect(most).toBe(20);
  expect(numbers.size).toBe(requests);
  expect(Math.max(...numbers)).toBe(requests - 1);
  expect(result.acknowledged).toBe(requests);
  expect(result.answers).toBeGreaterThan(0);
  expect(result.answers).toBeLessThan(requests); // the warm-up is not counted
  expect(result.latency.minMs).toBeGreaterThan(1);
  expect([...result.failures]).toEqual([]);
});

test("the open loop sends what is due and no more", async () => {
  let requests = 0;
  const server = serve(() => {
    requests++;
    return new Response("{}");
  });
  const result = await run(server, { ratePerS: 1_000, warmupMs: 100, durationMs: 300 });
  expect(requests).toBe(400);
  expect(result.answers).toBe(300);
  expect(result.ratePerS).toBe(1_000);
});

test("the open loop counts the wait for a server that stalls", async () => {
  // Stalls once, for 200 ms of the 400 that are measured: a quarter of all requests wait longer
  // than 100 ms. Two at a time may be under way, so nearly all of them wait on this side.
  let stall: Promise<void> | null = null;
  const server = serve(async () => {
    stall ??= Bun.sleep(200);
    await stall;
    return new Response("{}");
  });
  const result = await run(server, {
    ratePerS: 200,
    concurrency: 2,
    connections: 1,
    warmupMs: 0,
    durationMs: 400,
  });
  expect(result.answers).toBe(80);
  expect(result.latency.percentileMs(76)).toBeGreaterThan(90);
  expect(result.latency.percentileMs(99)).toBeGreaterThan(180);
  expect(result.lateMsMax).toBeGreaterThan(180);
});

test("failed answers are counted by status and kind, and the first few are shown", async () => {
  let requests = 0;
  const server = serve(() => {
    requests++;
    if (requests % 3 === 0) return new Response("plain", { status: 502 });
    if (requests % 3 === 1) return new Response("{}");
    return Response.json({ error: { kind: "busy", message: `full ${requests}` } }, { status: 429 });
  });
  const result = await run(server);
  const { failures, acknowledged, samples, uncertain } = result;
  expect([...failures.keys()].sort()).toEqual(["429 busy", "502"]);
  expect(acknowledged + failures.get("429 busy")! + failures.get("502")!).toBe(requests);
  expect(uncertain).toBe(failures.get("502")!); // nobody knows what a plain 502 did
  expect(samples.length).toBe(5);
  expect(samples).toContain('429 {"error":{"kind":"busy","message":"full 2"}}');
});

test("a server that dies and comes back is found again; what it owed is uncertain", async () => {
  let requests = 0;
  let held = 0;
  const all = Promise.withResolvers<void>();
  const first = serve(async () => {
    if (++requests <= 100) return new Response("{}");
    if (++held === 20) all.resolve();
    await Bun.sleep(60_000);
    return new Response("{}");
  });
  const { port } = first;
  const running = run(first, { durationMs: 700 });
  await all.promise;
  await first.stop(true);
  let later = 0;
  serve(() => {
    later++;
    return new Response("{}");
  }, port);
  const result = await running;
  expect(later).toBeGreaterThan(20);
  expect(result.uncertain).toBe(20);
  expect([...result.failures.values()].reduce((sum, one) => sum + one, 0)).toBe(20);
  expect(result.acknowledged).toBe(100 + later);
});

test("a server that leaves politely costs no request", async () => {
  const first = serve(async () => {
    await Bun.sleep(5);
    return new Response("{}");
  });
  const { port } = first;
  const running = run(first, { durationMs: 600 });
  await Bun.sleep(200);
  const stopped = first.stop();
  let later = 0;
  serve(() => {
    later++;
    return new Response("{}");
  }, port);
  await stopped;
  const result = await running;
  // Requests that crossed the GOAWAY on the wire were not touched, and are told apart.
  expect(result.uncertain).toBe(0);
  expect(later).toBeGreaterThan(100);
});

test("nobody there is unavailable", async () => {
  const server = serve(() => new Response("{}"));
  await server.stop(true);
  const error = await run(server).then(() => null, (error: unknown) => error);
  expect(isFailure(error, "unavailable")).toBe(true);
});
