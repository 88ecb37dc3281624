/** Temporary: replaced by the real one. */
import type { Clock } from "../base/clock.ts";
import { Failure } from "../base/failure.ts";
import type { Channel, ChannelEnd } from "./channel.ts";
import { asFailure, failureHead, readFailure } from "./failure-frame.ts";

export interface CallRequest {
  readonly method: string;
  readonly head: object;
  readonly body: string;
  readonly deadlineMs: number;
}

export interface CallAnswer {
  readonly head: unknown;
  readonly body: string;
}

export class Calls {
  readonly #channel: Channel;
  readonly #clock: Clock;
  readonly #answer: (request: CallRequest) => Promise<CallAnswer>;
  readonly #pending = new Map<number, { resolve(a: CallAnswer): void; reject(e: unknown): void }>();
  #next = 1;

  constructor(
    channel: Channel,
    options: {
      clock: Clock;
      answer(request: CallRequest): Promise<CallAnswer>;
      onEnd(end: ChannelEnd): void;
    },
  ) {
    this.#channel = channel;
    this.#clock = options.clock;
    this.#answer = options.answer;
    channel.start({
      onFrame: ({ type, head, tail }) => this.#frame(type, Object(head), tail),
      onClose: (end) => {
        for (const { reject } of this.#pending.values()) {
          reject(new Failure("uncertain", `The call was cut off: ${end.message}`));
        }
        options.onEnd(end);
      },
    });
  }

  call(request: CallRequest): Promise<CallAnswer> {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      const leftMs = request.deadlineMs - this.#clock.monotonicMs();
      const cancel = this.#clock.after(Math.max(0, leftMs), () => {
        this.#pending.delete(id);
        reject(new Failure("uncertain", "The node did not answer in time"));
      });
      const done = <T>(settle: (value: T) => void) => (value: T) => {
        cancel();
        this.#pending.delete(id);
        settle(value);
      };
      this.#pending.set(id, { resolve: done(resolve), reject: done(reject) });
      const { method, head, body } = request;
      const isSent = this.#channel.send(16, { id, method, head, leftMs }, Buffer.from(body));
      if (!isSent) done(reject)(new Failure("unavailable", "The channel is closed"));
    });
  }

  close(why: string): void {
    this.#channel.close(why);
  }

  // deno-lint-ignore no-explicit-any -- temporary
  #frame(type: number, head: any, tail: Uint8Array): void {
    const body = Buffer.from(tail).toString();
    if (type === 16) {
      const deadlineMs = this.#clock.monotonicMs() + head.leftMs;
      this.#answer({ method: head.method, head: head.head, body, deadlineMs }).then(
        (answer) =>
          this.#channel.send(17, { id: head.id, head: answer.head }, Buffer.from(answer.body)),
        (error) =>
          this.#channel.send(18, {
            id: head.id,
            failure: failureHead(asFailure(head.method, error)),
          }),
      );
      return;
    }
    const pending = this.#pending.get(head.id);
    if (type === 17) pending?.resolve({ head: head.head, body });
    else pending?.reject(readFailure(head.failure));
  }
}
