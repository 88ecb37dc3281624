/**
 * Transactions of a program in this process. Each attempt is rehearsed on this node's image, then
 * carried out by the owner, which holds every result that the function saw against its own; where
 * one differs, nothing is done and the function runs again on a newer image. So the outcome is that
 * of running it at the owner, at its place in the chain.
 */
import { assert } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import { Failure, isFailure } from "../base/failure.ts";
import { PROGRAM_RETRY_MS } from "../base/limits.ts";
import type { Random } from "../base/random.ts";
import { Turns } from "../base/turns.ts";
import { changeIn, EXPECTS_NOTHING } from "../database/expected.ts";
import { checkStatement } from "../database/rules.ts";
import type { Statement, WriteRequest } from "../database/statement.ts";
import type { NodeDatabases } from "../server/databases.ts";
import { KeysByDatabase } from "../database/answered-keys.ts";
import { rehearse, type Rehearsed } from "./rehearse.ts";
import type { TransactionHandle } from "./sqlite.ts";

export interface Committed<T> {
  /** What the function returned. */
  readonly value: T;
  /** The epoch that holds it, or that it read: for `minEpoch` of reads at other nodes. */
  readonly epoch: number;
}

export interface TransactionsOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly databases: Pick<NodeDatabases, "execute" | "rehearse">;
  /** How long the owner may take for one attempt. */
  readonly attemptMs: number;
}

/** Keys of the machinery's own requests are in this name, which no user has. */
const SUBJECT = "headgate";

type Work<T> = (database: TransactionHandle) => T;

/** An attempt: an outcome, or an epoch in which something is not as the function saw it. */
type Attempt<T> = Committed<T> | { readonly changedAt: number };

export class Transactions {
  readonly #options: TransactionsOptions;
  /** Those that met a change run one after another, so that they do not meet each other's. */
  readonly #lines = new Map<string, Turns>();
  readonly #keys: KeysByDatabase;
  readonly #epochs = new Map<string, number>();

  constructor(options: TransactionsOptions) {
    this.#options = options;
    this.#keys = new KeysByDatabase(options.random);
  }

  /** The newest epoch of this database that a transaction of this program has made; 0 for none. */
  epochOf(database: string): number {
    return this.#epochs.get(database) ?? 0;
  }

  async run<T>(database: string, work: Work<T>, deadlineMs: number): Promise<Committed<T>> {
    const first = await this.#attempt(database, work, this.epochOf(database), deadlineMs);
    if (!("changedAt" in first)) return first;
    const line = this.#lines.get(database) ?? new Turns();
    this.#lines.set(database, line);
    return await line.take(async () => {
      let attempt: Attempt<T> = first;
      while ("changedAt" in attempt) {
        this.#refuseLate(database, deadlineMs);
        const epoch = Math.max(attempt.changedAt, this.epochOf(database));
        attempt = await this.#attempt(database, work, epoch, deadlineMs);
      }
      return attempt;
    });
  }

  async #attempt<T>(
    database: string,
    work: Work<T>,
    minEpoch: number,
    deadlineMs: number,
  ): Promise<Attempt<T>> {
    const need = { level: "session", minEpoch, deadlineMs } as const;
    const { value: rehearsed, epoch } = await this.#options.databases.rehearse(
      database,
      need,
      (rehearsal) => rehearse(rehearsal, work),
    );
    if (rehearsed.end === "refused") throw rehearsed.error;
    const { statements } = rehearsed;
    const sawNothing = statements.every(({ expect }) => expect === undefined);
    if (rehearsed.end === "threw" && sawNothing) throw rehearsed.error;
    if (rehearsed.end === "returned" && statements.length === 0) {
      return { value: rehearsed.value, epoch };
    }
    return await this.#settle(database, rehearsed, deadlineMs);
  }

  async #settle<T>(
    database: string,
    rehearsed: Exclude<Rehearsed<T>, { end: "refused" }>,
    deadlineMs: number,
  ): Promise<Attempt<T>> {
    const { statements } = rehearsed;
    try {
      const { epoch } = await this.#execute(database, statements, deadlineMs);
      this.#epochs.set(database, Math.max(epoch, this.epochOf(database)));
      if (rehearsed.end === "returned") return { value: rehearsed.value, epoch };
    } catch (error) {
      const change = changeIn(error);
      const isAtEnd = failedAt(error) === statements.length - 1;
      const isInVain = statements.at(-1)?.expect === EXPECTS_NOTHING;
      // All that made the function give up is so at the owner too.
      const isConfirmed = rehearsed.end === "threw" && isAtEnd && (isInVain || change === null);
      if (change !== null && !isConfirmed) return { changedAt: change.epoch };
      if (!isConfirmed) throw error;
    }
    assert(rehearsed.end === "threw", "what the owner carried out has a value");
    throw rehearsed.error;
  }

  /** Sends the same until its outcome is known: its key makes that safe. */
  async #execute(
    database: string,
    statements: readonly Statement[],
    deadlineMs: number,
  ): Promise<{ readonly epoch: number }> {
    const mayWrite = statements.some(({ sql }) => !checkStatement(sql, "execute").reads);
    if (!mayWrite) return await this.#send(database, { statements, subject: SUBJECT }, deadlineMs);
    const keys = this.#keys.of(database);
    const key = keys.next();
    try {
      const request = { statements, subject: SUBJECT, ...key };
      const answer = await this.#send(database, request, deadlineMs);
      keys.done(key);
      return answer;
    } catch (error) {
      keys.undone(key);
      throw error;
    }
  }

  async #send(
    database: string,
    what: Omit<WriteRequest, "deadlineMs">,
    deadlineMs: number,
  ): Promise<{ readonly epoch: number }> {
    const { clock, databases, attemptMs } = this.#options;
    let doubt: Failure | null = null;
    for (;;) {
      const nowMs = clock.monotonicMs();
      const request = { ...what, deadlineMs: Math.min(deadlineMs, nowMs + attemptMs) };
      try {
        return await databases.execute(database, request);
      } catch (error) {
        if (!isFailure(error, "uncertain", "unavailable", "busy", "elsewhere")) throw error;
        if (error.kind === "uncertain") doubt = error;
        const waitMs = error.retryAfterMs ?? PROGRAM_RETRY_MS;
        if (clock.monotonicMs() + waitMs >= deadlineMs) throw doubt ?? error;
        await clock.sleep(waitMs);
      }
    }
  }

  #refuseLate(database: string, deadlineMs: number): void {
    if (this.#options.clock.monotonicMs() < deadlineMs) return;
    throw new Failure(
      "conflict",
      `Cannot carry out a transaction on ${database}: until its deadline others changed what it ` +
        "saw; nothing was done",
      { details: { reason: "contention" } },
    );
  }
}

/** The statement that failed at the owner; -1 where it was none. */
function failedAt(error: unknown): number {
  const statement = isFailure(error) ? error.details?.["statement"] : undefined;
  return typeof statement === "number" ? statement : -1;
}
