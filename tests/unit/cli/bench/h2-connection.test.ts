// The protocol against a scripted peer: bytes in, bytes out, no socket.
import { describe, expect, test } from "bun:test";
import { H2Connection } from "../../../../src/cli/bench/h2-connection.ts";
import {
  FLAG,
  FRAME,
  FrameReader,
  goawayFrame,
  PREFACE,
  rstStreamFrame,
  SETTING,
  settingsFrame,
  windowUpdateFrame,
  writeFrameHeader,
} from "../../../../src/cli/bench/h2-frames.ts";
import { encodeFields } from "../../../../src/cli/bench/hpack.ts";

const BLOCK = encodeFields([{ name: ":method", value: "POST" }]);
const OK = Uint8Array.of(0x88);

interface Sent {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Uint8Array;
}

function frame(type: number, flags: number, stream: number, payload: Uint8Array): Uint8Array {
  const out = new Uint8Array(9 + payload.length);
  out.set(payload, writeFrameHeader(out, 0, payload.length, type, flags, stream));
  return out;
}

const answer = (stream: number, block = OK): Uint8Array =>
  frame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, stream, block);

/** A connection, what it sent and what it reported; `accept` limits what the socket takes. */
function opened(
  options: {
    settings?: [number, number][];
    keepBody?: "failures" | "all";
    windowBytes?: number;
  } = {},
) {
  const sent: Sent[] = [];
  const events: string[] = [];
  const socket = { accept: Infinity };
  const reader = new FrameReader((type, flags, stream, bytes, start, end) => {
    sent.push({ type, flags, stream, payload: bytes.slice(start, end) });
  }, 1 << 24);
  let preface = PREFACE.length;
  const { settings = [], ...rest } = options;
  const connection = new H2Connection({
    ...rest,
    write: (bytes) => {
      const taken = bytes.subarray(0, Math.min(bytes.length, socket.accept));
      socket.accept -= taken.length;
      const skipped = Math.min(preface, taken.length);
      preface -= skipped;
      reader.push(taken.subarray(skipped));
      return taken.length;
    },
    handlers: {
      onReady: () => events.push("ready"),
      onAnswer: (tag, status, body) =>
        events.push(`answer ${tag} ${status}${body ? ` ${new TextDecoder().decode(body)}` : ""}`),
      onFailure: (tag, reason, processed) =>
        events.push(`failure ${tag} ${reason} ${processed ? "processed" : "untouched"}`),
      onGone: (reason) => events.push(`gone ${reason}`),
      onFinished: () => events.push("finished"),
    },
  });
  connection.start();
  const hello = sent.splice(0);
  connection.receive(settingsFrame(settings));
  sent.splice(0);
  events.splice(0);
  return { connection, sent, events, hello, socket };
}

const dataBytes = (sent: readonly Sent[], stream: number): number =>
  sent.filter((one) => one.type === FRAME.data && one.stream === stream)
    .reduce((sum, one) => sum + one.payload.length, 0);

describe("opening", () => {
  test("announces no header table and no push, and sends nothing before the peer's settings", () => {
    const events: string[] = [];
    const writes: Uint8Array[] = [];
    const connection = new H2Connection({
      write: (bytes) => writes.push(bytes.slice()) && bytes.length,
      handlers: {
        onReady: () => events.push("ready"),
        onAnswer: () => {},
        onFailure: () => {},
        onGone: () => {},
        onFinished: () => {},
      },
    });
    connection.start();
    expect(connection.send(BLOCK, OK, 1, 1)).toBe(false);
    const hello = Buffer.concat(writes).toString("hex");
    expect(hello.startsWith(Buffer.from(PREFACE).toString("hex"))).toBe(true);
    expect(hello).toContain("0001" + "00000000" + "0002" + "00000000");
    connection.receive(settingsFrame([]));
    expect(events).toEqual(["ready"]);
    expect(connection.send(BLOCK, OK, 1, 1)).toBe(true);
  });

  test("settings and pings are acknowledged", () => {
    const { connection, sent } = opened();
    connection.receive(settingsFrame([]));
    connection.receive(frame(FRAME.ping, 0, 0, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)));
    connection.receive(frame(FRAME.ping, FLAG.ack, 0, new Uint8Array(8)));
    expect(sent.map(({ type, flags, payload }) => [type, flags, payload.length])).toEqual([
      [FRAME.settings, FLAG.ack, 0],
      [FRAME.ping, FLAG.ack, 8],
    ]);
    expect([...sent[1]!.payload]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });
});

