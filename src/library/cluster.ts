/** What a program has of the cluster that it has joined. */
import type { Clock } from "../base/clock.ts";
import { Failure, isFailure } from "../base/failure.ts";
import {
  PROGRAM_CALL_TIMEOUT_MS,
  READ_TIMEOUT_MS,
  TRANSACTION_TIMEOUT_MS,
} from "../base/limits.ts";
import type { HandOver } from "../http/node.ts";
import type { Hosted } from "../server/hosting.ts";
import type { PartOfStore } from "../store/prefixed.ts";
import type { CallOptions, Calls } from "./calls.ts";
import { asynchronous, isPromise } from "./rehearse.ts";
import { type ReadHandle, type TransactionHandle, transactionHandle } from "./sqlite.ts";
import type { Target } from "./targets.ts";
import type { Committed, Transactions } from "./transactions.ts";
import type { View, Views } from "./view.ts";

export interface ReadOptions {
  /**
   * - `own`          at least what this program's own transactions did (the default)
   * - `local`        whatever this node has
   * - `linearizable` at least what was durable anywhere when it was called; asks the owner
   */
  readonly level?: "own" | "local" | "linearizable";
  /** At least this epoch, as a transaction at another node gave it. */
  readonly minEpoch?: number;
  /** For waiting until the image is new enough; 30 s when absent. */
  readonly timeoutMs?: number;
}

export interface TransactionOptions {
  /** For all attempts; 30 s when absent. */
  readonly timeoutMs?: number;
}

/** Why a cluster is closed. */
export type Ended =
  /** The program called `close`. */
  | "closed"
  /** An operator set this node to `shutdown`. */
  | "shutdown"
  /** Another process runs with this node's id, or this one cannot go on. */
  | "replaced";

/** Failures are `Failure`s; their `kind` says what to do next. */
export interface Cluster {
  /** This node's. */
  readonly id: string;
  /** Where clients reach this node, "http://host:port". */
  readonly address: string;
  readonly isLeader: boolean;
  /** This program's own objects, below `app/` in the cluster's store. */
  readonly store: PartOfStore;
  /** Resolves when this node has left the cluster, for whatever reason. */
  readonly ended: Promise<Ended>;

  /** Creates the database unless there is one of that name. */
  ensureDatabase(name: string): Promise<void>;

  /**
   * Runs `work` as one transaction, strictly serialisable, and resolves when it is durable. Works
   * from every node. `work` is synchronous, may be called more than once, and decides by nothing but
   * what the handle shows it; what it throws undoes everything and is what this rejects with.
   */
  transaction<T>(
    database: string,
    work: (database: TransactionHandle) => T,
    options?: TransactionOptions,
  ): Promise<Committed<T>>;

  /** Runs `work`, which is synchronous, on this node's copy as of one durable epoch. */
  read<T>(
    database: string,
    work: (database: ReadHandle) => T,
    options?: ReadOptions,
  ): Promise<Committed<T>>;

  /** Members and leader as this node knows them now. */
  view(): View;
  /** Calls back at once and after each change, until the returned function is called. */
  watch(onView: (view: View) => void): () => void;
  /** The same to iterate over; ends when this node leaves. */
  changes(): AsyncIterable<View>;

  /** Has the leader's routes answer, whoever leads until the deadline; its own if it leads itself. */
  callLeader(request: Request, options?: CallOptions): Promise<Response>;
  /** Has the routes of one active member answer, the same zone first. */
  callMember(target: Target, request: Request, options?: CallOptions): Promise<Response>;

  /** Makes another node lead, `preferred` by its id if given. Only where this one leads. */
  stepDown(preferred?: string): Promise<HandOver>;
  /** Hands the lead over, lets requests end, and leaves. */
  close(): Promise<void>;
}

export interface JoinedParts {
  readonly clock: Clock;
  readonly hosted: Hosted;
  readonly store: PartOfStore;
  readonly transactions: Transactions;
  readonly views: Views;
  readonly calls: Calls;
  readonly ended: Promise<Ended>;
  close(): Promise<void>;
}

