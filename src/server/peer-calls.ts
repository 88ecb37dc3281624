/**
 * Questions between nodes, and this node's answers. A channel to a node is opened when something is
 * first asked of it, and kept; both of its ends may ask.
 */
import type { Clock } from "../base/clock.ts";
import { Failure } from "../base/failure.ts";
import type { Log } from "../base/log.ts";
import type { Statement, WriteRequest } from "../database/statement.ts";
import { type CallRequest, Calls } from "../members/calls.ts";
import type { Channel } from "../members/channel.ts";
import type { Dialled } from "../members/dial.ts";
import type { WriteAnswer } from "../replica/write-queue.ts";
import type { Whereabouts } from "./address-book.ts";
import type { PeerAnswer } from "./forwarding.ts";
import type { Membership } from "./membership.ts";

/** What other nodes may ask of this one's databases. */
export interface PeerRequests {
  executeHere(database: string, request: WriteRequest): Promise<WriteAnswer>;
  proveHere(database: string): Promise<number>;
}

export interface PeerCallsOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly node: string;
  readonly membership: Membership;
  readonly requests: PeerRequests;
  /** Opens a channel to a node that has proved to be of this cluster. Never rejects. */
  dial(where: Whereabouts): Promise<Dialled>;
}

interface Line {
  readonly calls: Promise<Calls>;
  /** The process at the other end, where the caller knew it. */
  readonly nonce: string;
}

export class PeerCalls {
  readonly #options: PeerCallsOptions;
  readonly #lines = new Map<string, Line>();
  readonly #open = new Set<Calls>();
  #isClosed = false;

  constructor(options: PeerCallsOptions) {
    this.#options = options;
  }

  /** `unavailable` when the node cannot be reached: then it was asked nothing. */
  async call(
    where: Whereabouts,
    method: string,
    request: { readonly head: object; readonly body: string; readonly deadlineMs: number },
  ): Promise<PeerAnswer> {
    if (this.#isClosed) throw new Failure("unavailable", "This node is stopping");
    const calls = await this.#line(where);
    const { head, body, deadlineMs } = request;
    const answer = await calls.call({ method, head, body, deadlineMs });
    return { head: answer.head, body: answer.body };
  }

  /** Answers what the other end asks. */
  serve(channel: Channel): void {
    this.#calls(channel, () => {});
  }

  close(): void {
    this.#isClosed = true;
    for (const calls of this.#open) calls.close("the node is stopping");
  }

  #line(where: Whereabouts): Promise<Calls> {
    const known = this.#lines.get(where.node);
    const isSame = known &&
      (where.nonce === "" || known.nonce === "" || known.nonce === where.nonce);
    if (isSame) return known.calls;
    const forget = () => {
      if (this.#lines.get(where.node) === line) this.#lines.delete(where.node);
    };
    const line: Line = { nonce: where.nonce, calls: this.#connect(where, forget) };
    this.#lines.set(where.node, line);
    line.calls.catch(forget);
    return line.calls;
  }

  async #connect(where: Whereabouts, onEnd: () => void): Promise<Calls> {
    const dialled = await this.#options.dial(where);
    if (dialled.kind === "open") return this.#calls(dialled.channel, onEnd);
    const { message } = dialled.failure;
    throw new Failure("unavailable", `Cannot reach ${where.node}: ${message}`, {
      cause: dialled.failure,
      retryAfterMs: 500,
    });
  }

  #calls(channel: Channel, onEnd: () => void): Calls {
    const { clock } = this.#options;
    const calls: Calls = new Calls(channel, {
      clock,
      answer: (request) => this.#answer(request),
      onEnd: () => {
        this.#open.delete(calls);
        onEnd();
      },
    });
    this.#open.add(calls);
    return calls;
  }

  async #answer({ method, head, body, deadlineMs }: CallRequest): Promise<PeerAnswer> {
    const { membership, requests, clock } = this.#options;
    const fields: Readonly<Record<string, unknown>> = Object(head);
    switch (method) {
      case "hears":
        return { head: { hears: await membership.links.hears(Number(fields["claim"])) }, body: "" };
      case "leads":
        await membership.onTold();
        return { head: {}, body: "" };
      case "prove":
        return { head: { epoch: await requests.proveHere(String(fields["database"])) }, body: "" };
      case "execute": {
        const key = fields["idempotency_key"];
        const answer = await requests.executeHere(String(fields["database"]), {
          statements: JSON.parse(body) as Statement[],
          subject: String(fields["subject"]),
          ...(typeof key === "string" && { idempotencyKey: key }),
          deadlineMs: Math.min(deadlineMs, clock.monotonicMs() + Number(fields["timeout_ms"])),
        });
        return { head: { epoch: answer.epoch }, body: answer.text };
      }
    }
    throw new Failure("invalid", `This node answers no ${JSON.stringify(method.slice(0, 40))}`);
  }
}