describe("requests", () => {
  test("carry their body at once, and end with it", () => {
    const { connection, sent } = opened();
    const body = new TextEncoder().encode("hello, and what is not sent");
    connection.send(BLOCK, body, 5, 1);
    connection.send(BLOCK, body, 0, 2);
    connection.flush();
    expect(sent.map(({ type, flags, stream }) => [type, flags, stream])).toEqual([
      [FRAME.headers, FLAG.endHeaders, 1],
      [FRAME.data, FLAG.endStream, 1],
      [FRAME.headers, FLAG.endHeaders | FLAG.endStream, 3],
    ]);
    expect(new TextDecoder().decode(sent[1]!.payload)).toBe("hello");
  });

  test("keep to the number of streams that the peer allows, 256 at the most", () => {
    for (const [allowed, most] of [[3, 3], [0, 0], [100_000, 256]] as const) {
      const { connection } = opened({ settings: [[SETTING.maxConcurrentStreams, allowed]] });
      let count = 0;
      while (connection.send(BLOCK, OK, 0, count)) count++;
      expect(count).toBe(most);
      connection.receive(answer(1));
      expect(connection.room).toBe(Math.min(most, 1));
    }
  });

  test("answers find their requests in any order, over more streams than there are places", () => {
    const { connection, events, sent } = opened();
    connection.send(BLOCK, OK, 0, -1); // stays open all the time
    connection.flush();
    const seen = new Set<number>();
    for (let tag = 0; tag < 5_000; tag += 2) {
      sent.splice(0);
      connection.send(BLOCK, OK, 0, tag);
      connection.send(BLOCK, OK, 0, tag + 1);
      connection.flush();
      const [first, second] = sent.map(({ stream }) => stream);
      expect(second).toBeGreaterThan(first!);
      expect(first).toBeGreaterThan(Math.max(1, ...seen));
      seen.clear();
      seen.add(second!);
      connection.receive(answer(second!, Uint8Array.of(0x8d)));
      connection.receive(answer(first!));
      expect(events.splice(0)).toEqual([`answer ${tag + 1} 404`, `answer ${tag} 200`]);
    }
    connection.receive(answer(1));
    expect(events).toEqual(["answer -1 200"]);
    expect(connection.inFlight).toBe(0);
  });

  test("a body waits for the windows of stream and connection and arrives whole", () => {
    const { connection, sent, events } = opened({ settings: [[SETTING.initialWindowSize, 1_000]] });
    const body = Uint8Array.from({ length: 150_000 }, (_, index) => index * 7);
    connection.send(BLOCK, body, body.length, 1);
    connection.flush();
    body.fill(0);
    expect(dataBytes(sent, 1)).toBe(1_000);
    connection.receive(windowUpdateFrame(1, 500_000));
    expect(dataBytes(sent, 1)).toBe(65_535);
    connection.receive(windowUpdateFrame(0, 10));
    expect(dataBytes(sent, 1)).toBe(65_545);
    connection.receive(windowUpdateFrame(0, 1_000_000));
    const data = sent.filter(({ type }) => type === FRAME.data);
    expect(Math.max(...data.map(({ payload }) => payload.length))).toBe(16_384);
    expect(data.filter(({ flags }) => flags === FLAG.endStream)).toEqual([data.at(-1)!]);
    expect(Buffer.concat(data.map(({ payload }) => payload)))
      .toEqual(Buffer.from(Uint8Array.from({ length: 150_000 }, (_, index) => index * 7)));
    connection.receive(answer(1));
    expect(events).toEqual(["answer 1 200"]);
  });

  test("a window that is made smaller than what was sent opens only above zero", () => {
    const { connection, sent } = opened({ settings: [[SETTING.initialWindowSize, 1_000]] });
    connection.send(BLOCK, new Uint8Array(5_000), 5_000, 1);
    connection.flush();
    connection.receive(settingsFrame([[SETTING.initialWindowSize, 100]]));
    connection.receive(windowUpdateFrame(1, 900));
    expect(dataBytes(sent, 1)).toBe(1_000);
    connection.receive(windowUpdateFrame(1, 50));
    expect(dataBytes(sent, 1)).toBe(1_050);
  });

  test("small bodies use up the connection's window too", () => {
    const { connection, sent } = opened();
    const body = new Uint8Array(1_000);
    for (let tag = 0; tag < 70; tag++) connection.send(BLOCK, body, body.length, tag);
    connection.flush();
    const bytes = (): number =>
      sent.filter(({ type }) => type === FRAME.data).reduce(
        (s, { payload }) => s + payload.length,
        0,
      );
    expect(bytes()).toBe(65_535);
    connection.receive(windowUpdateFrame(0, 100_000));
    expect(bytes()).toBe(70_000);
  });

  test("what the socket does not take is sent when it drains, in order", () => {
    const { connection, sent, socket } = opened();
    socket.accept = 20;
    for (let tag = 0; tag < 50; tag++) connection.send(BLOCK, Uint8Array.of(tag), 1, tag);
    connection.flush();
    for (let drains = 0; drains < 200; drains++) {
      socket.accept = 33;
      connection.flush();
    }
    expect(sent.filter(({ type }) => type === FRAME.data).map(({ payload }) => payload[0]))
      .toEqual(Array.from({ length: 50 }, (_, tag) => tag));
  });
});

