import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { ApiClient, type ApiRequest } from "../../../src/cli/client.ts";
import { NodesClient } from "../../../src/cli/nodes-client.ts";
import { SimulatedClock, Timeline } from "../../support/simulated-clock.ts";

const NOBODY = "http://127.0.0.1:1";
const READ: ApiRequest = { method: "GET", path: "/v1/lakes" };
const QUERY: ApiRequest = {
  method: "POST",
  path: "/v1/lakes/web/query",
  body: { sql: "SELECT 1" },
};
const CHANGE: ApiRequest = { method: "POST", path: "/v1/lakes", body: { name: "web" } };
const ALL = [["a question", READ], ["a query", QUERY], ["a change", CHANGE]] as const;

/** What was asked, without the looks for who is there. */
const asked: string[] = [];
beforeEach(() => void (asked.length = 0));

/** A node that answers all but the look so. */
function node(name: string, answer: () => Response) {
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: (request) => {
      if (request.url.endsWith("/health/live")) return Response.json({ live: true });
      asked.push(name);
      return answer();
    },
  });
  return { url: `http://127.0.0.1:${server.port}`, stop: () => server.stop(true) };
}

const failing = (kind: string, status: number) => () =>
  Response.json({ error: { kind, message: `I am ${kind}` } }, { status });

const good = node("good", () => Response.json({ by: "good" }));
const busy = node("busy", failing("busy", 429));
const draining = node("draining", failing("unavailable", 503));
const doubtful = node("doubtful", failing("uncertain", 504));
const denying = node("denying", failing("denied", 403));
const proxy = node("proxy", () => new Response("Bad Gateway", { status: 502 }));
// Takes connections and says nothing, as one that is stopped does.
const silent = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
// Hangs up on all but the look.
const broken = Bun.listen({
  hostname: "127.0.0.1",
  port: 0,
  socket: {
    data(socket, data) {
      const isLook = data.toString().startsWith("GET /health/live ");
      if (!isLook) asked.push("broken");
      if (isLook) socket.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
      socket.end();
    },
  },
});
const BROKEN = `http://127.0.0.1:${broken.port}`;
afterAll(async () => {
  await Promise.all([good, busy, draining, doubtful, denying, proxy].map(({ stop }) => stop()));
  silent.stop(true);
  broken.stop(true);
});

function ask(request: ApiRequest, ...urls: string[]): Promise<unknown> {
  return new NodesClient(urls.map((url) => new ApiClient(url))).json(request)
    .catch((failure) => failure);
}

describe("of some addresses", () => {
  test.each(ALL)("%s goes to the first alone if that answers", async (_, request) => {
    expect(await ask(request, good.url, busy.url)).toEqual({ by: "good" });
    expect(asked).toEqual(["good"]);
  });

  test.each(ALL)("%s goes on from where nobody is", async (_, request) => {
    expect(await ask(request, NOBODY, good.url)).toEqual({ by: "good" });
  });

  test.each(ALL)("%s goes on where a node says that it did nothing", async (_, request) => {
    expect(await ask(request, busy.url, draining.url, good.url)).toEqual({ by: "good" });
    expect(asked).toEqual(["busy", "draining", "good"]);
  });

  test("a question and a query go on from a broken connection and a proxy's error", async () => {
    for (const request of [READ, QUERY]) {
      expect(await ask(request, BROKEN, proxy.url, good.url)).toEqual({ by: "good" });
    }
  });

  test("a change that may have been done goes nowhere else", async () => {
    for (const url of [BROKEN, proxy.url, doubtful.url]) {
      expect(await ask(CHANGE, url, good.url)).toMatchObject({ kind: "uncertain" });
    }
    expect(asked).toEqual(["broken", "proxy", "doubtful"]);
  });

  test("what is refused goes nowhere else", async () => {
    expect(await ask(READ, denying.url, good.url)).toMatchObject({ kind: "denied" });
    expect(asked).toEqual(["denying"]);
  });

  test.each(ALL)("%s is not sent to one that hangs", async (_, request) => {
    const timeline = new Timeline();
    const clock = new SimulatedClock(timeline);
    const clients = [`http://127.0.0.1:${silent.port}`, good.url]
      .map((url) => new ApiClient(url, undefined, clock));
    const answer = new NodesClient(clients).json(request);
    await Bun.sleep(20);
    // The look's wait alone is over: nothing else is under way.
    expect(timeline.step()).toBe(true);
    expect(timeline.nowMs).toBe(5_000);
    expect(await answer).toEqual({ by: "good" });
  });

  test("the failure is what a node said, before that others are out of reach", async () => {
    expect(await ask(CHANGE, NOBODY, busy.url, draining.url))
      .toMatchObject({ kind: "busy", message: "I am busy" });
    expect(await ask(CHANGE, NOBODY, "http://127.0.0.1:2")).toMatchObject({
      kind: "unavailable",
      message:
        "Cannot reach any of http://127.0.0.1:1, http://127.0.0.1:2: is a node running there?",
    });
    expect(await ask(CHANGE, NOBODY))
      .toMatchObject({ message: "Cannot reach http://127.0.0.1:1: is a node running there?" });
  });
});
