/** The subject is a port, so these tests have sockets, and processes that are killed. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { once } from "node:events";
import { connect as connectHttp2, constants } from "node:http2";
import { type AddressInfo, connect as connectTcp, createServer as createTcp } from "node:net";
import { join } from "node:path";
import { type Clock, systemClock } from "../../../src/base/clock.ts";
import { Failure } from "../../../src/base/failure.ts";
import { PEER_HELLO_MS, PEER_STRANGERS_MAX, PEER_WINDOW_BYTES } from "../../../src/base/limits.ts";
import { silentLog } from "../../../src/base/log.ts";
import { systemRandom } from "../../../src/base/random.ts";
import { accept } from "../../../src/members/accept.ts";
import { Calls } from "../../../src/members/calls.ts";
import { dial, type Dialled, type DialOptions } from "../../../src/members/dial.ts";
import { HEADER } from "../../../src/members/handshake.ts";
import { http2Network } from "../../../src/members/http2-dial.ts";
import { listenForPeers, type PeerListener } from "../../../src/members/http2-listen.ts";
import type { Network } from "../../../src/members/network.ts";
import { End } from "./two-nodes.ts";

const SECRET = "the cluster's";
const clock = systemClock;
/** Its deadlines come eight times as soon: for tests that wait for one. */
const hasty: Clock = {
  ...systemClock,
  after: (ms, callback) => systemClock.after(ms / 8, callback),
};
const network = http2Network(clock);
let listener: PeerListener;
let taken: End[];
/** What a test opened and must not leave behind. */
let leftovers: (() => unknown)[];

beforeEach(async () => {
  taken = [];
  leftovers = [];
  listener = await listen(clock);
});
afterEach(async () => {
  for (const remove of leftovers) await remove();
  await listener.close();
});

function listen(clock: Clock): Promise<PeerListener> {
  return listenForPeers({
    host: "127.0.0.1",
    port: 0,
    clock,
    accept: (path, headers) =>
      accept(path, headers, {
        clock,
        random: systemRandom,
        log: silentLog,
        secret: SECRET,
        self: { node: "node-called", process: "process-1" },
        doors: {
          link: {
            welcome: ({ hello }) => Promise.resolve({ heard: hello }),
            onChannel: (channel) => taken.push(new End(channel)),
          },
        },
      }),
  });
}

function options(more: Partial<DialOptions> = {}): DialOptions {
  return {
    network,
    clock,
    random: systemRandom,
    secret: SECRET,
    self: { node: "node-caller", process: "process-2" },
    name: "link",
    hello: "I am here",
    ...more,
  };
}

const call = (more?: Partial<DialOptions>, port = listener.port): Promise<Dialled> =>
  dial(`127.0.0.1:${port}`, options(more));

async function open(more?: Partial<DialOptions>, port?: number): Promise<End> {
  const dialled = await call(more, port);
  if (dialled.kind !== "open") throw dialled.failure;
  leftovers.push(() => dialled.channel.close("the test is over"));
  return new End(dialled.channel);
}

async function until(isSo: () => boolean): Promise<void> {
  const deadlineMs = clock.monotonicMs() + 8_000;
  while (!isSo()) {
    if (clock.monotonicMs() > deadlineMs) throw new Error(`still not: ${isSo}`);
    await clock.sleep(2);
  }
}

