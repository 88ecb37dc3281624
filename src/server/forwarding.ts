/**
 * What only the leader can answer, asked of it over the network (PROTOCOL section 9). A request is
 * sent again only where it certainly did nothing, or where its idempotency key makes that safe; while
 * nobody leads it waits for whoever will, within its deadline.
 */
import type { Clock } from "../base/clock.ts";
import { Failure, isFailure } from "../base/failure.ts";
import { FORWARD_RETRY_MS, PEER_CALL_GRACE_MS } from "../base/limits.ts";
import type { WriteRequest } from "../database/statement.ts";
import type { WriteAnswer } from "../replica/write-queue.ts";
import type { Belief } from "./next-leader.ts";

/** An answer of another node: a JSON head and text. */
export interface PeerAnswer {
  readonly head: unknown;
  readonly body: string;
}

export interface ForwardingOptions {
  readonly clock: Clock;
  /** The leader that this node has a link to and hears, that told that it leads, or will; else null. */
  leader(): string | null;
  /** By which claim that node leads, as far as this one knows; goes with each request to it. */
  belief(leader: string): Belief | null;
  /** This node leads: what waits for a leader is its own to do. */
  leads(): boolean;
  /** The last leader has resigned in favour of this node, which will lead in a moment. */
  isHeir(): boolean;
  /** True while a leader is being elected, or may be: then it is worth waiting for one. */
  isElecting(): boolean;
  /** Whom to name where nobody can be reached: the address of the owner's clients. */
  ownerAddress(): string | undefined;
  /** Asks a node. `uncertain` only where the request may have been executed. */
  call(node: string, method: string, request: PeerRequest): Promise<PeerAnswer>;
}

export interface PeerRequest {
  readonly head: object;
  readonly body: string;
  readonly deadlineMs: number;
  /** Asked right before it is sent: false gives it up, and then it certainly did nothing. */
  begin?(): boolean;
}

export class Forwarding {
  readonly #options: ForwardingOptions;
  readonly #waiting = new Set<() => void>();

  constructor(options: ForwardingOptions) {
    this.#options = options;
  }

  /** Executes at the owner; `here`, where that is this node once somebody leads. */
  async execute(
    database: string,
    request: WriteRequest,
    here: () => Promise<WriteAnswer>,
  ): Promise<WriteAnswer> {
    const { clock } = this.#options;
    const { statements, subject, idempotencyKey, forgets, deadlineMs, trusted } = request;
    const body = JSON.stringify(statements);
    const isSafe = idempotencyKey !== undefined;
    const head = () => ({
      database,
      subject,
      ...(isSafe && { idempotency_key: idempotencyKey }),
      ...(forgets && { forgets }),
      ...(trusted && { trusted }),
      timeout_ms: Math.max(1, Math.floor(deadlineMs - clock.monotonicMs())),
    });
    return await this.ask({ method: "execute", head, body, deadlineMs, isSafe }, {
      read: ({ head, body }) => ({ text: body, epoch: epochOf(head) }),
      here,
    });
  }

  /** An epoch that was the newest of the database at some moment after this call. */
  async prove(database: string, deadlineMs: number, here: () => Promise<number>): Promise<number> {
    const head = () => ({ database });
    return await this.ask({ method: "prove", head, body: "", deadlineMs, isSafe: true }, {
      read: ({ head }) => epochOf(head),
      here,
    });
  }

