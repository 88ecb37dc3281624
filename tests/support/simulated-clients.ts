/**
 * Clients of the simulated cluster. Each wants something now and then, asks some node for it, and
 * holds what it is told against what was durable when it asked (real time decides, not clocks).
 */
import { Failure, isFailure } from "../../src/base/failure.ts";
import type { Random } from "../../src/base/random.ts";
import type { Statement } from "../../src/database/statement.ts";
import { SYSTEM_DATABASE } from "../../src/epoch/name.ts";
import type { Bucket, Violated } from "./simulated-bucket.ts";
import type { Timeline } from "./simulated-clock.ts";
import { COUNTERS, hasLog, History, type Intent, SETUP } from "./simulated-history.ts";
import type { SimulatedProcess } from "./simulated-process.ts";

export interface ClientParts {
  readonly timeline: Timeline;
  readonly random: Random;
  readonly bucket: Bucket;
  readonly history: History;
  readonly violated: Violated;
  /** A process that takes requests, or null while there is none. */
  someProcess(): SimulatedProcess | null;
  /** The process that a failure names, if it still runs. */
  processOf(address: string): SimulatedProcess | null;
  readonly databases: readonly string[];
  trace(what: string): void;
}

export interface ClientOptions {
  /** Mean time between a client's requests. */
  readonly thinkMs: number;
  /** Linearizable reads, and writes that change nothing, out of a hundred requests. */
  readonly proofsPercent: number;
  /** Administrative changes out of a thousand requests. */
  readonly adminPerMille: number;
}

type Outcome<T> =
  | { readonly kind: "answered"; readonly value: T }
  | { readonly kind: "failed"; readonly failure: Failure }
  /** The process ended, or slept, before it answered. */
  | { readonly kind: "silent" };

/** How long a client waits beyond its deadline. */
const PATIENCE_MS = 4_000;
const ATTEMPTS_MAX = 6;
const KEYS = 24;

export class Clients {
  readonly #parts: ClientParts;
  options: ClientOptions;
  #isOpen = true;
  #pending = 0;
  /** Requests by what became of them. */
  readonly outcomes = new Map<string, number>();

  constructor(parts: ClientParts, options: ClientOptions) {
    this.#parts = parts;
    this.options = options;
  }

  /** Requests that have no answer yet. */
  get pending(): number {
    return this.#pending;
  }

  start(count: number): void {
    for (let client = 0; client < count; client++) void this.#live(client);
  }

  /** What is under way is finished; nothing new is begun. */
  stop(): void {
    this.#isOpen = false;
  }

  async #live(client: number): Promise<void> {
    const { random } = this.#parts;
    while (true) {
      await this.#sleep(random.below(2 * this.options.thinkMs));
      if (!this.#isOpen) return;
      this.#pending++;
      await this.#one(client);
      this.#pending--;
    }
  }