describe("over HTTP/2", () => {
  test("a channel opens, carries frames both ways, and closes with a word", async () => {
    const caller = await open();
    expect(caller.channel.peer).toEqual({
      node: "node-called",
      process: "process-1",
      hello: { heard: "I am here" },
    });
    const [called] = taken;
    called!.onFrame = ({ type, head, tail }) => void called!.channel.send(type, head, tail);
    for (let at = 0; at < 1_000; at++) caller.channel.send(20, { at });
    await until(() => caller.frames.length === 1_000);
    expect(caller.heads).toEqual(Array.from({ length: 1_000 }, (_, at) => ({ at })));
    caller.channel.close("done");
    await until(() => called!.end !== null);
    expect(called!.end).toMatchObject({ kind: "closed", message: "done" });
  });

  test("64 MiB arrive whole, both ways, larger than every window", async () => {
    const caller = await open();
    const [called] = taken;
    called!.onFrame = ({ type, head, tail }) => void called!.channel.send(type, head, tail);
    const tail = systemRandom.bytes(65_536);
    const large = Buffer.concat(Array.from({ length: 1_024 }, () => tail));
    expect(large.length).toBeGreaterThan(2 * PEER_WINDOW_BYTES);
    caller.channel.send(20, "large", large);
    await until(() => caller.frames.length === 1);
    expect(Buffer.compare(caller.frames[0]!.tail, large)).toBe(0);
    expect(caller.channel.unsentBytes).toBe(0);
  });

  test("what is not read is not sent", async () => {
    const dialled = await call();
    if (dialled.kind !== "open") throw dialled.failure;
    const [called] = taken;
    const tail = new Uint8Array(8 * 1024 * 1024);
    for (let at = 0; at < 8; at++) called!.channel.send(20, at, tail);
    await clock.sleep(300);
    expect(called!.channel.unsentBytes).toBeGreaterThan(24 * 1024 * 1024);
    const caller = new End(dialled.channel);
    await until(() => caller.frames.length === 8);
    expect(caller.heads).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    dialled.channel.close("the test is over");
  });

  test("a refusal arrives with its failure, and the connection is gone after it", async () => {
    const dialled = await call({
      check: () => Promise.reject(new Failure("conflict", "not you")),
    });
    expect(dialled.kind).toBe("declined");
    await until(() => taken[0]?.end !== null);
    expect(taken[0]?.end).toMatchObject({ kind: "refused", message: "not you" });
  });

  test("another secret is denied, and another door is not there", async () => {
    expect((await call({ secret: "another" })).kind).toBe("denied");
    expect((await call({ name: "nowhere" })).kind).toBe("stranger");
  });

  test("what is unsigned gets an error in JSON, and no reason that would help", async () => {
    const cases = [
      ["POST", "/peer/link", { [HEADER.version]: "1" }, 401, "denied"],
      ["POST", "/peer/link", { [HEADER.version]: "9" }, 400, "invalid"],
      ["POST", "/peer/link", {}, 400, "invalid"],
      ["POST", "/peer/nowhere", { [HEADER.version]: "1" }, 404, "missing"],
      ["POST", "/v1/cluster", {}, 404, "missing"],
      ["GET", "/peer/link", { [HEADER.version]: "1" }, 404, "missing"],
    ] as const;
    for (const [method, path, headers, status, kind] of cases) {
      const session = connectHttp2(`http://127.0.0.1:${listener.port}`);
      const stream = session.request({ ":method": method, ":path": path, ...headers });
      const [answered] = await once(stream, "response") as [Record<string, unknown>];
      let text = "";
      for await (const chunk of stream) text += String(chunk);
      session.destroy();
      expect([path, answered[":status"]]).toEqual([path, status]);
      expect(answered[HEADER.version]).toBe("1");
      expect(JSON.parse(text).error.kind).toBe(kind);
      expect(text).not.toMatch(/secret|proof|signature|hmac/i);
    }
  });
});