describe("answers", () => {
  test("keep the bodies of failures only, unless all are wanted", () => {
    for (const keepBody of ["failures", "all"] as const) {
      const { connection, events } = opened({ keepBody });
      for (const tag of [1, 3]) connection.send(BLOCK, OK, 0, tag);
      const hello = new TextEncoder().encode("hello");
      for (const [stream, block] of [[1, OK], [3, Uint8Array.of(0x8c)]] as const) {
        connection.receive(frame(FRAME.headers, FLAG.endHeaders, stream, block));
        connection.receive(frame(FRAME.data, 0, stream, hello.subarray(0, 2)));
        connection.receive(frame(FRAME.data, FLAG.endStream, stream, hello.subarray(2)));
      }
      const first = keepBody === "all" ? "answer 1 200 hello" : "answer 1 200";
      expect(events).toEqual([first, "answer 3 400 hello"]);
    }
  });

  test("come through padding, priority, CONTINUATION, 1xx and trailers", () => {
    const { connection, events } = opened({ keepBody: "all" });
    connection.send(BLOCK, OK, 0, 7);
    const block = Uint8Array.of(0x48, 0x03, 0x31, 0x30, 0x33); // 103
    connection.receive(frame(FRAME.headers, FLAG.endHeaders, 1, block));
    const padded = Uint8Array.of(2, 0, 0, 0, 0, 0, 0x48, 0x03, 0x32, 0, 0);
    connection.receive(frame(FRAME.headers, FLAG.padded | FLAG.priority, 1, padded));
    connection.receive(frame(FRAME.continuation, 0, 1, Uint8Array.of(0x30)));
    connection.receive(frame(FRAME.continuation, FLAG.endHeaders, 1, Uint8Array.of(0x31)));
    connection.receive(frame(FRAME.data, FLAG.padded, 1, Uint8Array.of(3, 0x61, 0x62, 0, 0, 0)));
    const trailers = FLAG.endHeaders | FLAG.endStream;
    connection.receive(frame(FRAME.headers, trailers, 1, Uint8Array.of(0x0f, 0x10, 0x00)));
    expect(events).toEqual(["answer 7 201 ab"]);
  });

  test("open the windows again before the peer has used them up", () => {
    const { connection, sent, hello } = opened({ windowBytes: 65_535 });
    const granted = hello.find(({ type }) => type === FRAME.windowUpdate);
    expect(Buffer.from(granted!.payload).readUInt32BE()).toBe(15 * 65_535);
    connection.send(BLOCK, OK, 0, 7);
    connection.flush();
    sent.splice(0);
    connection.receive(frame(FRAME.headers, FLAG.endHeaders, 1, OK));
    let stream = 65_535;
    let whole = 16 * 65_535;
    for (let index = 0; index < 500; index++) {
      connection.receive(frame(FRAME.data, 0, 1, new Uint8Array(16_384)));
      stream -= 16_384;
      whole -= 16_384;
      for (const update of sent.splice(0)) {
        const bytes = Buffer.from(update.payload).readUInt32BE();
        if (update.stream === 0) whole += bytes;
        else stream += bytes;
      }
      expect(stream).toBeGreaterThanOrEqual(16_384);
      expect(stream).toBeLessThanOrEqual(65_535);
      expect(whole).toBeGreaterThanOrEqual(16_384);
      expect(whole).toBeLessThanOrEqual(16 * 65_535);
    }
  });

  test("a request answered before its body was sent gives the rest up", () => {
    const { connection, sent, events } = opened();
    connection.send(BLOCK, new Uint8Array(100_000), 100_000, 1);
    connection.flush();
    connection.receive(answer(1, Uint8Array.of(0x0e, 0x03, 0x34, 0x31, 0x33)));
    expect(events).toEqual(["answer 1 413"]);
    expect(sent.at(-1)).toMatchObject({ type: FRAME.rstStream, stream: 1 });
    const before = sent.length;
    connection.receive(windowUpdateFrame(0, 1_000_000));
    connection.receive(windowUpdateFrame(1, 1_000_000));
    expect(sent.length).toBe(before);
  });
});

