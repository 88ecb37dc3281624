import { beforeEach, describe, expect, test } from "bun:test";
import { Failure } from "../../../src/base/failure.ts";
import { PEER_CALL_GRACE_MS, PEER_SILENT_MS } from "../../../src/base/limits.ts";
import { silentLog } from "../../../src/base/log.ts";
import { type Answerer, Answers } from "../../../src/members/answers.ts";
import { CALL_TYPE, type Message } from "../../../src/members/call-frame.ts";
import { Calls, type CallsOptions } from "../../../src/members/calls.ts";
import type { Channel, ChannelEnd } from "../../../src/members/channel.ts";
import type { Frame } from "../../../src/members/frame.ts";
import type { MemoryPipe } from "../../support/memory-pipe.ts";
import { TwoNodes } from "./two-nodes.ts";

let nodes: TwoNodes;
let calls: Calls;
let answers: Answers;
let caller: Channel;
let called: Channel;
let callerPipe: MemoryPipe;
let calledPipe: MemoryPipe;
/** What the called node does; it echoes unless a test says otherwise. */
let answer: Answerer;
let framesSent: number;

async function open(
  options: Partial<CallsOptions> & { answersMax?: number; windowBytes?: number } = {},
): Promise<void> {
  nodes = new TwoNodes(options.windowBytes === undefined ? {} : options);
  const welcome = nodes.until(nodes.dial());
  const dialled = await welcome;
  if (dialled.kind !== "open") throw dialled.failure;
  caller = dialled.channel;
  called = nodes.taken[0]!.channel;
  [callerPipe, calledPipe] = nodes.network.lastPipes!;
  const { clock } = nodes;
  framesSent = 0;
  answer = ({ name, head, text }) => Promise.resolve({ head: { name, head }, text: `<${text}>` });
  calls = new Calls(caller, { clock, ...options });
  answers = new Answers(called, {
    clock,
    log: silentLog,
    answer: (call) => answer(call),
    ...(options.answersMax === undefined ? {} : { callsMax: options.answersMax }),
  });
  nodes.taken[0]!.onFrame = (frame: Frame) => {
    framesSent++;
    answers.take(frame);
  };
  caller.start({
    onFrame: (frame) => calls.take(frame),
    onClose: (end: ChannelEnd) => calls.closed(end),
  });
}
beforeEach(() => open());

function call(text: string, timeoutMs = 1_000): Promise<Message> {
  const deadlineMs = nodes.clock.monotonicMs() + timeoutMs;
  return calls.call({ name: "execute", head: { hops: 1 }, text, deadlineMs });
}

/** "kind: message" of a rejection, or the text of the answer. */
async function outcome(promise: Promise<Message>): Promise<string> {
  try {
    return (await nodes.until(promise)).text;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return `${error.kind}: ${error.message}`;
  }
}

/** All at once, so that none is a rejection that nobody handled. */
const outcomes = (promises: readonly Promise<Message>[]) => Promise.all(promises.map(outcome));

