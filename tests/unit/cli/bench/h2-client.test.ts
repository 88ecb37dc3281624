// Against Bun's own HTTP/2 server on the loopback interface: the socket is the subject here.
import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../../src/base/clock.ts";
import { isFailure } from "../../../../src/base/failure.ts";
import { connectH2 } from "../../../../src/cli/bench/h2-client.ts";
import type { H2Connection } from "../../../../src/cli/bench/h2-connection.ts";
import { encodeFields } from "../../../../src/cli/bench/hpack.ts";

const stops: (() => void)[] = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});

type Handler = (request: Request) => Response | Promise<Response>;

function serve(fetch: Handler): ReturnType<typeof Bun.serve> {
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, http2: true, fetch });
  stops.push(() => void server.stop(true));
  return server;
}

interface Answer {
  readonly status: number;
  readonly body: Uint8Array;
}

/** A connection whose requests are promises, which the tests read better than callbacks. */
async function connected(url: URL, windowBytes?: number, ca?: string) {
  const waiting = new Map<number, PromiseWithResolvers<Answer>>();
  const gone = Promise.withResolvers<string>();
  let next = 0;
  const connection: H2Connection = await connectH2(url, {
    clock: systemClock,
    keepBody: "all",
    ...(windowBytes === undefined ? {} : { windowBytes }),
    ...(ca === undefined ? {} : { ca }),
    handlers: {
      onAnswer: (tag, status, body) => waiting.get(tag)?.resolve({ status, body: body ?? EMPTY }),
      onFailure: (tag, reason) => waiting.get(tag)?.reject(new Error(reason)),
      onGone: gone.resolve,
    },
  });
  stops.push(() => connection.end("test over"));
  const send = (method: string, path: string, body = EMPTY): Promise<Answer> => {
    const block = encodeFields([
      { name: ":method", value: method },
      { name: ":scheme", value: url.protocol.slice(0, -1) },
      { name: ":path", value: path },
      { name: ":authority", value: url.host },
      { name: "x-secret", value: "s", secret: true },
    ]);
    const answer = Promise.withResolvers<Answer>();
    waiting.set(++next, answer);
    if (!connection.send(block, body, body.length, next)) answer.reject(new Error("no room"));
    connection.flush();
    return answer.promise;
  };
  return { connection, send, gone: gone.promise };
}

const EMPTY = new Uint8Array(0);

describe("against Bun.serve", () => {
  test("the server sees the request as it was made", async () => {
    const server = serve(async (request) => {
      const { method, url, headers } = request;
      return Response.json([method, url, headers.get("x-secret"), await request.text()], {
        status: 418,
      });
    });
    const { send } = await connected(server.url);
    const answer = await send("POST", "/a/b?c=d", new TextEncoder().encode("body"));
    expect(answer.status).toBe(418);
    expect(JSON.parse(new TextDecoder().decode(answer.body)))
      .toEqual(["POST", `${server.url}a/b?c=d`, "s", "body"]);
  });

  test("every status comes through", async () => {
    const server = serve((request) =>
      new Response(null, { status: Number(new URL(request.url).pathname.slice(1)) })
    );
    const { send } = await connected(server.url);
    for (const status of [200, 201, 204, 304, 307, 400, 401, 404, 409, 413, 429, 500, 503, 504]) {
      expect((await send("GET", `/${status}`)).status).toBe(status);
    }
  });

  test("256 streams at once, again and again, each get their own answer", async () => {
    const server = serve(async (request) => {
      const text = await request.text();
      await Bun.sleep(Number(text) % 3);
      return new Response(text);
    });
    const { send, connection } = await connected(server.url);
    for (let round = 0; round < 10; round++) {
      const numbers = Array.from({ length: 256 }, (_, index) => round * 256 + index);
      const answers = numbers.map((number) =>
        send("POST", "/", new TextEncoder().encode(String(number)))
      );
      expect(connection.room).toBe(0);
      const texts = (await Promise.all(answers)).map(({ body }) => new TextDecoder().decode(body));
      expect(texts).toEqual(numbers.map(String));
    }
  });

  test("bodies of 24 MiB go up and down whole, beside small requests", async () => {
    const server = serve(async (request) => new Response(await request.bytes()));
    for (const windowBytes of [65_535, undefined]) {
      const { send } = await connected(server.url, windowBytes);
      const body = new Uint8Array(24 * 1024 * 1024);
      for (let index = 0; index < body.length; index += 4_099) body[index] = index % 251;
      const large = [send("POST", "/", body), send("POST", "/", body)];
      expect((await send("POST", "/", Uint8Array.of(7))).body).toEqual(Buffer.from([7]));
      for (const answer of await Promise.all(large)) {
        expect(answer.body.length).toBe(body.length);
        expect(Bun.hash(answer.body)).toBe(Bun.hash(body));
      }
    }
  }, 30_000);

  test("a server that stops answers what is under way and takes nothing more", async () => {
    const started = Promise.withResolvers<void>();
    const server = serve(async () => {
      started.resolve();
      await Bun.sleep(50);
      return new Response("late");
    });
    const { send, gone, connection } = await connected(server.url);
    const answer = send("GET", "/");
    await started.promise;
    const stopped = server.stop();
    expect(await gone).toContain("leaving: NO_ERROR");
    expect(connection.room).toBe(0);
    expect(new TextDecoder().decode((await answer).body)).toBe("late");
    await stopped;
    expect(connection.isFinished).toBe(true);
  });

  test("a server that dies fails what is under way", async () => {
    const started = Promise.withResolvers<void>();
    const server = serve(async () => {
      started.resolve();
      await Bun.sleep(10_000);
      return new Response("never");
    });
    const { send, gone } = await connected(server.url);
    const answer = send("GET", "/").then(String, String);
    await started.promise;
    await server.stop(true);
    expect(await answer).toContain("Error");
    await gone;
  });
});

