/**
 * What clients were told, and at the end whether the chains bear it out: every acknowledged write is
 * in the epoch it was acknowledged with, once; what was refused is nowhere; nothing is there twice.
 */
import type { Database } from "bun:sqlite";
import type { Violated } from "./simulated-bucket.ts";
import type { SimulatedChain } from "./simulated-chain.ts";

/** One thing that a client wants done once, in however many attempts. */
export interface Intent {
  readonly token: string;
  readonly database: string;
  /** Epoch of the first answer that said it was done. */
  doneAt: number | null;
  /** Some attempt may have been applied. */
  isUncertain: boolean;
}

/** An error that the data caused: the key must have been there at a moment between the two tips. */
export interface SeenKey {
  readonly database: string;
  readonly key: number;
  readonly fromTip: number;
  readonly toTip: number;
}

export interface Rollback {
  readonly database: string;
  readonly target: number;
  readonly epoch: number;
}

/** The tables that clients work with, made by the first who misses them. */
export const SETUP: readonly string[] = [
  "CREATE TABLE log (seq INTEGER PRIMARY KEY AUTOINCREMENT, token TEXT NOT NULL, counter INTEGER)",
  "CREATE TABLE counters (id INTEGER PRIMARY KEY, n INTEGER NOT NULL)",
  "CREATE TABLE uniq (k INTEGER PRIMARY KEY)",
  "INSERT INTO counters VALUES (0, 0), (1, 0), (2, 0)",
];
export const COUNTERS = 3;

export class History {
  readonly intents = new Map<string, Intent>();
  readonly seenKeys: SeenKey[] = [];
  readonly rollbacks: Rollback[] = [];
  /** Newest epoch of each database that some client was told of. */
  readonly toldEpoch = new Map<string, number>();
  acknowledged = 0;

  intend(database: string): Intent {
    const token = `t${this.intents.size + 1}`;
    const intent = { token, database, doneAt: null, isUncertain: false };
    this.intents.set(token, intent);
    return intent;
  }

  told(database: string, epoch: number): void {
    this.toldEpoch.set(database, Math.max(epoch, this.toldEpoch.get(database) ?? 0));
  }

  check(chains: Iterable<SimulatedChain>, violated: Violated): void {
    const found = new Map<string, number[]>();
    for (const chain of chains) new Walk(chain, this, violated, found).walk();
    for (const intent of this.intents.values()) {
      const at = found.get(intent.token) ?? [];
      const { token, database, doneAt, isUncertain } = intent;
      if (doneAt !== null && !at.includes(doneAt)) {
        violated(
          "I3",
          `${token} was acknowledged with epoch ${doneAt} of ${database}, but is in [${at}]`,
        );
      }
      if (doneAt === null && !isUncertain && at.length > 0) {
        violated("I7", `${token} was refused by ${database}, but is in epoch ${at}`);
      }
    }
  }
}

/** Walks one chain from its first epoch to its last. */
class Walk {
  readonly #chain: SimulatedChain;
  readonly #history: History;
  readonly #violated: Violated;
  readonly #found: Map<string, number[]>;
  /** Tokens that the current life of the database has had. */
  #life = new Set<string>();
  #rows = 0;
  #lastSeq = 0;

  constructor(
    chain: SimulatedChain,
    history: History,
    violated: Violated,
    found: Map<string, number[]>,
  ) {
    this.#chain = chain;
    this.#history = history;
    this.#violated = violated;
    this.#found = found;
  }

  walk(): void {
    const { tip, name } = this.#chain;
    for (let number = 1; number <= tip; number++) {
      const facts = this.#chain.epoch(number);
      if (!facts || (facts.header.kind === "claim" && number < tip)) continue;
      const database = this.#chain.open(number);
      try {
        if (facts.isRewrite || number === tip) this.#checkClaims(database, number);
        if (facts.header.kind === "tombstone") this.#life = new Set();
        if (hasLog(database)) this.#checkRows(database, number, facts.isRewrite);
        else this.#rows = this.#lastSeq = 0;
      } finally {
        database.close();
      }
    }
    for (const { database, target, epoch } of this.#history.rollbacks) {
      if (database === name) this.#checkRollback(target, epoch);
    }
    for (const seen of this.#history.seenKeys) if (seen.database === name) this.#checkKey(seen);
  }

  #checkClaims(database: Database, number: number): void {
    const rows = numbers(database, "SELECT epoch FROM _headgate_claims ORDER BY epoch");
    const claims = this.#chain.claims.filter((claim) => claim <= number);
    if (rows.join() === claims.join()) return;
    this.#violated(
      "I14",
      `epoch ${number} of ${this.#chain.name} knows the claims [${rows}], there were [${claims}]`,
    );
  }

  #checkRows(database: Database, number: number, isRewrite: boolean): void {
    const { name } = this.#chain;
    if (isRewrite) this.#rows = this.#lastSeq = 0;
    const rows = database.query("SELECT seq, token FROM log WHERE seq > ? ORDER BY seq")
      .values(this.#lastSeq);
    for (const [seq, value] of rows) {
      const token = String(value);
      this.#lastSeq = Number(seq);
      const isKnown = this.#history.intents.get(token)?.database === name;
      if (!isKnown) this.#violated("I6", `nobody wrote ${token} to ${name}`);
      if (isRewrite) continue;
      if (this.#life.has(token)) {
        this.#violated("I7", `${token} is in ${name} a second time, in epoch ${number}`);
      }
      this.#life.add(token);
      this.#found.set(token, [...this.#found.get(token) ?? [], number]);
    }
    this.#rows += rows.length;
    const [count] = numbers(database, "SELECT count(*) FROM log");
    if (count !== this.#rows) {
      this.#violated("I6", `epoch ${number} of ${name} has ${count} rows, not ${this.#rows}`);
    }
    const wrong = numbers(
      database,
      "SELECT id FROM counters WHERE n <> (SELECT count(*) FROM log WHERE counter = id)",
    );
    if (wrong.length > 0) {
      this.#violated("I3", `half of a request is in epoch ${number} of ${name}`);
    }
  }

  #checkRollback(target: number, epoch: number): void {
    const [then, now] = [target, epoch].map((number) => {
      const database = this.#chain.open(number);
      try {
        return hasLog(database)
          ? database.query("SELECT token FROM log ORDER BY seq").values().join()
          : null;
      } finally {
        database.close();
      }
    });
    if (then !== now) {
      this.#violated(
        "I6",
        `epoch ${epoch} of ${this.#chain.name} was rolled back to ${target} and is not as it was`,
      );
    }
  }

  #checkKey({ key, fromTip, toTip }: SeenKey): void {
    for (let number = Math.max(1, fromTip); number <= toTip; number++) {
      const database = this.#chain.open(number);
      try {
        if (!hasLog(database)) continue;
        if (numbers(database, `SELECT k FROM uniq WHERE k = ${key}`).length > 0) return;
      } finally {
        database.close();
      }
    }
    this.#violated(
      "I3",
      `a client was told that key ${key} is in ${this.#chain.name}, ` +
        `but it was not durable from epoch ${fromTip} to ${toTip}`,
    );
  }
}

export function hasLog(database: Database): boolean {
  return database.query("SELECT 1 FROM sqlite_schema WHERE name = 'uniq'").values().length > 0;
}

function numbers(database: Database, sql: string): number[] {
  return database.query(sql).values().map(([value]) => Number(value));
}