describe("a stranger", () => {
  beforeEach(async () => {
    await listener.close();
    listener = await listen(hasty);
  });

  /** The headers of a request that was right. */
  async function rightHeaders(): Promise<Record<string, string>> {
    let headers: Record<string, string> = {};
    const recording: Network = {
      request: (request) => {
        headers = { ...request.headers };
        return network.request(request);
      },
    };
    await open({ network: recording });
    return headers;
  }

  test("who repeats a request may try, and is cut off when his hello does not come", async () => {
    const headers = await rightHeaders();
    const session = connectHttp2(`http://127.0.0.1:${listener.port}`);
    session.on("error", () => {});
    const stream = session.request({ ...headers, ":method": "POST", ":path": "/peer/link" }, {
      endStream: false,
    });
    stream.on("error", () => {});
    const [answered] = await once(stream, "response") as [Record<string, unknown>];
    expect(answered[":status"]).toBe(200);
    const startedMs = clock.monotonicMs();
    await once(session, "close");
    expect(clock.monotonicMs() - startedMs).toBeGreaterThan(PEER_HELLO_MS / 8 / 2);
    expect(taken.length).toBe(1);
  });

  test("who sends more than a hello is cut off at once", async () => {
    const headers = await rightHeaders();
    const session = connectHttp2(`http://127.0.0.1:${listener.port}`);
    session.on("error", () => {});
    const stream = session.request({ ...headers, ":method": "POST", ":path": "/peer/link" }, {
      endStream: false,
    });
    stream.on("error", () => {}).resume();
    await once(stream, "response");
    const startedMs = clock.monotonicMs();
    stream.write(Buffer.alloc(8 * 1024 * 1024, 1));
    await once(session, "close");
    expect(clock.monotonicMs() - startedMs).toBeLessThan(PEER_HELLO_MS / 8);
    expect(taken.length).toBe(1);
  });

  test("has one request a connection", async () => {
    const session = connectHttp2(`http://127.0.0.1:${listener.port}`);
    session.on("error", () => {});
    const first = session.request({ ":method": "POST", ":path": "/peer/link" });
    first.end();
    await once(first, "response");
    first.resume();
    await once(first, "close");
    const second = session.request({ ":method": "POST", ":path": "/peer/link" });
    second.on("error", () => {});
    await new Promise<void>((resolve) => second.on("close", resolve));
    expect(second.rstCode).toBe(constants.NGHTTP2_REFUSED_STREAM);
    session.destroy();
  });

  test("who brings many more like him finds the door shut, and peers do not", async () => {
    await listener.close();
    listener = await listen(clock);
    const caller = await open();
    const sockets = Array.from({ length: PEER_STRANGERS_MAX + 20 }, () => {
      const socket = connectTcp(listener.port, "127.0.0.1");
      socket.on("error", () => {}).resume();
      return socket;
    });
    const isShut = sockets.map(() => false);
    sockets.forEach((socket, at) => socket.on("close", () => isShut[at] = true));
    await until(() => isShut.filter((shut) => shut).length >= 20);
    expect(isShut.map((shut, at) => shut === (at >= PEER_STRANGERS_MAX))).not.toContain(false);
    caller.channel.send(20, "still here");
    await until(() => taken[0]!.frames.length === 1);
    for (const socket of sockets) socket.destroy();
    await until(() => isShut.every((shut) => shut));
    await open();
  });

  test.each([
    ["bytes that are no HTTP/2", "x".repeat(500)],
    ["HTTP/1.1", "POST /peer/link HTTP/1.1\r\nhost: x\r\n\r\n"],
    ["a preface and then nonsense", `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${"\u00ff".repeat(200)}`],
    ["nothing at all", ""],
  ])("who sends %s is cut off, and nobody else is", async (_, bytes) => {
    const caller = await open();
    const socket = connectTcp(listener.port, "127.0.0.1");
    socket.on("error", () => {}).resume();
    socket.write(bytes);
    await once(socket, "close");
    caller.channel.send(20, "still here");
    await until(() => taken[0]!.frames.length === 1);
  });
});