describe("the end", () => {
  test("a reset stream fails; only a refused one is known to be untouched", () => {
    const { connection, events } = opened();
    for (const tag of [10, 11, 12]) connection.send(BLOCK, OK, 0, tag);
    connection.receive(rstStreamFrame(3, 7));
    connection.receive(rstStreamFrame(1, 2));
    connection.receive(rstStreamFrame(1, 2));
    connection.receive(answer(5));
    expect(events).toEqual([
      "failure 11 stream reset: REFUSED_STREAM untouched",
      "failure 10 stream reset: INTERNAL_ERROR processed",
      "answer 12 200",
    ]);
  });

  test("GOAWAY lets the streams it names finish and fails the later ones untouched", () => {
    const { connection, events } = opened();
    for (const tag of [10, 11, 12]) connection.send(BLOCK, OK, 0, tag);
    connection.receive(goawayFrame(0x7fff_ffff, 0));
    expect(connection.room).toBe(0);
    connection.receive(goawayFrame(3, 0));
    connection.receive(answer(3));
    connection.receive(answer(1));
    expect(events).toEqual([
      "gone the server is leaving: NO_ERROR",
      "failure 12 the server is leaving: NO_ERROR untouched",
      "answer 11 200",
      "answer 10 200",
      "finished",
    ]);
  });

  test("a closed socket fails what is under way, once", () => {
    const { connection, events } = opened();
    connection.send(BLOCK, OK, 0, 10);
    connection.end("connection closed");
    connection.end("again");
    connection.receive(answer(1));
    expect(connection.send(BLOCK, OK, 0, 11)).toBe(false);
    expect(events).toEqual([
      "gone connection closed",
      "failure 10 connection closed processed",
      "finished",
    ]);
  });

  test("a peer that breaks the protocol is told so and left", () => {
    const broken: [string, Uint8Array][] = [
      ["push", frame(FRAME.pushPromise, 4, 1, new Uint8Array(4))],
      ["not ours", answer(9)],
      ["not ours", answer(2)],
      ["before its status", frame(FRAME.data, 0, 1, OK)],
      ["no status", frame(FRAME.headers, FLAG.endHeaders, 1, Uint8Array.of(0x90))],
      ["padding", frame(FRAME.headers, FLAG.endHeaders | FLAG.padded, 1, Uint8Array.of(9, 0x88))],
      ["interrupted", Buffer.concat([frame(FRAME.headers, 0, 1, OK), settingsFrame([])])],
      ["CONTINUATION", frame(FRAME.continuation, FLAG.endHeaders, 1, OK)],
      ["0 bytes", windowUpdateFrame(0, 0)],
      ["overflowed", windowUpdateFrame(0, 0x7fff_ffff)],
      ["frame size", settingsFrame([[SETTING.maxFrameSize, 5]])],
      ["table entry 62", frame(FRAME.headers, FLAG.endHeaders, 1, Uint8Array.of(0xbe))],
      ["16385 bytes", frame(FRAME.data, 0, 1, new Uint8Array(16_385))],
    ];
    for (const [text, bytes] of broken) {
      const { connection, events, sent } = opened();
      connection.send(BLOCK, OK, 0, 10);
      connection.receive(bytes);
      expect(events[0]).toContain(text);
      expect(events.slice(1)).toEqual([expect.stringContaining("failure 10"), "finished"]);
      expect(sent.at(-1)).toMatchObject({ type: FRAME.goaway });
    }
  });
});