  /** There is another leader to ask now, or this node leads itself. */
  leaderChanged(): void {
    for (const wake of this.#waiting) wake();
  }

  /** Others know that this node is the heir, and ask it before it leads: that is worth waiting for. */
  async untilHeirLeads(deadlineMs: number): Promise<void> {
    const { clock, leads, isHeir } = this.#options;
    while (isHeir() && !leads() && clock.monotonicMs() < deadlineMs) {
      await this.#change(Math.min(deadlineMs - clock.monotonicMs(), LOOK_MS));
    }
  }

  /** Asks whoever leads, and again while it certainly did nothing. */
  async ask<T>(question: Question, { read, here }: Answerers<T>): Promise<T> {
    const { clock } = this.#options;
    const { deadlineMs, isSafe } = question;
    // What an earlier attempt may have done, a later one that did nothing does not undo.
    let doubt: unknown = null;
    for (;;) {
      let asked: string | null = null;
      try {
        asked = await this.#leader(deadlineMs);
        return asked === null ? await here() : read(await this.#call(asked, question));
      } catch (error) {
        const didNothing = isFailure(error, "elsewhere", "unavailable");
        const isUncertain = isFailure(error, "uncertain");
        if (isUncertain) doubt = error;
        const mayRepeat = didNothing || (isSafe && isUncertain);
        const isLate = deadlineMs - clock.monotonicMs() <= FORWARD_RETRY_MS;
        if (!mayRepeat || isLate || error instanceof NobodyToAsk) {
          const saysNothing = didNothing || isFailure(error, "busy");
          throw saysNothing && doubt !== null ? doubt : error;
        }
        await this.#untilAnother(asked, error, deadlineMs);
      }
    }
  }

  /**
   * The one that was asked was deposed, has not finished taking up the lead, or is about to hand it
   * over and says how long that takes at most: it is asked again then, and another as soon as known.
   */
  async #untilAnother(asked: string | null, error: unknown, deadlineMs: number): Promise<void> {
    const { clock, leader } = this.#options;
    const known = leader();
    if (known !== null && known !== asked) return;
    const saidMs = isFailure(error, "elsewhere") ? error.retryAfterMs : undefined;
    const leftMs = deadlineMs - FORWARD_RETRY_MS - clock.monotonicMs();
    await this.#change(Math.max(0, Math.min(saidMs ?? FORWARD_RETRY_MS, leftMs)));
  }

  /** A leader that has a successor and still says nothing may be asleep: it is not waited for. */
  async #call(leader: string, { method, head, body, deadlineMs }: Question): Promise<PeerAnswer> {
    const { clock, call, leader: known, leads, belief } = this.#options;
    const silent = Promise.withResolvers<never>();
    let state: "waiting" | "sent" | "given up" = "waiting";
    let cancel = () => {};
    const giveUp = () => {
      const message = `${leader} did not answer before another node led`;
      // Its line may not even be open.
      if (state === "waiting") state = "given up";
      silent.reject(
        state === "sent"
          ? new Failure("uncertain", `${message}; it may have done its work`)
          : new Failure("unavailable", `${message}; it was asked nothing`),
      );
    };
    const look = () => {
      const now = known();
      if (!leads() && (now === null || now === leader)) return;
      this.#waiting.delete(look);
      cancel = clock.after(PEER_CALL_GRACE_MS, giveUp);
    };
    const begin = () => {
      if (state === "waiting") state = "sent";
      return state === "sent";
    };
    this.#waiting.add(look);
    try {
      return await Promise.race([
        call(leader, method, { head: { ...head(), ...belief(leader) }, body, deadlineMs, begin }),
        silent.promise,
      ]);
    } finally {
      this.#waiting.delete(look);
      cancel();
    }
  }

  /** Waits for somebody to lead; null when that is this node. */
  async #leader(deadlineMs: number): Promise<string | null> {
    const { clock, leader, leads, isElecting, ownerAddress } = this.#options;
    for (;;) {
      const known = leader();
      if (known !== null) return known;
      if (leads()) return null;
      const leftMs = deadlineMs - clock.monotonicMs();
      if (!isElecting()) {
        const address = ownerAddress();
        const options = address === undefined ? { retryAfterMs: 1_000 } : { leader: address };
        throw new NobodyToAsk(
          "elsewhere",
          "This node does not lead and cannot reach the leader",
          options,
        );
      }
      if (leftMs <= 0) {
        throw new NobodyToAsk("unavailable", "Nobody leads the cluster; nothing was done", {
          details: { reason: "election" },
          retryAfterMs: 1_000,
        });
      }
      await this.#change(Math.min(leftMs, LOOK_MS));
    }
  }

  async #change(timeoutMs: number): Promise<void> {
    const changed = Promise.withResolvers<void>();
    this.#waiting.add(changed.resolve);
    const cancel = this.#options.clock.after(timeoutMs, changed.resolve);
    await changed.promise;
    cancel();
    this.#waiting.delete(changed.resolve);
  }
}

export interface Question {
  readonly method: string;
  head(): object;
  readonly body: string;
  readonly deadlineMs: number;
  /** It may be asked twice. */
  readonly isSafe: boolean;
}

export interface Answerers<T> {
  read(answer: PeerAnswer): T;
  here(): Promise<T>;
}

/** Not an answer, but that there is nobody to answer. */
class NobodyToAsk extends Failure {}

function epochOf(head: unknown): number {
  return (head as { readonly epoch: number }).epoch;
}

const LOOK_MS = 250;