describe("what became of a node", () => {
  const program = join(import.meta.dir, "called-node.ts");

  /** A node in a process of its own; it echoes frames. */
  async function start(): Promise<{ readonly port: number; readonly child: Bun.Subprocess }> {
    const child = Bun.spawn([process.execPath, program, SECRET], {
      stdout: "pipe",
      stderr: "inherit",
    });
    leftovers.push(async () => {
      child.kill("SIGKILL");
      await child.exited;
    });
    const { value } = await child.stdout.getReader().read();
    return { port: Number(new TextDecoder().decode(value)), child };
  }

  async function openCalls(port: number): Promise<{ readonly calls: Calls }> {
    const dialled = await call({}, port);
    if (dialled.kind !== "open") throw dialled.failure;
    const { channel } = dialled;
    const calls = new Calls(channel, { clock });
    channel.start({
      onFrame: (frame) => calls.take(frame),
      onClose: (end) => calls.closed(end),
    });
    leftovers.push(() => channel.close("the test is over"));
    return { calls };
  }

  test("is known at once when its process is killed, and that nobody listens then", async () => {
    const { port, child } = await start();
    const caller = await open({}, port);
    caller.channel.send(20, "hello");
    await until(() => caller.frames.length === 1);
    const killedMs = clock.monotonicMs();
    child.kill("SIGKILL");
    await until(() => caller.end !== null);
    expect(caller.end?.kind).toBe("reset");
    // Some milliseconds; the limit is generous, since the machine may be busy.
    expect(clock.monotonicMs() - killedMs).toBeLessThan(1_000);
    // The kernel closes one socket after another: the port may take a call a moment longer.
    let kind = "";
    while (kind !== "no_listener") {
      kind = (await call({}, port)).kind;
      expect(["reset", "no_listener"]).toContain(kind);
    }
  });

  test("answers 10,000 calls, each with its own text", async () => {
    const { port } = await start();
    const { calls } = await openCalls(port);
    const deadlineMs = clock.monotonicMs() + 8_000;
    const texts = await Promise.all(Array.from({ length: 10_000 }, async (_, at) => {
      if (at % 1_000 === 0) await clock.turn();
      return (await calls.call({ name: "echo", head: null, text: `text ${at}`, deadlineMs })).text;
    }));
    expect(texts).toEqual(texts.map((_, at) => `text ${at}`));
    expect(calls.pending).toBe(0);
  });

  test("leaves calls uncertain when its process is killed while it has them", async () => {
    const { port, child } = await start();
    const { calls } = await openCalls(port);
    const deadlineMs = clock.monotonicMs() + 8_000;
    const kinds = Promise.all(
      Array.from(
        { length: 100 },
        () =>
          calls.call({ name: "wait", head: null, text: "x", deadlineMs })
            .then(() => "answered", ({ kind }: Failure) => kind),
      ),
    );
    await calls.call({ name: "echo", head: null, text: "x", deadlineMs });
    child.kill("SIGKILL");
    expect(await kinds).toEqual(Array.from({ length: 100 }, () => "uncertain"));
    const late = calls.call({ name: "echo", head: null, text: "x", deadlineMs });
    await expect(late).rejects.toMatchObject({ kind: "unavailable" });
  });

  test("is not known while its process stands still, and it goes on where it was", async () => {
    const { port, child } = await start();
    const caller = await open({}, port);
    child.kill("SIGSTOP");
    caller.channel.send(20, "are you there?");
    await clock.sleep(300);
    expect([caller.end, caller.frames.length]).toEqual([null, 0]);
    expect((await call({ network: http2Network(hasty) }, port)).kind).toBe("silent");
    child.kill("SIGCONT");
    await until(() => caller.frames.length === 1);
  });

  test("a peer that takes nothing is cut off when too much waits", async () => {
    const { port, child } = await start();
    const caller = await open({ unsentBytesMax: 64 * 1024 * 1024 }, port);
    child.kill("SIGSTOP");
    const tail = new Uint8Array(8 * 1024 * 1024);
    let sent = 0;
    for (; sent < 6; sent++) expect(caller.channel.send(20, sent, tail)).toBe(true);
    await clock.sleep(200);
    // The window and what the system holds are gone; the rest is counted.
    expect(caller.channel.unsentBytes).toBeGreaterThan(16 * 1024 * 1024);
    while (sent < 50 && caller.channel.send(20, sent, tail)) {
      sent++;
      await clock.sleep(1);
    }
    expect(caller.end?.kind).toBe("overflow");
    expect(sent).toBeLessThan(20);
  });

  test("a port that takes connections and never answers is silent", async () => {
    const hole = createTcp(() => {}).listen(0, "127.0.0.1");
    await once(hole, "listening");
    leftovers.push(() => hole.close());
    const dialled = await call(
      { network: http2Network(hasty) },
      (hole.address() as AddressInfo).port,
    );
    expect(dialled.kind).toBe("silent");
  });

  test("a port that ends connections is a reset, and one that is something else a stranger", async () => {
    const rude = createTcp((socket) => socket.on("error", () => {}).destroy())
      .listen(0, "127.0.0.1");
    await once(rude, "listening");
    leftovers.push(() => rude.close());
    expect((await call({}, (rude.address() as AddressInfo).port)).kind).toBe("reset");
    const other = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      http2: true,
      fetch: () => new Response("a web server"),
    });
    leftovers.push(() => other.stop(true));
    expect((await call({}, other.port)).kind).toBe("denied");
  });

  test("an address that is none, or a name that nobody has, is silent", async () => {
    for (const address of ["not an address", "", "host:port", "nowhere.invalid:8443"]) {
      const hurried = options({ network: http2Network(hasty) });
      expect([address, (await dial(address, hurried)).kind]).toEqual([address, "silent"]);
    }
  });

  test("a closing listener ends its channels", async () => {
    const caller = await open();
    await listener.close();
    await until(() => caller.end !== null);
    expect([caller.end?.kind, taken[0]?.end?.kind]).toEqual(["reset", "reset"]);
    expect((await call()).kind).toBe("no_listener");
  });

  test("a port that is taken is a conflict", async () => {
    const again = listenForPeers({
      host: "127.0.0.1",
      port: listener.port,
      clock,
      accept: () => {
        throw new Error("never called");
      },
    });
    await expect(again).rejects.toMatchObject({ kind: "conflict" });
  });
});