describe("a call", () => {
  test("is answered with what the peer makes of its name, head and text", async () => {
    expect(await nodes.until(call("SELECT 1"))).toEqual({
      head: { name: "execute", head: { hops: 1 } },
      text: "<SELECT 1>",
    });
    expect([calls.pending, answers.pending]).toEqual([0, 0]);
  });

  test("leaves with all others of its turn in one frame, and so do the answers", async () => {
    const answerFrames = called.lastFrame;
    const all = Array.from({ length: 500 }, (_, at) => call(`${at}`));
    const texts = await outcomes(all);
    expect(texts).toEqual(all.map((_, at) => `<${at}>`));
    expect(framesSent).toBe(1);
    expect(called.lastFrame - answerFrames).toBe(1);
  });

  test("may be answered before one that was made earlier", async () => {
    answer = async ({ text }) => {
      await nodes.clock.sleep(Number(text));
      return { head: null, text };
    };
    const done: string[] = [];
    const all = ["300", "100", "200"].map((ms) => call(ms).then(({ text }) => done.push(text)));
    await nodes.until(Promise.all(all));
    expect(done).toEqual(["100", "200", "300"]);
  });

  test("has the same deadline there, though clocks differ", async () => {
    let leftMs = 0;
    answer = ({ deadlineMs }) => {
      leftMs = deadlineMs - nodes.clock.monotonicMs();
      return Promise.resolve({ head: null, text: "" });
    };
    await nodes.until(call("x", 700));
    expect(leftMs).toBeGreaterThan(690);
    expect(leftMs).toBeLessThanOrEqual(700);
  });

  test("gets the failure that the peer answers with, whole", async () => {
    answer = () =>
      Promise.reject(
        new Failure("elsewhere", "not the owner", {
          details: { epoch: 9 },
          leader: "http://other:8080",
          retryAfterMs: 20,
        }),
      );
    const failure = await nodes.until(call("x").catch((error: unknown) => error));
    expect(failure).toBeInstanceOf(Failure);
    const { kind, message, details, leader, retryAfterMs } = failure as Failure;
    expect({ kind, message, details, leader, retryAfterMs }).toEqual({
      kind: "elsewhere",
      message: "not the owner",
      details: { epoch: 9 },
      leader: "http://other:8080",
      retryAfterMs: 20,
    });
  });

  test("that breaks its answerer is uncertain, and the channel lives", async () => {
    answer = ({ text }) => {
      if (text === "broken") throw new TypeError("undefined is not a function");
      return Promise.resolve({ head: null, text });
    };
    expect(await outcomes([call("broken"), call("fine")])).toEqual([
      "uncertain: Cannot answer execute: undefined is not a function",
      "fine",
    ]);
    expect(caller.end).toBe(null);
  });

  test("that is too large is not sent, and an answer that is too large is uncertain", async () => {
    const deadlineMs = nodes.clock.monotonicMs() + 1_000;
    const head = "x".repeat(70_000);
    const large = calls.call({ name: "execute", head, text: "", deadlineMs });
    expect(await outcome(large)).toStartWith("too_large: ");
    expect(framesSent).toBe(0);
    answer = () => Promise.resolve({ head, text: "" });
    expect(await outcome(call("x"))).toStartWith("uncertain: ");
  });

  test("that has no time left is not sent", async () => {
    expect(await outcome(call("x", 0))).toStartWith("unavailable: ");
    expect(calls.pending).toBe(0);
  });

  test("that gets no answer is uncertain a moment after its deadline, each at its own", () => {
    answer = () => new Promise(() => {});
    const begunMs = nodes.timeline.nowMs;
    const ends: unknown[] = [];
    for (const timeoutMs of [500, 100, 300]) {
      call("x", timeoutMs).catch(({ kind }: Failure) => {
        const tookMs = nodes.timeline.nowMs - begunMs;
        ends.push([kind, timeoutMs, tookMs - timeoutMs - PEER_CALL_GRACE_MS < 30]);
      });
      nodes.pass(1);
    }
    nodes.settle();
    expect(ends).toEqual([["uncertain", 100, true], ["uncertain", 300, true], [
      "uncertain",
      500,
      true,
    ]]);
    expect(calls.pending).toBe(0);
  });

  test("that is answered at its deadline gets that answer: who has it knows better", async () => {
    answer = async ({ deadlineMs }) => {
      await nodes.clock.sleep(deadlineMs - nodes.clock.monotonicMs());
      throw new Failure("unavailable", "it was still in the queue");
    };
    expect(await outcome(call("x", 100))).toBe("unavailable: it was still in the queue");
  });

  test("whose answer comes after all does no harm", async () => {
    answer = async ({ text }) => {
      await nodes.clock.sleep(2_000);
      return { head: null, text };
    };
    expect(await outcome(call("x", 100))).toStartWith("uncertain: ");
    nodes.pass(3_000);
    expect(caller.end).toBe(null);
    answer = ({ text }) => Promise.resolve({ head: null, text });
    expect(await outcome(call("y"))).toBe("y");
  });
});

describe("too many calls", () => {
  test("are busy here, and what was made goes on", async () => {
    await open({ callsMax: 3 });
    const all = await outcomes(["a", "b", "c", "d"].map((text) => call(text)));
    expect(all.slice(0, 3)).toEqual(["<a>", "<b>", "<c>"]);
    expect(all[3]).toBe("busy: Cannot call execute at node-called: 3 calls are not answered yet");
    expect(await outcome(call("e"))).toBe("<e>");
  });

  test("are busy there", async () => {
    await open({ answersMax: 2 });
    const all = await outcomes(["a", "b", "c"].map((text) => call(text)));
    expect(all).toEqual(["<a>", "<b>", "busy: Cannot answer execute: 2 calls are being answered"]);
  });

  test("are busy when their bytes wait to be sent; one alone may be larger", async () => {
    await open({ bytesMax: 1_000 });
    const [large, small] = await outcomes([call("x".repeat(5_000)), call("y")]);
    expect(large).toHaveLength(5_002);
    expect(small).toStartWith("busy: ");
  });
});

describe("a channel on which nothing comes back", () => {
  test("is silent when a call had no answer for long, until something comes", async () => {
    let reply = (): void => {};
    answer = ({ text }) => new Promise((resolve) => reply = () => resolve({ head: {}, text }));
    const asked = call("anybody?", 2_000);
    nodes.pass(2_000 + 2 * PEER_CALL_GRACE_MS);
    expect(await outcome(asked)).toStartWith("uncertain: ");
    expect(calls.isSilent).toBe(false);
    nodes.pass(PEER_SILENT_MS);
    expect(calls.isSilent).toBe(true);
    reply();
    nodes.pass(10);
    expect(calls.isSilent).toBe(false);
  });

  test("is not silent when nothing was asked, or everything answered", async () => {
    nodes.pass(10 * PEER_SILENT_MS);
    expect(calls.isSilent).toBe(false);
    expect(await outcome(call("x"))).toBe("<x>");
    nodes.pass(10 * PEER_SILENT_MS);
    expect(calls.isSilent).toBe(false);
  });
});

