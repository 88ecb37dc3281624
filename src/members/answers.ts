/**
 * Answers the calls of a peer. What is answered in one turn of the program leaves in one frame.
 * A peer that asks for more than a node takes on at once gets `busy` for the rest.
 */
import type { Clock } from "../base/clock.ts";
import { describe, Failure, isFailure } from "../base/failure.ts";
import { PEER_CALL_BYTES_MAX, PEER_CALLS_MAX } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import {
  answerEntry,
  answersFrame,
  batchEnd,
  CALL_TYPE,
  checked,
  type Entry,
  failureEntry,
  type Message,
  readCalls,
} from "./call-frame.ts";
import type { Channel } from "./channel.ts";
import { asFailure } from "./failure-frame.ts";
import type { Frame } from "./frame.ts";

export interface Call extends Message {
  readonly name: string;
  /** Monotonic ms of this node. */
  readonly deadlineMs: number;
}

/** Rejects with the failure that the caller is to get; anything else becomes `uncertain`. */
export type Answerer = (call: Call) => Promise<Message>;

export interface AnswersOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly answer: Answerer;
  readonly callsMax?: number;
  readonly bytesMax?: number;
}

export class Answers {
  readonly #channel: Channel;
  readonly #options: AnswersOptions;
  readonly #callsMax: number;
  readonly #bytesMax: number;
  #taken = 0;
  #ready: Entry[] = [];

  constructor(channel: Channel, options: AnswersOptions) {
    this.#channel = channel;
    this.#options = options;
    this.#callsMax = options.callsMax ?? PEER_CALLS_MAX;
    this.#bytesMax = options.bytesMax ?? PEER_CALL_BYTES_MAX;
  }

  /** Calls that are being answered. */
  get pending(): number {
    return this.#taken;
  }

  /** A frame of calls. Throws `invalid` when it is none. */
  take(frame: Frame): void {
    const nowMs = this.#options.clock.monotonicMs();
    for (const { id, name, leftMs, head, text } of readCalls(frame)) {
      const refusal = this.#refusal(name);
      if (refusal !== null) this.#add(failureEntry(id, refusal));
      else void this.#answer(id, { name, head, text, deadlineMs: nowMs + leftMs });
    }
  }

  async #answer(id: number, call: Call): Promise<void> {
    this.#taken++;
    try {
      const answer = await this.#options.answer(call);
      this.#add(answerEntry(id, checked(answer, "uncertain", `the answer to ${call.name}`)));
    } catch (error) {
      this.#add(failureEntry(id, this.#failure(call.name, error)));
    } finally {
      this.#taken--;
    }
  }

  #failure(name: string, error: unknown): Failure {
    if (!isFailure(error)) {
      this.#options.log.error("a call of a peer broke", { call: name, why: describe(error) });
    }
    return asFailure(`answer ${name}`, error);
  }

  #refusal(name: string): Failure | null {
    const isFull = this.#taken >= this.#callsMax;
    if (!isFull && this.#channel.unsentBytes <= this.#bytesMax) return null;
    const what = isFull
      ? `${this.#taken} calls are being answered`
      : `${this.#channel.unsentBytes} bytes of answers wait to be sent`;
    return new Failure("busy", `Cannot answer ${name}: ${what}`, { retryAfterMs: BUSY_RETRY_MS });
  }

  #add(entry: Entry): void {
    this.#ready.push(entry);
    if (this.#ready.length === 1) void this.#options.clock.turn().then(() => this.#send());
  }

  /** To a channel that has ended nothing is sent; the caller knows what that means. */
  #send(): void {
    const ready = this.#ready;
    this.#ready = [];
    for (let start = 0; start < ready.length;) {
      const end = batchEnd(ready, start);
      this.#channel.send(CALL_TYPE.answers, ...answersFrame(ready.slice(start, end)));
      start = end;
    }
  }
}

const BUSY_RETRY_MS = 50;
