/**
 * Calls to a peer over a channel, which other frames share. Calls made in one turn of the program
 * leave in one frame. Every call is answered: by the peer, at its deadline, or when the channel
 * ends; and only `uncertain` may have been executed.
 */
import { assert } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import { Failure } from "../base/failure.ts";
import {
  DEADLINE_LOOK_MS,
  PEER_CALL_BYTES_MAX,
  PEER_CALL_GRACE_MS,
  PEER_CALLS_MAX,
  PEER_SILENT_MS,
} from "../base/limits.ts";
import {
  batchEnd,
  CALL_TYPE,
  callEntry,
  callsFrame,
  type Checked,
  checked,
  type Entry,
  type Message,
  readAnswers,
} from "./call-frame.ts";
import type { Channel, ChannelEnd } from "./channel.ts";
import type { Frame } from "./frame.ts";

export interface CallRequest extends Message {
  readonly name: string;
  /** Monotonic ms of this node. The peer has until then; its answer may take a moment longer. */
  readonly deadlineMs: number;
}

interface Pending {
  readonly name: string;
  readonly deadlineMs: number;
  readonly message: Checked;
  /** The number of the frame it went in, and when (monotonic ms); 0 before. */
  frame: number;
  sentMs: number;
  readonly resolve: (answer: Message) => void;
  readonly reject: (failure: Failure) => void;
}

export interface CallsOptions {
  readonly clock: Clock;
  readonly callsMax?: number;
  readonly bytesMax?: number;
}

export class Calls {
  readonly #channel: Channel;
  readonly #clock: Clock;
  readonly #callsMax: number;
  readonly #bytesMax: number;
  /** Made in this turn, not sent yet. */
  #made: Pending[] = [];
  #madeCharacters = 0;
  readonly #sent = new Map<number, Pending>();
  #lastId = 0;
  /** When the newest call was sent that had no answer by its deadline. */
  #unansweredMs = -Infinity;
  /** When calls are next held against their deadlines, and how to give that up. */
  #lookMs = Infinity;
  #cancelLook: () => void = () => {};

  constructor(channel: Channel, options: CallsOptions) {
    this.#channel = channel;
    this.#clock = options.clock;
    this.#callsMax = options.callsMax ?? PEER_CALLS_MAX;
    this.#bytesMax = options.bytesMax ?? PEER_CALL_BYTES_MAX;
  }

  /** Calls that are not answered. */
  get pending(): number {
    return this.#made.length + this.#sent.size;
  }

  /**
   * A call had no answer and nothing else has come since, for so long that what is sent may be lost
   * on the way for minutes: another channel gets through as soon as the network carries again.
   */
  get isSilent(): boolean {
    const { lastInputMs } = this.#channel;
    return this.#unansweredMs >= lastInputMs &&
      this.#clock.monotonicMs() - lastInputMs > PEER_SILENT_MS;
  }