describe("connecting", () => {
  async function listening(server: Server): Promise<URL> {
    const ready = Promise.withResolvers<void>();
    server.listen(0, "127.0.0.1", ready.resolve);
    stops.push(() => void server.close());
    await ready.promise;
    const address = server.address();
    return new URL(`http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`);
  }

  async function refusal(url: URL, connectTimeoutMs = 1_000): Promise<unknown> {
    const handlers = { onAnswer: () => {}, onFailure: () => {}, onGone: () => {} };
    return await connectH2(url, { clock: systemClock, connectTimeoutMs, handlers })
      .then(() => null, (error: unknown) => error);
  }

  test("nobody there is unavailable", async () => {
    const server = createServer();
    const url = await listening(server);
    server.close();
    const error = await refusal(url);
    expect(isFailure(error, "unavailable")).toBe(true);
    expect(String(error)).toContain(url.origin);
  });

  test("a peer that says nothing, or something else than HTTP/2, is unavailable", async () => {
    const silent = createServer(() => {});
    expect(isFailure(await refusal(await listening(silent), 100), "unavailable")).toBe(true);
    const other = createServer((socket) => {
      socket.on("error", () => {});
      socket.end("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
    });
    expect(isFailure(await refusal(await listening(other)), "unavailable")).toBe(true);
  });
});

// A key is made for each run by openssl; where that is missing there is no certificate to try.
describe.skipIf(Bun.which("openssl") === null)("over TLS (needs openssl)", () => {
  function certificate(): { key: string; cert: string } {
    const folder = mkdtempSync(join(tmpdir(), "headgate-bench-"));
    stops.push(() => rmSync(folder, { recursive: true }));
    const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
    const made = Bun.spawnSync([
      ...["openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-days", "2"],
      ...["-pkeyopt", "ec_paramgen_curve:P-256", "-keyout", key, "-out", cert],
      ...["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
    ], { stdio: ["ignore", "ignore", "pipe"] });
    if (made.exitCode !== 0) throw new Error(made.stderr.toString());
    return { key: readFileSync(key, "utf8"), cert: readFileSync(cert, "utf8") };
  }

  test("HTTP/2 is agreed on by ALPN, and a server that nobody vouches for is refused", async () => {
    const tls = certificate();
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      http2: true,
      tls,
      fetch: async (request) => new Response((await request.text()).toUpperCase()),
    });
    stops.push(() => void server.stop(true));
    const url = new URL(`https://localhost:${server.port}`);
    const { send } = await connected(url, undefined, tls.cert);
    const answer = await send("POST", "/", new TextEncoder().encode("hello"));
    expect(new TextDecoder().decode(answer.body)).toBe("HELLO");
    const error = await connected(url).then(() => null, (error: unknown) => error);
    expect(isFailure(error, "unavailable")).toBe(true);
  });
});