  async #one(client: number): Promise<void> {
    const { random, databases } = this.#parts;
    const database = databases[random.below(databases.length)] ?? "a";
    if (random.below(1000) < this.options.adminPerMille) return await this.#admin(database);
    if (random.below(100) < this.options.proofsPercent) {
      return random.below(3) === 0 ? await this.#nothing(database) : await this.#read(database, 99);
    }
    const choice = random.below(100);
    if (choice < 30) return await this.#append(database, client, false);
    if (choice < 50) return await this.#append(database, client, true);
    if (choice < 58) return await this.#unique(database);
    if (choice < 66) return await this.#compareAndSet(database);
    if (choice < 71) return await this.#nothing(database);
    if (choice < 77) return await this.#failing(database);
    return await this.#read(database, choice);
  }

  /** One row and one count, in one transaction, perhaps under a key that makes it safe to repeat. */
  async #append(database: string, client: number, isKeyed: boolean): Promise<void> {
    const { random, history } = this.#parts;
    const intent = history.intend(database);
    const counter = random.below(COUNTERS);
    const statements = appendStatements(intent.token, counter);
    let process = this.#parts.someProcess();
    for (let attempt = 0; attempt < ATTEMPTS_MAX && process; attempt++) {
      const key = isKeyed ? { idempotencyKey: `${client}-${intent.token}` } : {};
      const failure = await this.#write(process, intent, statements, key);
      if (failure === "done") return;
      const mayRepeat = isKeyed || isFailure(failure, "elsewhere", "unavailable", "busy");
      if (!mayRepeat || isFailure(failure, "invalid", "missing", "conflict")) {
        return await this.#setUpIfNeeded(database, failure);
      }
      await this.#sleep(random.below(1_000));
      process = this.#next(failure);
    }
  }

  async #write(
    process: SimulatedProcess,
    intent: Intent,
    statements: readonly Statement[],
    key: { readonly idempotencyKey?: string },
  ): Promise<"done" | Failure | null> {
    const { bucket, history, violated } = this.#parts;
    const { database, token } = intent;
    const tip = bucket.chain(database).tip;
    const outcome = await this.#execute(process, database, statements, key);
    if (outcome.kind !== "answered") return doubted(intent, outcome);
    const { text, epoch } = outcome.value;
    const said = JSON.parse(text) as { epoch: number };
    this.#checkDurable(database, epoch, `${token} was acknowledged`);
    const isReplay = said.epoch !== epoch;
    if (!isReplay && key.idempotencyKey === undefined && epoch <= tip) {
      violated("I3", `${token} is in epoch ${epoch} of ${database}, which was durable before`);
    }
    intent.doneAt ??= said.epoch;
    history.acknowledged++;
    history.told(database, epoch);
    return "done";
  }

  async #unique(database: string): Promise<void> {
    const { random, bucket, history } = this.#parts;
    const key = random.below(KEYS);
    const fromTip = bucket.chain(database).tip;
    const outcome = await this.#executeSomewhere(database, [
      { sql: "INSERT INTO uniq VALUES (?)", params: [key] },
    ]);
    if (outcome.kind !== "failed" || !outcome.failure.message.includes("UNIQUE")) return;
    history.seenKeys.push({ database, key, fromTip, toTip: bucket.chain(database).tip });
  }

  /** Adds one if the count is still what it was seen to be. */
  async #compareAndSet(database: string): Promise<void> {
    const { random, history, bucket } = this.#parts;
    const seen = await this.#query(database, "SELECT id, n FROM counters", "local");
    const row = seen?.rows[random.below(COUNTERS)];
    if (!row) return;
    const [id = 0, n = 0] = row;
    await this.#sleep(random.below(400));
    const intent = history.intend(database);
    const tip = bucket.chain(database).tip;
    const outcome = await this.#executeSomewhere(database, [
      { sql: "UPDATE counters SET n = n + 1 WHERE id = ? AND n = ?", params: [id, n] },
      {
        sql: "INSERT INTO log (token, counter) SELECT ?, ? WHERE changes() = 1",
        params: [intent.token, id],
      },
    ]);
    if (outcome.kind !== "answered") return void doubted(intent, outcome);
    const { text, epoch } = outcome.value;
    const { results } = JSON.parse(text) as { results: { rows_affected: number }[] };
    this.#checkDurable(database, epoch, `${intent.token} was answered`);
    history.told(database, epoch);
    if (results[1]?.rows_affected === 1) {
      history.acknowledged++;
      intent.doneAt = epoch;
    } else this.#checkNoMatch(database, { id, n, epoch, tip });
  }

  /** A write that changes no page is answered as a linearizable read is. */
  async #nothing(database: string): Promise<void> {
    const tip = this.#parts.bucket.chain(database).tip;
    const outcome = await this.#executeSomewhere(database, [
      { sql: "UPDATE counters SET n = 0 WHERE n < 0" },
    ]);
    if (outcome.kind !== "answered") return;
    this.#checkDurable(database, outcome.value.epoch, "an answer was given");
    this.#checkCurrent(database, outcome.value.epoch, tip, "a write that changed nothing");
  }

  /** The second statement fails: nothing of the first may stay. Or it ends the whole transaction. */
  async #failing(database: string): Promise<void> {
    const { random, history } = this.#parts;
    const intent = history.intend(database);
    const first = appendStatements(intent.token, random.below(COUNTERS));
    const last = random.below(2) === 0
      ? "INSERT INTO nowhere VALUES (1)"
      : "INSERT OR ROLLBACK INTO counters VALUES (0, 0)";
    const outcome = await this.#executeSomewhere(database, [...first, { sql: last }]);
    if (outcome.kind === "answered") intent.doneAt = outcome.value.epoch;
    else doubted(intent, outcome);
  }

  async #read(name: string, choice: number): Promise<void> {
    const { bucket, history, random } = this.#parts;
    const isMachinery = random.below(4) === 0;
    const database = isMachinery && random.below(2) === 0 ? SYSTEM_DATABASE : name;
    const tip = bucket.chain(database).tip;
    const sql = isMachinery
      ? "SELECT count(*), max(epoch) FROM _headgate_claims"
      : "SELECT count(*), max(seq) FROM log";
    if (choice < 84) {
      await this.#query(database, sql, "local");
    } else if (choice < 88) {
      const minEpoch = history.toldEpoch.get(database) ?? 0;
      const read = await this.#query(database, sql, "session", minEpoch);
      if (read) this.#checkCurrent(database, read.epoch, minEpoch, "a session's read");
    } else {
      const read = await this.#query(database, sql, "linearizable");
      if (read) this.#checkCurrent(database, read.epoch, tip, "a linearizable read");
    }
  }

  async #admin(database: string): Promise<void> {
    const { random, history, bucket } = this.#parts;
    const process = this.#parts.someProcess();
    if (!process) return;
    const choice = random.below(10);
    if (choice < 3) {
      await this.#ask(process, () => process.databases.drop(database));
    } else {
      const { tip } = bucket.chain(database);
      const target = Math.max(1, tip - random.below(20));
      const outcome = await this.#ask(
        process,
        () => process.databases.rollback(database, { epoch: target }),
      );
      if (outcome.kind !== "answered") return;
      const { epoch } = outcome.value;
      this.#checkDurable(database, epoch, "a rollback was acknowledged");
      history.rollbacks.push({ database, target, epoch });
      history.told(database, epoch);
    }
  }

  /** The first who misses a database or its tables makes them. */
  async #setUpIfNeeded(database: string, failure: Failure | null): Promise<void> {
    const process = this.#next(failure);
    if (!process || failure === null) return;
    if (failure.kind === "missing") {
      await this.#ask(process, () => process.databases.create(database, { pageSize: 512 }));
    }
    if (failure.kind === "missing" || failure.message.includes("no such table")) {
      const statements = SETUP.map((sql) => ({ sql }));
      const outcome = await this.#execute(process, database, statements, {});
      if (outcome.kind === "failed" && outcome.failure.kind === "elsewhere") {
        const other = this.#next(outcome.failure);
        if (other) await this.#execute(other, database, statements, {});
      }
    }
  }

  async #executeSomewhere(database: string, statements: readonly Statement[]) {
    let process = this.#parts.someProcess();
    let outcome: Outcome<{ text: string; epoch: number }> = {
      kind: "failed",
      failure: new Failure("unavailable", "there is no node"),
    };
    for (let attempt = 0; attempt < 3 && process; attempt++) {
      outcome = await this.#execute(process, database, statements, {});
      if (outcome.kind !== "failed" || outcome.failure.kind !== "elsewhere") return outcome;
      process = this.#next(outcome.failure);
    }
    return outcome;
  }

  async #execute(
    process: SimulatedProcess,
    database: string,
    statements: readonly Statement[],
    key: { readonly idempotencyKey?: string },
  ): Promise<Outcome<{ text: string; epoch: number }>> {
    const { random } = this.#parts;
    const waitMs = [300, 1_000, 5_000, 5_000][random.below(4)] ?? 5_000;
    const deadlineMs = process.clock.monotonicMs() + waitMs;
    const request = { statements, subject: "client", deadlineMs, ...key };
    return await this.#ask(process, () => process.databases.execute(database, request), waitMs);
  }

  async #query(
    database: string,
    sql: string,
    level: "local" | "session" | "linearizable",
    minEpoch = 0,
  ): Promise<{ epoch: number; rows: number[][] } | null> {
    const process = this.#parts.someProcess();
    if (!process) return null;
    const waitMs = 5_000;
    const deadlineMs = process.clock.monotonicMs() + waitMs;
    const request = { sql, deadlineMs, level, ...(level === "session" && { minEpoch }) };
    const outcome = await this.#ask(
      process,
      () => process.databases.query(database, request),
      // The gate lets a slow read stay for a while before it is cancelled.
      waitMs + 20_000,
    );
    if (outcome.kind !== "answered" || !("text" in outcome.value)) return null;
    const { epoch, text } = outcome.value;
    const { rows } = JSON.parse(text) as { rows: number[][] };
    this.#checkDurable(database, epoch, "a read was answered");
    this.#checkContent(database, epoch, sql, rows);
    return { epoch, rows };
  }

  /** Every request to a process that runs is answered, by its deadline and a little. */
  async #ask<T>(
    process: SimulatedProcess,
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

  #next(failure: Failure | null): SimulatedProcess | null {
    const { someProcess, processOf } = this.#parts;
    return (failure?.leader === undefined ? null : processOf(failure.leader)) ?? someProcess();
  }

  #checkDurable(database: string, epoch: number, what: string): void {
    const { tip } = this.#parts.bucket.chain(database);
    if (epoch <= tip) return;
    this.#parts.violated("I3", `${what} with epoch ${epoch} of ${database}, its tip is ${tip}`);
  }

  #checkCurrent(database: string, epoch: number, tip: number, what: string): void {
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

  #checkNoMatch(
    database: string,
    { id, n, epoch, tip }: { id: unknown; n: unknown; epoch: number; tip: number },
  ): void {
    this.#checkCurrent(database, epoch, tip, "a compare-and-set that matched nothing");
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

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#parts.timeline.schedule(ms, resolve));
  }
}

/** What is known after an attempt that did not succeed. */
function doubted(intent: Intent, outcome: Outcome<unknown>): Failure | null {
  if (outcome.kind === "failed") {
    if (outcome.failure.kind === "uncertain") intent.isUncertain = true;
    return outcome.failure;
  }
  intent.isUncertain = true;
  return null;
}

function appendStatements(token: string, counter: number): Statement[] {
  return [
    { sql: "INSERT INTO log (token, counter) VALUES (?, ?)", params: [token, counter] },
    { sql: "UPDATE counters SET n = n + 1 WHERE id = ?", params: [counter] },
  ];
}