  /**
   * The peer's answer, or a rejection with the failure that it answered with. Also rejects with
   * `busy`, `unavailable` or `too_large` when nothing was done, `uncertain` when that cannot be
   * known.
   */
  call(request: CallRequest): Promise<Message> {
    const { name, deadlineMs } = request;
    return new Promise((resolve, reject) => {
      // What is thrown here rejects.
      this.#check(request);
      const message = checked(request, "too_large", `call ${name}`);
      this.#made.push({ name, deadlineMs, message, frame: 0, sentMs: 0, resolve, reject });
      this.#madeCharacters += request.text.length;
      if (this.#made.length === 1) void this.#clock.turn().then(() => this.#send());
    });
  }

  /** A frame of answers. Throws `invalid` when it is none. */
  take(frame: Frame): void {
    for (const { id, answer } of readAnswers(frame)) {
      const pending = this.#sent.get(id);
      if (pending === undefined) {
        if (id >= 1 && id <= this.#lastId) continue;
        throw new Failure("invalid", `Cannot take an answer to call ${id}: there was none`);
      }
      this.#sent.delete(id);
      if (answer instanceof Failure) pending.reject(answer);
      else pending.resolve(answer);
    }
  }

  /** The channel has ended: everything is answered. */
  closed(end: ChannelEnd): void {
    this.#cancelLook();
    const all = [...this.#sent.values(), ...this.#made];
    this.#sent.clear();
    this.#made = [];
    for (const pending of all) this.#lose(pending, end);
  }

  #lose({ name, frame, reject }: Pending, { message, lastFrameHandled }: ChannelEnd): void {
    const [kind, what] = frame === 0 || frame > lastFrameHandled
      ? ["unavailable", "it was not handled"] as const
      : ["uncertain", "it may have been handled"] as const;
    reject(new Failure(kind, `Cannot ${this.#action(name)}: ${message}; ${what}`));
  }

  #check({ name, text, deadlineMs }: CallRequest): void {
    const cannot = `Cannot ${this.#action(name)}`;
    if (this.#channel.end !== null) {
      throw new Failure("unavailable", `${cannot}: ${this.#channel.end.message}`);
    }
    if (deadlineMs <= this.#clock.monotonicMs()) {
      throw new Failure("unavailable", `${cannot}: its deadline is over`);
    }
    const busy = { retryAfterMs: BUSY_RETRY_MS };
    if (this.pending >= this.#callsMax) {
      throw new Failure("busy", `${cannot}: ${this.pending} calls are not answered yet`, busy);
    }
    const bytes = this.#channel.unsentBytes + this.#madeCharacters;
    if (bytes > 0 && bytes + text.length > this.#bytesMax) {
      throw new Failure("busy", `${cannot}: ${bytes} bytes wait to be sent to it`, busy);
    }
  }

  #action(name: string): string {
    return `call ${name} at ${this.#channel.peer.node}`;
  }

  #send(): void {
    const made = this.#made;
    const nowMs = this.#clock.monotonicMs();
    this.#made = [];
    this.#madeCharacters = 0;
    const entries = made.map(({ name, deadlineMs, message }) =>
      callEntry(name, Math.max(0, Math.round(deadlineMs - nowMs)), message)
    );
    for (let start = 0; start < made.length;) {
      const end = batchEnd(entries, start);
      this.#sendBatch(made.slice(start, end), entries.slice(start, end));
      start = end;
    }
  }

  #sendBatch(batch: readonly Pending[], entries: readonly Entry[]): void {
    const frame = this.#channel.lastFrame + 1;
    if (!this.#channel.send(CALL_TYPE.calls, ...callsFrame(this.#lastId + 1, entries))) {
      const { end } = this.#channel;
      assert(end !== null, "an open channel takes every frame");
      for (const pending of batch) this.#lose(pending, end);
      return;
    }
    let soonestMs = Infinity;
    const sentMs = this.#clock.monotonicMs();
    for (const pending of batch) {
      pending.frame = frame;
      pending.sentMs = sentMs;
      this.#sent.set(++this.#lastId, pending);
      soonestMs = Math.min(soonestMs, pending.deadlineMs);
    }
    this.#lookAt(soonestMs);
  }

  /** What is sent may still be handled after its deadline: the peer got it, or will. */
  #look(): void {
    this.#lookMs = Infinity;
    const overMs = this.#clock.monotonicMs() - PEER_CALL_GRACE_MS;
    let soonestMs = Infinity;
    for (const [id, { name, deadlineMs, sentMs, reject }] of this.#sent) {
      if (deadlineMs > overMs) {
        soonestMs = Math.min(soonestMs, deadlineMs);
        continue;
      }
      this.#sent.delete(id);
      this.#unansweredMs = Math.max(this.#unansweredMs, sentMs);
      const what = "no answer came before the deadline; it may have been handled";
      reject(new Failure("uncertain", `Cannot ${this.#action(name)}: ${what}`));
    }
    if (soonestMs < Infinity) this.#lookAt(soonestMs);
  }

  #lookAt(deadlineMs: number): void {
    const nowMs = this.#clock.monotonicMs();
    const atMs = Math.max(deadlineMs + PEER_CALL_GRACE_MS, nowMs + DEADLINE_LOOK_MS);
    if (atMs >= this.#lookMs) return;
    this.#cancelLook();
    this.#lookMs = atMs;
    this.#cancelLook = this.#clock.after(atMs - nowMs, () => this.#look());
  }
}

const BUSY_RETRY_MS = 50;
