/**
 * Calls and their answers as frames, many in one. The texts of a frame lie one after another in its
 * tail and are never parsed on the way; its head says what belongs to what:
 *
 *     calls    {"first": id, "calls": [[name, ms left, characters, head], …]}
 *     answers  {"answers": [[id, characters, head], [id, characters, null, "failure"], …]}
 *
 * The text of a failure is its JSON. Lengths are in UTF-16 units, since a tail is decoded in one go
 * and then cut; a lone surrogate arrives as U+FFFD, which is as long.
 */
import { Failure, type FailureKind } from "../base/failure.ts";
import {
  PEER_BATCH_CALLS_MAX,
  PEER_BATCH_CHARACTERS_MAX,
  PEER_CALL_HEAD_CHARACTERS_MAX,
  PEER_FRAME_BYTES_MAX,
} from "../base/limits.ts";
import { failureHead, readFailure } from "./failure-frame.ts";
import { type Frame, JsonText } from "./frame.ts";

export const CALL_TYPE = { calls: 16, answers: 17 } as const;

/** What crosses, either way: `head` is any JSON value, and small; `text` is passed on as it is. */
export interface Message {
  readonly head: unknown;
  readonly text: string;
}

/** A call or an answer, ready to go: its place in the head of a frame, and its text. */
export interface Entry {
  readonly json: string;
  readonly text: string;
}

export interface ReceivedCall extends Message {
  readonly id: number;
  readonly name: string;
  /** Time until its deadline. */
  readonly leftMs: number;
}

export interface ReceivedAnswer {
  readonly id: number;
  readonly answer: Message | Failure;
}

/** A message that fits a frame. */
export interface Checked {
  readonly headJson: string;
  readonly text: string;
}

/** Throws a failure of this kind where the message does not fit a frame. */
export function checked(
  { head, text }: Message,
  kind: FailureKind,
  what: string,
): Checked {
  const headJson = JSON.stringify(head ?? null);
  if (headJson.length > PEER_CALL_HEAD_CHARACTERS_MAX) {
    const limit = `${PEER_CALL_HEAD_CHARACTERS_MAX} characters`;
    throw new Failure(kind, `Cannot send ${what}: its head is longer than ${limit}`);
  }
  const bytesMax = PEER_FRAME_BYTES_MAX - 4 * PEER_CALL_HEAD_CHARACTERS_MAX;
  // Three bytes at most for each UTF-16 unit.
  if (text.length > bytesMax / 3 && Buffer.byteLength(text) > bytesMax) {
    throw new Failure(kind, `Cannot send ${what}: its text is over ${bytesMax} bytes`);
  }
  return { headJson, text };
}

export function callEntry(name: string, leftMs: number, { headJson, text }: Checked): Entry {
  return { json: `[${JSON.stringify(name)},${leftMs},${text.length},${headJson}]`, text };
}

export function answerEntry(id: number, { headJson, text }: Checked): Entry {
  return { json: `[${id},${text.length},${headJson}]`, text };
}

export function failureEntry(id: number, failure: Failure): Entry {
  const text = JSON.stringify(failureHead(failure));
  return { json: `[${id},${text.length},null,"failure"]`, text };
}

/** Those of `entries` from `start` on that go in one frame: the index after the last of them. */
export function batchEnd(entries: readonly Entry[], start: number): number {
  const endMax = Math.min(entries.length, start + PEER_BATCH_CALLS_MAX);
  let characters = 0;
  for (let end = start; end < endMax; end++) {
    const { json = "", text = "" } = entries[end] ?? {};
    characters += json.length + text.length;
    if (characters > PEER_BATCH_CHARACTERS_MAX && end > start) return end;
  }
  return endMax;
}

/** Head and tail of a frame of calls whose ids go on from `first`. */
export function callsFrame(first: number, entries: readonly Entry[]): [JsonText, Uint8Array] {
  return [new JsonText(`{"first":${first},"calls":[${jsons(entries)}]}`), texts(entries)];
}

export function answersFrame(entries: readonly Entry[]): [JsonText, Uint8Array] {
  return [new JsonText(`{"answers":[${jsons(entries)}]}`), texts(entries)];
}

/** Throws `invalid` for what is no frame of calls. */
export function readCalls(frame: Frame): readonly ReceivedCall[] {
  const { first, calls }: Record<string, unknown> = Object(frame.head);
  if (!isCount(first) || !Array.isArray(calls)) throw malformed("calls");
  const texts = new Texts(frame.tail);
  const read = calls.map((entry: unknown, at) => {
    if (!Array.isArray(entry)) throw malformed("calls");
    const [name, leftMs, characters, head = null]: readonly unknown[] = entry;
    if (typeof name !== "string" || !isCount(leftMs)) throw malformed("calls");
    return { id: first + at, name, leftMs, head, text: texts.next(characters) };
  });
  texts.end();
  return read;
}

/** Throws `invalid` for what is no frame of answers. */
export function readAnswers(frame: Frame): readonly ReceivedAnswer[] {
  const { answers }: Record<string, unknown> = Object(frame.head);
  if (!Array.isArray(answers)) throw malformed("answers");
  const texts = new Texts(frame.tail);
  const read = answers.map((entry: unknown) => {
    if (!Array.isArray(entry)) throw malformed("answers");
    const [id, characters, head = null, kind]: readonly unknown[] = entry;
    if (!isCount(id)) throw malformed("answers");
    const text = texts.next(characters);
    if (kind === "failure") return { id, answer: readFailure(parsed(text)) };
    return { id, answer: { head, text } };
  });
  texts.end();
  return read;
}

function jsons(entries: readonly Entry[]): string {
  let all = "";
  for (const { json } of entries) all += all === "" ? json : `,${json}`;
  return all;
}

function texts(entries: readonly Entry[]): Uint8Array {
  let all = "";
  for (const { text } of entries) all += text;
  return Buffer.from(all);
}

/** The texts of a frame, in their order. */
class Texts {
  readonly #all: string;
  #at = 0;

  constructor(tail: Uint8Array) {
    this.#all = Buffer.from(tail.buffer, tail.byteOffset, tail.length).toString("utf8");
  }

  next(characters: unknown): string {
    if (!isCount(characters) || this.#at + characters > this.#all.length) throw malformed("texts");
    const start = this.#at;
    this.#at += characters;
    return this.#all.slice(start, this.#at);
  }

  end(): void {
    if (this.#at !== this.#all.length) throw malformed("texts");
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw malformed("failures");
  }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

function malformed(what: string): Failure {
  return new Failure("invalid", `Cannot read a peer's frame of ${what}: it is not laid out as one`);
}
