/**
 * Calls of the program's own routes at other nodes, over the channels between nodes. A request goes
 * to the next target only where it certainly did nothing, or where doing it twice is harmless.
 */
import type { Clock } from "../base/clock.ts";
import { Failure, isFailure } from "../base/failure.ts";
import { PROGRAM_RETRY_MS } from "../base/limits.ts";
import type { Random } from "../base/random.ts";
import type { Call } from "../members/answers.ts";
import type { Message } from "../members/call-frame.ts";
import type { Membership } from "../server/membership.ts";
import { carriedRequest, carriedResponse, carryRequest, carryResponse } from "./carried.ts";
import { type Target, targetsOf } from "./targets.ts";
import type { View } from "./view.ts";

/** Who sends a request to the program's routes. */
export type AppCaller =
  /** A node of the cluster, by its id: the program itself, at that node. */
  | { readonly kind: "member"; readonly node: string }
  /** Whoever reaches the public port; the name in its token, null where none was asked for. */
  | { readonly kind: "client"; readonly subject: string | null };

/** What the program's routes get beside a request: with Hono it is `c.env`. */
export interface AppEnv {
  readonly caller: AppCaller;
}

/** The program's routes; a `Hono` is one. */
export interface App {
  fetch(request: Request, env: AppEnv): Response | Promise<Response>;
}

export interface CallOptions {
  /** Until the response is there; 30 s when absent. */
  readonly timeoutMs?: number;
}

export interface CallsOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly node: string;
  readonly zone: string;
  readonly app: App | null;
  readonly membership: Membership;
  view(): View;
}

/** Methods that may be carried out twice (RFC 9110, section 9.2.1). */
const SAFE = new Set(["GET", "HEAD", "OPTIONS"]);
const METHOD = "program";

export class Calls {
  readonly #options: CallsOptions;

  constructor(options: CallsOptions) {
    this.#options = options;
  }

  async toLeader(request: Request, deadlineMs: number): Promise<Response> {
    const { clock, membership } = this.#options;
    const { head, text } = await carryRequest(request);
    const toLeader = { ...Object(head), leader: true };
    const isSafe = SAFE.has(request.method);
    for (;;) {
      try {
        const question = { method: METHOD, head: () => toLeader, body: text, deadlineMs, isSafe };
        const answer: Message = await membership.forwarding.ask(question, {
          read: ({ head, body }) => ({ head, text: body }),
          here: () => this.#here({ head: toLeader, text }, deadlineMs),
        });
        return carriedResponse(answer);
      } catch (error) {
        // A node that has just lost its leader may have nobody to ask for a moment.
        const mayRepeat = isFailure(error, "elsewhere", "unavailable");
        if (!mayRepeat || clock.monotonicMs() + PROGRAM_RETRY_MS >= deadlineMs) throw error;
        await clock.sleep(PROGRAM_RETRY_MS);
      }
    }
  }

  async toMember(target: Target, request: Request, deadlineMs: number): Promise<Response> {
    const { random, zone, view } = this.#options;
    const message = await carryRequest(request);
    let last: unknown = nobody(target);
    for (const { id } of targetsOf(view().members, target, zone, random)) {
      try {
        return carriedResponse(await this.#at(id, message, deadlineMs));
      } catch (error) {
        const didNothing = isFailure(error, "unavailable", "busy", "elsewhere");
        const isHarmless = SAFE.has(request.method) && isFailure(error, "uncertain");
        if (!didNothing && !isHarmless) throw error;
        last = error;
      }
    }
    throw last;
  }

  /** Answers what a node asks of this program. */
  async answer(call: Pick<Call, "head" | "text" | "deadlineMs">, from: string): Promise<Message> {
    const { app, clock, membership, node } = this.#options;
    if (app === null) throw new Failure("invalid", `The program at ${node} has no routes`);
    if (Object(call.head).leader === true && membership.leadership.claim === null) {
      throw new Failure("elsewhere", `${node} does not lead`);
    }
    const end = new AbortController();
    const leftMs = Math.max(0, call.deadlineMs - clock.monotonicMs());
    const cancel = clock.after(leftMs, () => end.abort(new Error("the caller's deadline is over")));
    try {
      const request = carriedRequest(call, end.signal);
      const caller: AppCaller = { kind: "member", node: from };
      return await carryResponse(await app.fetch(request, { caller }));
    } finally {
      cancel();
    }
  }

  async #at(id: string, message: Message, deadlineMs: number): Promise<Message> {
    const { node, membership } = this.#options;
    if (id === node) return await this.#here(message, deadlineMs);
    const { head, text: body } = message;
    const answer = await membership.call(id, METHOD, { head: Object(head), body, deadlineMs });
    return { head: answer.head, text: answer.body };
  }

  /** This node's own routes, by the same rules as another's. */
  async #here({ head, text }: Message, deadlineMs: number): Promise<Message> {
    const { clock, node } = this.#options;
    const late = Promise.withResolvers<never>();
    const cancel = clock.after(Math.max(0, deadlineMs - clock.monotonicMs()), () => {
      const what = "no answer came before the deadline; it may have been handled";
      late.reject(new Failure("uncertain", `Cannot call the program at ${node}: ${what}`));
    });
    try {
      return await Promise.race([this.answer({ head, text, deadlineMs }, node), late.promise]);
    } finally {
      cancel();
    }
  }
}

function nobody({ id, role, zone }: Target): Failure {
  const parts = [id && `the id ${id}`, role && `the role ${role}`, zone && `the zone ${zone}`];
  const wanted = parts.filter((part) => part).join(" and ");
  const who = wanted === "" ? "No member" : `No member with ${wanted}`;
  return new Failure("unavailable", `${who} is active`, { retryAfterMs: 1_000 });
}
