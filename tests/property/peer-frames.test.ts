import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { isFailure } from "../../src/base/failure.ts";
import {
  answerEntry,
  answersFrame,
  batchEnd,
  callEntry,
  callsFrame,
  checked,
  failureEntry,
  readAnswers,
  readCalls,
} from "../../src/members/call-frame.ts";
import { Failure } from "../../src/base/failure.ts";
import { type Frame, FrameDecoder, type NextSeal, SEAL_BYTES } from "../../src/members/frame.ts";
import { Outbox } from "../../src/members/outbox.ts";
import { seals } from "../../src/members/signature.ts";

const KEY = new Uint8Array(32).fill(7);
const FRAME_BYTES_MAX = 1_000_000;

const frames = fc.array(
  fc.record({
    type: fc.integer({ min: 0, max: 255 }),
    head: fc.oneof(fc.constant(undefined), fc.jsonValue()),
    tail: fc.oneof(
      fc.uint8Array({ maxLength: 100 }),
      // Larger than what is copied, and than one piece.
      fc.integer({ min: 30_000, max: 600_000 }).map((length) =>
        Uint8Array.from({ length }, (_, at) => at % 253)
      ),
    ),
  }),
  { maxLength: 6 },
);

/** All bytes of the frames, in one piece. */
function bytesOf(given: readonly { type: number; head: unknown; tail: Uint8Array }[]): Buffer {
  const outbox = new Outbox(seals(KEY, "dialler"));
  for (const { type, head, tail } of given) outbox.add(type, head, tail);
  const pieces: Uint8Array[] = [];
  for (let piece = outbox.take(); piece !== null; piece = outbox.take()) pieces.push(piece);
  expect([outbox.bytes, outbox.taken]).toEqual([0, given.length]);
  return Buffer.concat(pieces);
}

function decode(pieces: readonly Uint8Array[], nextSeal = seals(KEY, "dialler")): Frame[] {
  const decoder = new FrameDecoder(nextSeal, FRAME_BYTES_MAX);
  const read: Frame[] = [];
  for (const piece of pieces) {
    decoder.push(piece);
    for (let frame = decoder.next(); frame !== null; frame = decoder.next()) read.push(frame);
  }
  return read;
}

function split(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const at = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  return [...at, bytes.length].map((end, index) => bytes.subarray(at[index - 1] ?? 0, end));
}

describe("frames between nodes", () => {
  test("come out as they went in, however the bytes are split", () => {
    fc.assert(
      fc.property(frames, fc.array(fc.nat(), { maxLength: 20 }), (given, cuts) => {
        const read = decode(split(bytesOf(given), cuts));
        expect(read.length).toBe(given.length);
        read.forEach(({ type, head, tail }, index) => {
          const wanted = given[index]!;
          expect(type).toBe(wanted.type);
          expect(head).toEqual(JSON.parse(JSON.stringify(wanted.head) ?? "null"));
          expect(Buffer.compare(tail, wanted.tail)).toBe(0);
        });
      }),
      { numRuns: 60 },
    );
  });

  test("come out as they went in, byte by byte", () => {
    const given = [
      { type: 1, head: { a: "ü" }, tail: new Uint8Array([1, 2, 3]) },
      { type: 2, head: undefined, tail: new Uint8Array(0) },
    ];
    const bytes = bytesOf(given);
    const read = decode(Array.from(bytes, (byte) => new Uint8Array([byte])));
    expect(read.map(({ type, head, tail }) => [type, head, [...tail]])).toEqual([
      [1, { a: "ü" }, [1, 2, 3]],
      [2, null, []],
    ]);
  });

  test("that were changed in any byte are refused, and nothing of them is given out", () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1, max: 255 }), (place, change) => {
        const bytes = bytesOf([{ type: 20, head: { a: 1 }, tail: new Uint8Array([1, 2, 3]) }]);
        const at = place % bytes.length;
        bytes[at]! ^= change;
        let read: Frame[] = [];
        try {
          read = decode([bytes]);
        } catch (error) {
          expect(isFailure(error, "invalid")).toBe(true);
        }
        // A longer length waits for more bytes.
        expect(read).toEqual([]);
      }),
      { numRuns: 500 },
    );
  });

  test("of any bytes are an error or wait for more, and never hang", () => {
    /** Takes every seal for right where it is all zeros, so that more than the seal is tried. */
    const zeros: NextSeal = () => ({ update: () => {}, finish: () => new Uint8Array(SEAL_BYTES) });
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 400 }),
        fc.integer({ min: 21, max: 60 }),
        fc.nat({ max: 40 }),
        fc.array(fc.nat(), { maxLength: 5 }),
        (bytes, length, headBytes, cuts) => {
          const start = Buffer.alloc(9);
          start.writeUInt32BE(length, 0);
          start.writeUInt32BE(headBytes, 5);
          const all = Buffer.concat([start, bytes, new Uint8Array(100)]);
          try {
            for (const { tail } of decode(split(all, cuts), zeros)) {
              expect(tail.length).toBeLessThanOrEqual(length);
            }
          } catch (error) {
            expect(isFailure(error, "invalid")).toBe(true);
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  test("that claim a length out of bounds are refused before anything is set aside for them", () => {
    for (const length of [0, 20, FRAME_BYTES_MAX, 0xffff_ffff]) {
      const start = Buffer.alloc(9);
      start.writeUInt32BE(length, 0);
      expect(() => decode([start])).toThrow(`Cannot read a frame of ${length + 4} bytes`);
    }
    const head = Buffer.alloc(9);
    head.writeUInt32BE(100, 0);
    head.writeUInt32BE(80, 5);
    expect(() => decode([head])).toThrow("whose head has 80 bytes: 79 are allowed");
  });
});

