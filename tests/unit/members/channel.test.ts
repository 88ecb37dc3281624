import { beforeEach, describe, expect, test } from "bun:test";
import { Failure } from "../../../src/base/failure.ts";
import { PEER_CLOSE_MS, PEER_PIECE_BYTES } from "../../../src/base/limits.ts";
import type { MemoryPipe } from "../../support/memory-pipe.ts";
import { type End, TwoNodes } from "./two-nodes.ts";

let nodes: TwoNodes;
let caller: End;
let called: End;
let callerPipe: MemoryPipe;
let calledPipe: MemoryPipe;

async function open(options: ConstructorParameters<typeof TwoNodes>[0] = {}): Promise<void> {
  nodes = new TwoNodes(options);
  [caller, called] = await nodes.open();
  [callerPipe, calledPipe] = nodes.network.lastPipes!;
}
beforeEach(() => open());

const text = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes);

describe("frames", () => {
  test("go both ways in their order, with head and tail", () => {
    caller.channel.send(20, { a: [1, "ü"] }, new TextEncoder().encode("tail"));
    caller.channel.send(21, undefined);
    called.channel.send(22, null, new Uint8Array([0, 255]));
    nodes.settle();
    expect(called.frames.map(({ type, head, tail }) => [type, head, text(tail)])).toEqual([
      [20, { a: [1, "ü"] }, "tail"],
      [21, null, ""],
    ]);
    expect(caller.frames.map(({ type, head, tail }) => [type, head, [...tail]])).toEqual([
      [22, null, [0, 255]],
    ]);
  });

  test("of one go leave in one write", () => {
    const writes: number[] = [];
    callerPipe.onTheWay = (bytes) => (writes.push(bytes.length), [bytes]);
    for (let at = 0; at < 100; at++) caller.channel.send(20, at);
    nodes.settle();
    expect(called.heads).toEqual(Array.from({ length: 100 }, (_, at) => at));
    expect(writes.length).toBe(1);
  });

  test("that are large leave in pieces, and arrive whole", () => {
    const tail = Uint8Array.from({ length: 3 * PEER_PIECE_BYTES + 5 }, (_, at) => at % 251);
    const writes: number[] = [];
    callerPipe.onTheWay = (bytes) => (writes.push(bytes.length), [bytes]);
    caller.channel.send(20, "before");
    caller.channel.send(20, "large", tail);
    caller.channel.send(20, "after");
    nodes.settle();
    expect(called.heads).toEqual(["before", "large", "after"]);
    expect(Buffer.compare(called.frames[1]!.tail, tail)).toBe(0);
    expect(writes.length).toBeGreaterThan(3);
    expect(Math.max(...writes)).toBeLessThanOrEqual(PEER_PIECE_BYTES + 16);
  });

  test("that are many leave in pieces too", () => {
    const writes: number[] = [];
    callerPipe.onTheWay = (bytes) => (writes.push(bytes.length), [bytes]);
    for (let at = 0; at < 5_000; at++) caller.channel.send(20, at, new Uint8Array(200));
    nodes.settle();
    expect(called.frames.length).toBe(5_000);
    expect(writes.length).toBe(Math.ceil(5_000 * 230 / PEER_PIECE_BYTES));
    expect(Math.max(...writes)).toBeLessThanOrEqual(PEER_PIECE_BYTES);
  });

  test("say when the peer was last heard, whatever it sent", () => {
    const openedMs = called.channel.lastInputMs;
    nodes.pass(1_000);
    caller.channel.send(20, "x");
    nodes.settle();
    expect(called.channel.lastInputMs - openedMs).toBeGreaterThan(990);
    const heardMs = called.channel.lastInputMs;
    nodes.pass(500);
    callerPipe.onTheWay = (bytes) => [bytes.subarray(0, 3)];
    caller.channel.send(20, "cut short");
    nodes.settle();
    expect(called.channel.lastInputMs - heardMs).toBeGreaterThan(490);
    expect(called.heads).toEqual(["x"]);
  });
});

describe("what is no frame of this channel ends it", () => {
  /** Frames that the caller sent, as they went out, and none of them arrived. */
  function caught(...heads: unknown[]): readonly Uint8Array[] {
    const frames: Uint8Array[] = [];
    callerPipe.onTheWay = (bytes) => (frames.push(Uint8Array.from(bytes)), []);
    for (const head of heads) {
      caller.channel.send(20, head);
      nodes.settle();
    }
    callerPipe.onTheWay = (bytes) => [bytes];
    return frames;
  }

  function give(...frames: readonly (Uint8Array | undefined)[]): void {
    for (const frame of frames) callerPipe.write(frame!);
    nodes.settle();
  }

  test("not the frames as they were", () => {
    give(...caught("one", "two"));
    expect([called.heads, called.end]).toEqual([["one", "two"], null]);
  });

  test("a frame that comes twice", () => {
    const [one] = caught("one");
    give(one, one);
    expect(called.heads).toEqual(["one"]);
    expect(called.end?.kind).toBe("bad_frame");
    expect(caller.end?.kind).toBe("reset");
  });

  test("a frame that comes before the one that was sent before it", () => {
    const [, two] = caught("one", "two");
    give(two);
    expect([called.heads, called.end?.kind]).toEqual([[], "bad_frame"]);
  });

  test("a frame in which one bit is wrong, wherever it is", async () => {
    const [whole] = caught({ amount: 100 });
    for (let at = 0; at < whole!.length; at++) {
      await open();
      const [frame] = caught({ amount: 100 });
      frame![at]! ^= 1;
      // A length that was made larger is found out when so many bytes have come.
      give(frame, new Uint8Array(at < 2 ? 2 ** (24 - 8 * at) : 300));
      expect([at, called.heads, called.end?.kind]).toEqual([at, [], "bad_frame"]);
    }
  });

  test("the peer's own frame, sent back to it", () => {
    const frames: Uint8Array[] = [];
    callerPipe.onTheWay = (bytes) => (frames.push(bytes), []);
    for (const head of ["one", "two"]) {
      caller.channel.send(20, head);
      nodes.settle();
    }
    // "two" has the number that the caller expects next: before it two frames went each way.
    calledPipe.write(frames[1]!);
    nodes.settle();
    expect([caller.heads, caller.end?.kind]).toEqual([[], "bad_frame"]);
  });

  test("a frame of another channel, of the same nodes and door", async () => {
    const frames = caught("one");
    const [, another] = await nodes.open();
    const [pipe] = nodes.network.lastPipes!;
    pipe.write(frames[0]!);
    nodes.settle();
    expect([another.heads, another.end?.kind]).toEqual([[], "bad_frame"]);
  });

  test("a frame of the channel's own kinds, once it is open", async () => {
    await open();
    expect(() => caller.channel.send(1, {})).toThrow("assertion failed");
  });

  test("a frame that its reader refuses", () => {
    called.onFrame = () => {
      throw new Failure("invalid", "an epoch without a number");
    };
    caller.channel.send(20, "x");
    caller.channel.send(20, "y");
    nodes.settle();
    expect(called.end).toMatchObject({ kind: "bad_frame", message: "an epoch without a number" });
    expect(called.heads).toEqual(["x"]);
  });
});