export class JoinedCluster implements Cluster {
  readonly store: PartOfStore;
  readonly ended: Promise<Ended>;
  readonly #parts: JoinedParts;
  #hasLeft = false;

  constructor(parts: JoinedParts) {
    this.#parts = parts;
    void parts.ended.then(() => this.#hasLeft = true);
    this.store = parts.store;
    this.ended = parts.ended;
  }

  get id(): string {
    return this.#parts.hosted.node.id;
  }

  get address(): string {
    return this.#parts.hosted.address;
  }

  get isLeader(): boolean {
    return this.#parts.hosted.inside.membership.leadership.claim !== null;
  }

  async ensureDatabase(name: string): Promise<void> {
    const { databases, membership } = this.#parts.hosted.inside;
    const deadlineMs = this.#begin(TRANSACTION_TIMEOUT_MS);
    try {
      const head = () => ({ database: name });
      const here = () => databases.create(name, {});
      if (this.isLeader) await here();
      else {
        const question = { method: "create", head, body: "", deadlineMs, isSafe: true };
        await membership.forwarding.ask<unknown>(question, { read: () => {}, here });
      }
    } catch (error) {
      // There is one already, or an earlier attempt made it.
      if (!isFailure(error, "conflict")) throw error;
    }
  }

  async transaction<T>(
    database: string,
    work: (database: TransactionHandle) => T,
    { timeoutMs = TRANSACTION_TIMEOUT_MS }: TransactionOptions = {},
  ): Promise<Committed<T>> {
    return await this.#parts.transactions.run(database, work, this.#begin(timeoutMs));
  }

  async read<T>(
    database: string,
    work: (database: ReadHandle) => T,
    { level = "own", minEpoch = 0, timeoutMs = READ_TIMEOUT_MS }: ReadOptions = {},
  ): Promise<Committed<T>> {
    const { hosted, transactions } = this.#parts;
    const own = level === "own" ? transactions.epochOf(database) : 0;
    const need = {
      level: level === "own" ? "session" : level,
      minEpoch: Math.max(own, minEpoch),
      deadlineMs: this.#begin(timeoutMs),
    } as const;
    return await hosted.inside.databases.rehearse(database, need, (rehearsal) => {
      let isOver = false;
      const handle = transactionHandle((statement) => {
        if (isOver) throw new Failure("invalid", "The read of this handle is over");
        const result = rehearsal.read(statement);
        return { see: () => result };
      });
      try {
        const value = work({ query: handle.query });
        if (isPromise(value)) throw asynchronous("read");
        return value;
      } finally {
        isOver = true;
      }
    });
  }

  view(): View {
    return this.#parts.views.now();
  }

  watch(onView: (view: View) => void): () => void {
    return this.#parts.views.watch(onView);
  }

  changes(): AsyncIterable<View> {
    return this.#parts.views.changes();
  }

  async callLeader(request: Request, options: CallOptions = {}): Promise<Response> {
    const deadlineMs = this.#begin(options.timeoutMs ?? PROGRAM_CALL_TIMEOUT_MS);
    return await this.#parts.calls.toLeader(request, deadlineMs);
  }

  async callMember(
    target: Target,
    request: Request,
    options: CallOptions = {},
  ): Promise<Response> {
    const deadlineMs = this.#begin(options.timeoutMs ?? PROGRAM_CALL_TIMEOUT_MS);
    return await this.#parts.calls.toMember(target, request, deadlineMs);
  }

  async stepDown(preferred?: string): Promise<HandOver> {
    return await this.#parts.hosted.node.cluster.stepDown(preferred);
  }

  async close(): Promise<void> {
    await this.#parts.close();
  }

  /** The deadline of what begins now. Throws `unavailable` when this node has left. */
  #begin(timeoutMs: number): number {
    if (this.#hasLeft) throw new Failure("unavailable", "This node has left the cluster");
    return this.#parts.clock.monotonicMs() + timeoutMs;
  }
}
