/**
 * One request of a simulated client: to a process that may pause, crash or send it elsewhere; and
 * what any answer must be, whoever asked.
 */
import { Failure } from "../../src/base/failure.ts";
import type { Random } from "../../src/base/random.ts";
import type { Statement } from "../../src/database/statement.ts";
import type { Bucket, Violated } from "./simulated-bucket.ts";
import type { Timeline } from "./simulated-clock.ts";
import { hasLog, type History } from "./simulated-history.ts";
import type { RunningProcess } from "./simulated-machine.ts";

export interface RequestParts {
  readonly timeline: Timeline;
  readonly random: Random;
  readonly bucket: Bucket;
  readonly history: History;
  readonly violated: Violated;
  /** A process that takes requests, or null while there is none. */
  someProcess(): RunningProcess | null;
  /** A process that takes itself for the owner. */
  someOwner(database: string): RunningProcess | null;
  /** The process that a failure names, if it still runs. */
  processOf(address: string): RunningProcess | null;
  readonly databases: readonly string[];
  trace(what: string): void;
}

export type Outcome<T> =
  | { readonly kind: "answered"; readonly value: T }
  | { readonly kind: "failed"; readonly failure: Failure }
  /** The process ended, or slept, before it answered. */
  | { readonly kind: "silent" };

/** How long a client waits beyond its deadline. */
const PATIENCE_MS = 4_000;

export class Requests {
  readonly #parts: RequestParts;
  /** Requests by what became of them. */
  readonly outcomes = new Map<string, number>();

  constructor(parts: RequestParts) {
    this.#parts = parts;
  }

  async executeSomewhere(database: string, statements: readonly Statement[]) {
    let process = this.#parts.someProcess();
    let outcome: Outcome<{ text: string; epoch: number }> = {
      kind: "failed",
      failure: new Failure("unavailable", "there is no node"),
    };
    for (let attempt = 0; attempt < 3 && process; attempt++) {
      outcome = await this.execute(process, database, statements, {});
      if (outcome.kind !== "failed" || outcome.failure.kind !== "elsewhere") return outcome;
      process = this.next(outcome.failure);
    }
    return outcome;
  }

  async execute(
    process: RunningProcess,
    database: string,
    statements: readonly Statement[],
    key: { readonly idempotencyKey?: string },
  ): Promise<Outcome<{ text: string; epoch: number }>> {
    const { random } = this.#parts;
    const waitMs = [300, 1_000, 5_000, 5_000][random.below(4)] ?? 5_000;
    const deadlineMs = process.clock.monotonicMs() + waitMs;
    const request = { statements, subject: "client", deadlineMs, ...key };
    return await this.ask(process, () => process.databases.execute(database, request), waitMs);
  }

  async query(
    database: string,
    sql: string,
    level: "local" | "session" | "linearizable",
    minEpoch = 0,
  ): Promise<{ epoch: number; rows: number[][] } | null> {
    const { random, someProcess, someOwner } = this.#parts;
    const asksOwner = level === "linearizable" && random.below(3) > 0;
    const process = (asksOwner ? someOwner(database) : null) ?? someProcess();
    if (!process) return null;
    const waitMs = 5_000;
    const deadlineMs = process.clock.monotonicMs() + waitMs;
    const request = { sql, deadlineMs, level, ...(level === "session" && { minEpoch }) };
    const outcome = await this.ask(
      process,
      () => process.databases.query(database, request),
      // The gate lets a slow read stay for a while before it is cancelled.
      waitMs + 20_000,
    );
    if (outcome.kind !== "answered" || !("text" in outcome.value)) return null;
    const { epoch, text } = outcome.value;
    const { rows } = JSON.parse(text) as { rows: number[][] };
    this.checkDurable(database, epoch, "a read was answered");
    this.#checkContent(database, epoch, sql, rows);
    return { epoch, rows };
  }

  /** Every request to a process that runs is answered, by its deadline and a little. */
  async ask<T>(
    process: RunningProcess,
    ask: () => Promise<T>,
    waitMs = 60_000,
  ): Promise<Outcome<T>> {
    const { timeline, violated, trace } = this.#parts;
    const { promise, resolve } = Promise.withResolvers<Outcome<T>>();
    const { clock } = process;
    const pausedMs = clock.pausedMs;
    const cancel = timeline.schedule(waitMs + PATIENCE_MS, () => {
      const isExcused = clock.isStopped || clock.isPaused || clock.pausedMs !== pausedMs;
      if (!isExcused) {
        violated("I7", `${process.name} gave no answer within ${waitMs + PATIENCE_MS} ms`);
      }
      resolve({ kind: "silent" });
    });
    const answered = (outcome: Outcome<T>) => {
      // What a process says in the moment of its death is not heard.
      if (clock.isStopped) return;
      cancel();
      resolve(outcome);
    };
    ask().then(
      (value) => answered({ kind: "answered", value }),
      (error) => {
        if (error instanceof Failure) return answered({ kind: "failed", failure: error });
        if (clock.isStopped) return;
        violated("bug", `a client met ${error instanceof Error ? error.stack : error}`);
        answered({ kind: "failed", failure: new Failure("uncertain", String(error)) });
      },
    );
    const outcome = await promise;
    const what = outcome.kind === "failed" ? outcome.failure.kind : outcome.kind;
    this.outcomes.set(what, (this.outcomes.get(what) ?? 0) + 1);
    trace(`client ${process.name} ${what}`);
    return outcome;
  }

  next(failure: Failure | null): RunningProcess | null {
    const { someProcess, processOf } = this.#parts;
    return (failure?.leader === undefined ? null : processOf(failure.leader)) ?? someProcess();
  }

  checkDurable(database: string, epoch: number, what: string): void {
    const { tip } = this.#parts.bucket.chain(database);
    if (epoch <= tip) return;
    this.#parts.violated("I3", `${what} with epoch ${epoch} of ${database}, its tip is ${tip}`);
  }

  checkCurrent(database: string, epoch: number, tip: number, what: string): void {
    if (epoch >= tip) return;
    this.#parts.violated(
      "linearizable",
      `${what} of ${database} shows epoch ${epoch}, but ${tip} was durable when it was asked`,
    );
  }

  #checkContent(database: string, epoch: number, sql: string, rows: unknown[][]): void {
    const chain = this.#parts.bucket.chain(database);
    if (epoch > chain.tip) return;
    const truth = chain.open(epoch);
    try {
      const isThere = hasLog(truth) || sql.includes("_headgate_");
      const expected = isThere ? JSON.stringify(truth.query(sql).values()) : "no tables";
      if (expected === JSON.stringify(rows)) return;
      const found = JSON.stringify(rows);
      this.#parts.violated("I6", `${database} at ${epoch} shows ${found}, it holds ${expected}`);
    } finally {
      truth.close();
    }
  }

  checkNoMatch(
    database: string,
    { id, n, epoch, tip }: { id: unknown; n: unknown; epoch: number; tip: number },
  ): void {
    this.checkCurrent(database, epoch, tip, "a compare-and-set that matched nothing");
    const chain = this.#parts.bucket.chain(database);
    const matches = [epoch - 1, epoch].every((number) => {
      if (number < 1 || number > chain.tip) return false;
      const truth = chain.open(number);
      try {
        if (!hasLog(truth)) return false;
        const found = truth.query("SELECT n FROM counters WHERE id = ?").values(Number(id));
        return Number(found[0]?.[0]) === Number(n);
      } finally {
        truth.close();
      }
    });
    if (!matches) return;
    this.#parts.violated("I3", `counter ${id} of ${database} was ${n} in epoch ${epoch}`);
  }
}