describe("when the channel ends", () => {
  test("a call whose frame had left is uncertain, and one that had not is unavailable", async () => {
    answer = () => new Promise(() => {});
    const sent = call("sent");
    nodes.pass(10);
    expect(answers.pending).toBe(1);
    const made = call("made in the turn in which it ended");
    calledPipe.destroy();
    callerPipe.destroy();
    const [first, second] = await outcomes([sent, made]);
    expect(first).toStartWith("uncertain: ");
    // Its frame was given to a connection that nobody had found dead yet.
    expect(second).toMatch(/^(uncertain|unavailable): /);
    expect(await outcome(call("too late"))).toStartWith("unavailable: ");
    expect(calls.pending).toBe(0);
  });

  test("a call whose frame waits behind a slow peer is unavailable", async () => {
    await open({ windowBytes: 1_000 });
    callerPipe.hold();
    const first = call("x".repeat(2_000));
    nodes.pass(10);
    const second = call("y");
    nodes.pass(10);
    expect(caller.lastFrame - caller.lastFrameSent).toBe(1);
    calledPipe.destroy();
    const [sent, waiting] = await outcomes([first, second]);
    expect(sent).toStartWith("uncertain: ");
    expect(waiting).toStartWith("unavailable: ");
    expect(waiting).toContain("it was not handled");
  });

  test("by the peer's own will, what it had not read is unavailable", async () => {
    answer = () => new Promise(() => {});
    const handled = call("handled");
    nodes.pass(10);
    called.close("stopping");
    const crossing = call("sent while the goodbye was on its way");
    nodes.pass(0.5);
    expect(caller.lastFrameSent).toBe(caller.lastFrame);
    const [first, second] = await outcomes([handled, crossing]);
    expect(first).toStartWith("uncertain: ");
    expect(second).toBe(
      "unavailable: Cannot call execute at node-called: stopping; it was not handled",
    );
  });

  test("by the peer's own will, the answers that were ready still come", async () => {
    const asked = call("x");
    answer = ({ text }) => {
      void nodes.clock.turn().then(() => nodes.clock.turn()).then(() => called.close("stopping"));
      return Promise.resolve({ head: null, text });
    };
    expect(await outcome(asked)).toBe("x");
    nodes.pass(10);
    expect(caller.end?.kind).toBe("closed");
  });

  test("by this side, a call that may still be sent is uncertain", async () => {
    answer = () => new Promise(() => {});
    const asked = call("x");
    nodes.pass(0.5);
    caller.close("enough");
    expect(await outcome(asked)).toStartWith("uncertain: ");
  });

  test("by this side, a call whose frame still goes before the goodbye is uncertain", async () => {
    await open({ windowBytes: 1_000 });
    callerPipe.hold();
    const asked = [call("x".repeat(2_000)), call("y".repeat(2_000))];
    nodes.pass(1);
    asked.push(call("z"));
    nodes.pass(1);
    expect(caller.lastFrameSent).toBeLessThan(caller.lastFrame);
    caller.close("enough");
    callerPipe.release();
    const texts = await outcomes(asked);
    expect(texts.map((text) => text.split(":")[0])).toEqual(Array(3).fill("uncertain"));
    nodes.pass(10);
    expect(framesSent).toBe(2);
  });

  test("by an overflow of the very frame it is in, a call is unavailable", async () => {
    nodes = new TwoNodes({ unsentBytesMax: 10_000, windowBytes: 1_000 });
    const dialled = await nodes.until(nodes.dial());
    if (dialled.kind !== "open") throw dialled.failure;
    caller = dialled.channel;
    nodes.network.lastPipes![0].hold();
    calls = new Calls(caller, { clock: nodes.clock });
    caller.start({ onFrame: () => {}, onClose: (end) => calls.closed(end) });
    const all = Array.from({ length: 4 }, (_, at) => {
      const asked = call(`${at}`.repeat(5_000));
      nodes.pass(1);
      return asked;
    });
    const texts = await outcomes(all);
    expect(caller.end?.kind).toBe("overflow");
    expect(texts.map((text) => text.split(":")[0])).toEqual([
      "uncertain",
      "unavailable",
      "unavailable",
      "unavailable",
    ]);
  });

  test("nothing is left that waits", async () => {
    const asked = call("x", 60_000);
    nodes.pass(0.5);
    calledPipe.destroy();
    expect(await outcome(asked)).toStartWith("uncertain: ");
    nodes.settle();
    expect(nodes.timeline.nowMs).toBeLessThan(60_000);
  });
});

test("an answer to a call that was never made ends the channel", async () => {
  called.send(CALL_TYPE.answers, { answers: [[1, 0, null]] });
  nodes.settle();
  expect(caller.end?.kind).toBe("bad_frame");
  expect(await outcome(call("x"))).toStartWith("unavailable: ");
});