describe("calls and answers", () => {
  const text = fc.string({ unit: "binary", maxLength: 50 });
  const head = fc.jsonValue();
  /** What a lone surrogate becomes on the way, as everywhere in UTF-8. */
  const carried = (value: string) => value.toWellFormed();

  test("come out as they went in, whatever is in their texts", () => {
    fc.assert(
      fc.property(fc.array(fc.record({ name: fc.string(), head, text })), (given) => {
        const entries = given.map((call) =>
          callEntry(call.name, 250, checked(call, "too_large", call.name))
        );
        const [callsHead, tail] = callsFrame(11, entries);
        const read = readCalls({ type: 16, head: JSON.parse(callsHead.text), tail });
        expect(read).toEqual(
          given.map((call, index) => ({
            id: 11 + index,
            name: call.name,
            leftMs: 250,
            head: JSON.parse(JSON.stringify(call.head)),
            text: carried(call.text),
          })),
        );
      }),
    );
  });

  test("that hold half a character leave their neighbours alone", () => {
    const halves = fc.string({ unit: fc.constantFrom("\ud83d", "\ude00", "a", "ü", "😀") });
    fc.assert(
      fc.property(fc.array(halves), (given) => {
        const all = given.flatMap((half) => [half, "|"]);
        const entries = all.map((text, id) => answerEntry(id, { headJson: "null", text }));
        const [answersHead, tail] = answersFrame(entries);
        const read = readAnswers({ type: 17, head: JSON.parse(answersHead.text), tail });
        read.forEach(({ answer }, index) => {
          if (answer instanceof Failure) throw answer;
          expect(answer.text.length).toBe(all[index]!.length);
          if (index % 2 === 1) expect(answer.text).toBe("|");
        });
      }),
    );
  });

  test("with failures among them too", () => {
    fc.assert(
      fc.property(fc.array(fc.record({ head, text, fails: fc.boolean() })), (given) => {
        const entries = given.map((answer, index) =>
          answer.fails
            ? failureEntry(index, new Failure("busy", carried(answer.text), { retryAfterMs: 3 }))
            : answerEntry(index, checked(answer, "uncertain", "an answer"))
        );
        const [answersHead, tail] = answersFrame(entries);
        const read = readAnswers({ type: 17, head: JSON.parse(answersHead.text), tail });
        expect(read.length).toBe(given.length);
        read.forEach(({ id, answer }, index) => {
          const wanted = given[index]!;
          expect(id).toBe(index);
          if (answer instanceof Failure) {
            const { kind, message, retryAfterMs } = answer;
            expect([kind, message, retryAfterMs]).toEqual(["busy", carried(wanted.text), 3]);
          } else {
            expect(answer.text).toBe(carried(wanted.text));
            expect(answer.head).toEqual(JSON.parse(JSON.stringify(wanted.head)));
          }
        });
      }),
    );
  });

  test("of any head and tail are read or refused", () => {
    fc.assert(
      fc.property(
        fc.jsonValue(),
        fc.uint8Array({ maxLength: 20 }),
        fc.boolean(),
        (any, tail, as) => {
          const frame = { type: 16, head: as ? { first: 1, calls: any, answers: any } : any, tail };
          for (const read of [readCalls, readAnswers]) {
            try {
              read(frame);
            } catch (error) {
              expect(isFailure(error, "invalid")).toBe(true);
            }
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  test("are all in some batch, once and in their order, and none is over the limit with two", () => {
    const lengths = fc.array(fc.integer({ min: 0, max: 700_000 }), { maxLength: 12 });
    fc.assert(
      fc.property(lengths, (given) => {
        const entries = given.map((length) => ({ json: "", text: "x".repeat(length) }));
        let start = 0;
        while (start < entries.length) {
          const end = batchEnd(entries, start);
          expect(end).toBeGreaterThan(start);
          const characters = entries.slice(start, end).reduce((sum, e) => sum + e.text.length, 0);
          if (end - start > 1) expect(characters).toBeLessThanOrEqual(1024 * 1024);
          start = end;
        }
        expect(start).toBe(entries.length);
      }),
      { numRuns: 50 },
    );
  });
});