describe("the end", () => {
  test("of one side's own will comes after all that was sent", () => {
    caller.channel.send(20, "last words", new Uint8Array(2 * PEER_PIECE_BYTES));
    caller.channel.close("stopping");
    expect(caller.end).toMatchObject({ kind: "closed_here", message: "stopping" });
    expect(caller.channel.send(20, "too late")).toBe(false);
    nodes.settle();
    expect(called.heads).toEqual(["last words"]);
    expect(called.end).toMatchObject({ kind: "closed", message: "stopping" });
    expect([callerPipe.isOver, calledPipe.isOver]).toEqual([true, true]);
  });

  test("says how many frames were handled", () => {
    called.channel.send(20, "one");
    called.channel.send(20, "two");
    nodes.settle();
    const handled = called.channel.lastFrame;
    caller.channel.close("stopping");
    called.channel.send(20, "three");
    nodes.settle();
    expect(called.end?.lastFrameHandled).toBe(handled);
    expect(caller.heads).toEqual(["one", "two"]);
  });

  test("with a failure arrives as one", () => {
    called.channel.close(new Failure("conflict", "replaced", { retryAfterMs: 9 }));
    nodes.settle();
    const { end } = caller;
    expect(end?.kind).toBe("refused");
    expect(end?.kind === "refused" && end.failure.retryAfterMs).toBe(9);
  });

  test("without a word is a reset, on both sides at once", () => {
    calledPipe.destroy();
    nodes.settle();
    expect([caller.end?.kind, called.end?.kind]).toEqual(["reset", "reset"]);
  });

  test("by both at the same time", () => {
    caller.channel.close("one");
    called.channel.close("two");
    nodes.settle();
    expect([caller.end?.kind, called.end?.kind]).toEqual(["closed_here", "closed_here"]);
    expect([callerPipe.isOver, calledPipe.isOver]).toEqual([true, true]);
  });

  test("is not held up by a peer that does not read", () => {
    callerPipe.hold();
    caller.channel.close("stopping");
    nodes.pass(PEER_CLOSE_MS + 1);
    expect(callerPipe.isOver).toBe(true);
    expect(called.end).toBe(null);
  });

  test("of a channel that was never started", async () => {
    const dialled = await nodes.until(nodes.dial());
    if (dialled.kind !== "open") throw dialled.failure;
    dialled.channel.close("not needed");
    nodes.settle();
    expect(nodes.taken.at(-1)?.end).toMatchObject({ kind: "closed", message: "not needed" });
    const ends: unknown[] = [];
    dialled.channel.start({ onFrame: () => {}, onClose: ({ kind }) => ends.push(kind) });
    expect(ends).toEqual(["closed_here"]);
  });
});

describe("a peer that is slow", () => {
  beforeEach(() => open({ windowBytes: 100_000, unsentBytesMax: 1_000_000 }));

  test("is waited for, and what waits is counted", () => {
    calledPipe.hold();
    callerPipe.hold();
    const tail = new Uint8Array(90_000);
    for (let at = 0; at < 5; at++) expect(caller.channel.send(20, at, tail)).toBe(true);
    nodes.settle();
    const first = caller.channel.lastFrameSent;
    expect(first).toBeLessThan(caller.channel.lastFrame);
    expect(caller.channel.unsentBytes).toBeGreaterThan(250_000);
    callerPipe.release();
    nodes.settle();
    expect(called.heads).toEqual([0, 1, 2, 3, 4]);
    expect(caller.channel.unsentBytes).toBe(0);
    expect(caller.channel.lastFrameSent).toBe(caller.channel.lastFrame);
  });

  test("is cut off when too much waits", () => {
    callerPipe.hold();
    const tail = new Uint8Array(90_000);
    let sent = 0;
    while (sent < 100 && caller.channel.send(20, sent, tail)) sent++;
    expect(sent).toBeGreaterThan(10);
    expect(sent).toBeLessThan(14);
    expect(caller.end?.kind).toBe("overflow");
    expect(callerPipe.isOver).toBe(true);
  });
});
