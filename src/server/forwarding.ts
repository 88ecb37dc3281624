/**
 * What only the leader can answer, asked of it over the network (PROTOCOL section 9). A request is
 * sent again only where it certainly did nothing, or where its idempotency key makes that safe; while
 * nobody leads it waits for whoever will, within its deadline.
 */
import type { Clock } from "../base/clock.ts";
import { Failure, isFailure } from "../base/failure.ts";
import { FORWARD_RETRY_MS } from "../base/limits.ts";
import type { WriteRequest } from "../database/statement.ts";
import type { WriteAnswer } from "../replica/write-queue.ts";

/** An answer of another node: a JSON head and text. */
export interface PeerAnswer {
  readonly head: unknown;
  readonly body: string;
}

export interface ForwardingOptions {
  readonly clock: Clock;
  /** The leader that this node has a link to; null while there is none. */
  leader(): string | null;
  /** True while a leader is being elected, or may be: then it is worth waiting for one. */
  isElecting(): boolean;
  /** Whom to name where nobody can be reached: the address of the owner's clients. */
  ownerAddress(): string | undefined;
  /** Asks a node. `uncertain` only where the request may have been executed. */
  call(
    node: string,
    method: string,
    request: { readonly head: object; readonly body: string; readonly deadlineMs: number },
  ): Promise<PeerAnswer>;
}

export class Forwarding {
  readonly #options: ForwardingOptions;
  readonly #waiting = new Set<() => void>();

  constructor(options: ForwardingOptions) {
    this.#options = options;
  }

  /** Executes at the owner. */
  async execute(database: string, request: WriteRequest): Promise<WriteAnswer> {
    const { clock } = this.#options;
    const { statements, subject, idempotencyKey, forgets, deadlineMs } = request;
    const body = JSON.stringify(statements);
    const isSafe = idempotencyKey !== undefined;
    const answer = await this.ask("execute", { deadlineMs, isSafe, body }, () => ({
      database,
      subject,
      ...(isSafe && { idempotency_key: idempotencyKey }),
      ...(forgets && { forgets }),
      timeout_ms: Math.max(1, Math.floor(deadlineMs - clock.monotonicMs())),
    }));
    const { epoch } = answer.head as { readonly epoch: number };
    return { text: answer.body, epoch };
  }

  /** An epoch that was the newest of the database at some moment after this call. */
  async prove(database: string, deadlineMs: number): Promise<number> {
    const head = () => ({ database });
    const answer = await this.ask("prove", { deadlineMs, isSafe: true, body: "" }, head);
    return (answer.head as { readonly epoch: number }).epoch;
  }

  /** There is a link to a leader now, or this node leads itself. */
  leaderChanged(): void {
    for (const wake of this.#waiting) wake();
  }

  /**
   * Asks the leader, and again while it certainly did nothing. `isSafe`: it may be done twice.
   */
  async ask(
    method: string,
    request: { readonly deadlineMs: number; readonly isSafe: boolean; readonly body: string },
    head: () => object,
  ): Promise<PeerAnswer> {
    const { clock, call } = this.#options;
    const { deadlineMs, isSafe, body } = request;
    for (;;) {
      const leader = await this.#leader(deadlineMs);
      try {
        return await call(leader, method, { head: head(), body, deadlineMs });
      } catch (error) {
        const didNothing = isFailure(error, "elsewhere", "unavailable");
        const mayRepeat = didNothing || (isSafe && isFailure(error, "uncertain"));
        if (!mayRepeat || deadlineMs - clock.monotonicMs() <= FORWARD_RETRY_MS) throw error;
        // It was deposed, or has not finished taking up the lead.
        await clock.sleep(FORWARD_RETRY_MS);
      }
    }
  }

  async #leader(deadlineMs: number): Promise<string> {
    const { clock, leader, isElecting, ownerAddress } = this.#options;
    for (;;) {
      const known = leader();
      if (known !== null) return known;
      const leftMs = deadlineMs - clock.monotonicMs();
      if (!isElecting()) {
        const address = ownerAddress();
        const options = address === undefined ? { retryAfterMs: 1_000 } : { leader: address };
        throw new Failure(
          "elsewhere",
          "This node does not lead and cannot reach the leader",
          options,
        );
      }
      if (leftMs <= 0) {
        throw new Failure("unavailable", "Nobody leads the cluster; nothing was done", {
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

const LOOK_MS = 250;
