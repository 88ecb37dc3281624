/**
 * Questions between nodes, and this node's answers. A channel to a node is opened when something is
 * first asked of it, and kept; both of its ends may ask.
 */
import type { Clock } from "../base/clock.ts";
import { withDeadline } from "../base/deadline.ts";
import { Failure } from "../base/failure.ts";
import type { Log } from "../base/log.ts";
import type { Statement, WriteRequest } from "../database/statement.ts";
import { isCatalogName } from "../epoch/name.ts";
import { Answers, type Call } from "../members/answers.ts";
import { CALL_TYPE, type Message } from "../members/call-frame.ts";
import { Calls } from "../members/calls.ts";
import type { Channel } from "../members/channel.ts";
import type { Dialled } from "../members/dial.ts";
import type { WriteAnswer } from "../replica/write-queue.ts";
import type { Whereabouts } from "./address-book.ts";
import type { PeerAnswer, PeerRequest } from "./forwarding.ts";
import type { Membership } from "./membership.ts";
import { checkMeant } from "./next-leader.ts";

/** What other nodes may ask of this one's databases. */
export interface PeerRequests {
  executeHere(database: string, request: WriteRequest): Promise<WriteAnswer>;
  proveHere(database: string): Promise<number>;
  /** Only where this node leads. */
  create(database: string, options: { readonly pageSize?: number }): Promise<unknown>;
}

/** What other nodes may ask of the program that runs this one in its process. */
export interface PeerProgram {
  /** `from` is the id of the node that asks. */
  answer(call: Call, from: string): Promise<Message>;
}

export interface PeerCallsOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly node: string;
  readonly membership: Membership;
  readonly requests: PeerRequests;
  /** None where this node is a process of its own. */
  readonly program?: PeerProgram;
  /** Opens a channel to a node that has proved to be of this cluster. Never rejects. */
  dial(where: Whereabouts): Promise<Dialled>;
}

interface Line {
  readonly calls: Promise<Calls>;
  /** Once it stands. */
  open: Calls | null;
  /** The process at the other end, where the caller knew it. */
  readonly nonce: string;
}

export class PeerCalls {
  readonly #options: PeerCallsOptions;
  readonly #lines = new Map<string, Line>();
  readonly #open = new Set<Channel>();
  #isClosed = false;

  constructor(options: PeerCallsOptions) {
    this.#options = options;
  }

  /** `unavailable` when the node cannot be reached: then it was asked nothing. */
  async call(
    where: Whereabouts,
    method: string,
    request: PeerRequest,
  ): Promise<PeerAnswer> {
    if (this.#isClosed) throw new Failure("unavailable", "This node is stopping");
    const { head, body, deadlineMs } = request;
    const what = `open a line to ${where.node}`;
    const calls = await withDeadline(this.#options.clock, deadlineMs, this.#line(where), what);
    if (request.begin?.() === false) {
      throw new Failure(
        "unavailable",
        `The line to ${where.node} was open too late; it was asked nothing`,
      );
    }
    const answer = await calls.call({ name: method, head, text: body, deadlineMs });
    return { head: answer.head, body: answer.text };
  }

  /** Answers what the other end asks. */
  serve(channel: Channel): void {
    this.#calls(channel, () => {});
  }

  close(): void {
    this.#isClosed = true;
    for (const channel of this.#open) channel.close("the node is stopping");
  }

  #line(where: Whereabouts): Promise<Calls> {
    const known = this.#lines.get(where.node);
    const isSame = known &&
      (where.nonce === "" || known.nonce === "" || known.nonce === where.nonce);
    if (isSame && !known.open?.isSilent) return known.calls;
    const forget = () => {
      if (this.#lines.get(where.node) === line) this.#lines.delete(where.node);
    };
    const line: Line = { nonce: where.nonce, open: null, calls: this.#connect(where, forget) };
    this.#lines.set(where.node, line);
    line.calls.then((calls) => line.open = calls, forget);
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
    const { clock, log } = this.#options;
    const calls = new Calls(channel, { clock });
    const answer = (call: Call) => this.#answer(call, channel.peer.node);
    const answers = new Answers(channel, { clock, log, answer });
    this.#open.add(channel);
    channel.start({
      onFrame: (frame) => frame.type === CALL_TYPE.calls ? answers.take(frame) : calls.take(frame),
      onClose: (end) => {
        this.#open.delete(channel);
        onEnd();
        calls.closed(end);
      },
    });
    return calls;
  }

  async #answer(call: Call, from: string): Promise<Message> {
    const { membership, requests, program, clock } = this.#options;
    const { name, head, text, deadlineMs } = call;
    const fields: Readonly<Record<string, unknown>> = Object(head);
    if (name === "execute" || name === "prove") {
      await membership.forwarding.untilHeirLeads(deadlineMs);
      checkMeant(fields, membership.leadership);
    }
    switch (name) {
      case "hears":
        return { head: { hears: await membership.links.hears(Number(fields["claim"])) }, text: "" };
      case "leads":
        await membership.onTold(from, Number(fields["claim"]));
        return { head: {}, text: "" };
      case "prove":
        return {
          head: { epoch: await this.#prove(String(fields["database"]), deadlineMs) },
          text: "",
        };
      case "create":
        await requests.create(String(fields["database"]), {});
        return { head: {}, text: "" };
      case "program":
        if (program) return await program.answer(call, from);
        break;
      case "execute": {
        const key = fields["idempotency_key"];
        const answer = await requests.executeHere(String(fields["database"]), {
          statements: JSON.parse(text) as Statement[],
          subject: String(fields["subject"]),
          ...(typeof key === "string" && { idempotencyKey: key }),
          // Only what a node does by itself for a lake; what is for `system` is never forwarded.
          ...(fields["trusted"] === true && isCatalogName(String(fields["database"])) &&
            { trusted: true }),
          ...(Array.isArray(fields["forgets"]) && { forgets: fields["forgets"].map(String) }),
          deadlineMs: Number.isFinite(fields["timeout_ms"])
            ? Math.min(deadlineMs, clock.monotonicMs() + Number(fields["timeout_ms"]))
            : deadlineMs,
        });
        return { head: { epoch: answer.epoch }, text: answer.text };
      }
    }
    throw new Failure("invalid", `This node answers no ${JSON.stringify(name.slice(0, 40))}`);
  }

  /** No longer than who asks waits: calls that wait for a database to open take places of others. */
  #prove(database: string, deadlineMs: number): Promise<number> {
    const { clock, requests } = this.#options;
    return withDeadline(clock, deadlineMs, requests.proveHere(database), `prove ${database}`);
  }
}
