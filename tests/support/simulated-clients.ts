/**
 * Clients of the simulated cluster. Each wants something now and then, asks some node for it, and
 * holds what it is told against what was durable when it asked (real time decides, not clocks).
 */
import { Failure, isFailure } from "../../src/base/failure.ts";
import type { Statement } from "../../src/database/statement.ts";
import { SYSTEM_DATABASE } from "../../src/epoch/name.ts";
import { COUNTERS, type Intent, SETUP } from "./simulated-history.ts";
import type { RunningProcess } from "./simulated-machine.ts";
import { type Outcome, type RequestParts, Requests } from "./simulated-requests.ts";

export interface ClientOptions {
  /** Mean time between a client's requests. */
  readonly thinkMs: number;
  /** Linearizable reads, and writes that change nothing, out of a hundred requests. */
  readonly proofsPercent: number;
  /** Administrative changes out of a thousand requests. */
  readonly adminPerMille: number;
}

const ATTEMPTS_MAX = 6;
const KEYS = 24;

export class Clients {
  readonly #parts: RequestParts;
  readonly #requests: Requests;
  options: ClientOptions;
  #isOpen = true;
  #pending = 0;

  constructor(parts: RequestParts, options: ClientOptions) {
    this.#parts = parts;
    this.#requests = new Requests(parts);
    this.options = options;
  }

  /** Requests by what became of them. */
  get outcomes(): ReadonlyMap<string, number> {
    return this.#requests.outcomes;
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
      process = this.#requests.next(failure);
    }
  }

  async #write(
    process: RunningProcess,
    intent: Intent,
    statements: readonly Statement[],
    key: { readonly idempotencyKey?: string },
  ): Promise<"done" | Failure | null> {
    const { bucket, history, violated } = this.#parts;
    const { database, token } = intent;
    const tip = bucket.chain(database).tip;
    const outcome = await this.#requests.execute(process, database, statements, key);
    if (outcome.kind !== "answered") return doubted(intent, outcome);
    const { text, epoch } = outcome.value;
    const said = JSON.parse(text) as { epoch: number };
    this.#requests.checkDurable(database, epoch, `${token} was acknowledged`);
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
    const outcome = await this.#requests.executeSomewhere(database, [
      { sql: "INSERT INTO uniq VALUES (?)", params: [key] },
    ]);
    if (outcome.kind !== "failed" || !outcome.failure.message.includes("UNIQUE")) return;
    history.seenKeys.push({ database, key, fromTip, toTip: bucket.chain(database).tip });
  }

  /** Adds one if the count is still what it was seen to be. */
  async #compareAndSet(database: string): Promise<void> {
    const { random, history, bucket } = this.#parts;
    const seen = await this.#requests.query(database, "SELECT id, n FROM counters", "local");
    const row = seen?.rows[random.below(COUNTERS)];
    if (!row) return;
    const [id = 0, n = 0] = row;
    await this.#sleep(random.below(400));
    const intent = history.intend(database);
    const tip = bucket.chain(database).tip;
    const outcome = await this.#requests.executeSomewhere(database, [
      { sql: "UPDATE counters SET n = n + 1 WHERE id = ? AND n = ?", params: [id, n] },
      {
        sql: "INSERT INTO log (token, counter) SELECT ?, ? WHERE changes() = 1",
        params: [intent.token, id],
      },
    ]);
    if (outcome.kind !== "answered") return void doubted(intent, outcome);
    const { text, epoch } = outcome.value;
    const { results } = JSON.parse(text) as { results: { rows_affected: number }[] };
    this.#requests.checkDurable(database, epoch, `${intent.token} was answered`);
    history.told(database, epoch);
    if (results[1]?.rows_affected === 1) {
      history.acknowledged++;
      intent.doneAt = epoch;
    } else this.#requests.checkNoMatch(database, { id, n, epoch, tip });
  }

  /** A write that changes no page is answered as a linearizable read is. */
  async #nothing(database: string): Promise<void> {
    const tip = this.#parts.bucket.chain(database).tip;
    const outcome = await this.#requests.executeSomewhere(database, [
      { sql: "UPDATE counters SET n = 0 WHERE n < 0" },
    ]);
    if (outcome.kind !== "answered") return;
    this.#requests.checkDurable(database, outcome.value.epoch, "an answer was given");
    this.#requests.checkCurrent(database, outcome.value.epoch, tip, "a write that changed nothing");
  }

  /** The second statement fails: nothing of the first may stay. Or it ends the whole transaction. */
  async #failing(database: string): Promise<void> {
    const { random, history } = this.#parts;
    const intent = history.intend(database);
    const first = appendStatements(intent.token, random.below(COUNTERS));
    const last = random.below(2) === 0
      ? "INSERT INTO nowhere VALUES (1)"
      : "INSERT OR ROLLBACK INTO counters VALUES (0, 0)";
    const outcome = await this.#requests.executeSomewhere(database, [...first, { sql: last }]);
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
      await this.#requests.query(database, sql, "local");
    } else if (choice < 88) {
      const minEpoch = history.toldEpoch.get(database) ?? 0;
      const read = await this.#requests.query(database, sql, "session", minEpoch);
      if (read) this.#requests.checkCurrent(database, read.epoch, minEpoch, "a session's read");
    } else {
      const read = await this.#requests.query(database, sql, "linearizable");
      if (read) this.#requests.checkCurrent(database, read.epoch, tip, "a linearizable read");
    }
  }

  async #admin(database: string): Promise<void> {
    const { random, history, bucket } = this.#parts;
    const process = this.#parts.someProcess();
    if (!process) return;
    const choice = random.below(10);
    if (choice < 3) {
      await this.#requests.ask(process, () => process.databases.drop(database));
    } else {
      const { tip } = bucket.chain(database);
      const target = Math.max(1, tip - random.below(20));
      const outcome = await this.#requests.ask(
        process,
        () => process.databases.rollback(database, { epoch: target }),
      );
      if (outcome.kind !== "answered") return;
      const { epoch } = outcome.value;
      this.#requests.checkDurable(database, epoch, "a rollback was acknowledged");
      history.rollbacks.push({ database, target, epoch });
      history.told(database, epoch);
    }
  }

  /** The first who misses a database or its tables makes them. */
  async #setUpIfNeeded(database: string, failure: Failure | null): Promise<void> {
    const process = this.#requests.next(failure);
    if (!process || failure === null) return;
    if (failure.kind === "missing") {
      await this.#requests.ask(
        process,
        () => process.databases.create(database, { pageSize: 512 }),
      );
    }
    if (failure.kind === "missing" || failure.message.includes("no such table")) {
      const statements = SETUP.map((sql) => ({ sql }));
      const outcome = await this.#requests.execute(process, database, statements, {});
      if (outcome.kind === "failed" && outcome.failure.kind === "elsewhere") {
        const other = this.#requests.next(outcome.failure);
        if (other) await this.#requests.execute(other, database, statements, {});
      }
    }
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
