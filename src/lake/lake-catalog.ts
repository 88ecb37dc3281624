/** The catalog of one lake: questions to it, and changes of it, each one snapshot. */
import { rmSync } from "node:fs";
import type { Clock } from "../base/clock.ts";
import { Failure, isFailure } from "../base/failure.ts";
import { LAKE_RETRY_MS } from "../base/lake-limits.ts";
import type { KeysByDatabase } from "../database/answered-keys.ts";
import type { Statement } from "../database/statement.ts";
import { catalogDatabase } from "../epoch/name.ts";
import { type CatalogQuery, parseAnswer, type Row } from "./catalog/query.ts";
import { catalogFailure } from "./catalog/refusal.ts";
import { type Change, madeSnapshot, snapshot } from "./catalog/snapshot.ts";
import type { CatalogAnswer, CatalogRead, LakeDatabases } from "./lake-databases.ts";

export interface CatalogParts {
  readonly databases: LakeDatabases;
  readonly clock: Clock;
  /** Of the requests that this node makes by itself. */
  readonly keys: KeysByDatabase;
  /** The store's time minus this node's. */
  clockOffsetMs(): number;
}

/** How new an answer has to be, and until when it is waited for. */
export type Freshness = Pick<CatalogRead, "level" | "minEpoch" | "deadlineMs">;

export interface Asked<T> {
  readonly value: T;
  readonly epoch: number;
}

export interface Changed {
  readonly snapshot: number;
  /** The epoch of the catalog's database from which on the snapshot is seen. */
  readonly epoch: number;
}

export class LakeCatalog {
  readonly lake: string;
  readonly database: string;
  readonly #parts: CatalogParts;

  /** Throws `invalid` for what is no name of a lake. */
  constructor(parts: CatalogParts, lake: string) {
    this.#parts = parts;
    this.lake = lake;
    this.database = catalogDatabase(lake);
  }

  async ask<T>(query: CatalogQuery<T>, freshness: Freshness): Promise<Asked<T>> {
    const { decode } = query;
    const answer = await this.#query(query, freshness);
    if ("text" in answer) return { value: decode(parseAnswer(answer.text)), epoch: answer.epoch };
    try {
      const text = await Bun.file(answer.path).text();
      return { value: decode(parseAnswer(text)), epoch: answer.epoch };
    } finally {
      answer.done();
    }
  }

  /** The JSON of a query's answer as a file, to be read until `done`. */
  async askForFile<T>(
    query: CatalogQuery<T>,
    freshness: Freshness,
    temporary: () => Promise<string>,
  ): Promise<{ readonly path: string; done(): void }> {
    const answer = await this.#query(query, freshness);
    if (!("text" in answer)) return answer;
    const path = await temporary();
    await Bun.write(path, answer.text);
    return { path, done: () => rmSync(path, { force: true }) };
  }

  /**
   * Makes one snapshot of all changes, or nothing. Rejects with what `catalogFailure` says of a
   * change that does not fit, and as writes do.
   */
  async change(
    changes: readonly Change[],
    { deadlineMs, more = [] }: { deadlineMs: number; more?: readonly Statement[] },
  ): Promise<Changed> {
    const statements = [...snapshot(changes, { nowMs: this.#storeMs() }), ...more];
    const { text, epoch } = await this.execute(statements, deadlineMs);
    const { results } = JSON.parse(text) as {
      readonly results: readonly { readonly rows?: readonly Row[] }[];
    };
    return { snapshot: madeSnapshot(changes, results), epoch };
  }

  /** Runs statements of ours, once, whoever leads meanwhile. */
  async execute(
    statements: readonly Statement[],
    deadlineMs: number,
  ): Promise<{ readonly text: string; readonly epoch: number }> {
    const { databases, clock } = this.#parts;
    const keys = this.#parts.keys.of(this.database);
    const key = keys.next();
    const request = { statements, subject: SUBJECT, ...key, deadlineMs, trusted: true };
    // What an attempt may have done, a later one that did nothing does not undo.
    let doubt: unknown = null;
    for (;;) {
      try {
        const answer = await databases.execute(this.database, request);
        keys.done(key);
        return answer;
      } catch (error) {
        const refused = catalogFailure(error, `Cannot change the lake ${this.lake}`);
        // The owner looked for the key first, so nothing of an earlier attempt is there.
        if (refused !== null || isFailure(error, "conflict")) {
          keys.undone(key);
          throw refused ?? error;
        }
        if (isFailure(error, "uncertain")) doubt = error;
        const mayRepeat = doubt !== null || isFailure(error, "elsewhere");
        const isLate = clock.monotonicMs() + LAKE_RETRY_MS >= deadlineMs;
        if (!mayRepeat || isLate) {
          keys.undone(key);
          throw doubt ?? error;
        }
        await clock.sleep(LAKE_RETRY_MS);
      }
    }
  }

  /** A database comes to a node before the tables that make it a catalog. */
  async #query<T>(query: CatalogQuery<T>, freshness: Freshness): Promise<CatalogAnswer> {
    const { sql, params } = query;
    try {
      return await this.#parts.databases.query(this.database, { sql, params, ...freshness });
    } catch (error) {
      if (!isFailure(error) || !NO_CATALOG.test(error.message)) {
        throw error;
      }
      if (freshness.level !== "linearizable") {
        const { deadlineMs } = freshness;
        return await this.#query(query, { level: "linearizable", deadlineMs });
      }
      throw new Failure("missing", `There is no lake ${this.lake}`, { cause: error });
    }
  }

  /** Milliseconds since 1970 by the store, which is the same for all nodes (I11). */
  get storeMs(): number {
    return this.#storeMs();
  }

  #storeMs(): number {
    return Math.floor(this.#parts.clock.nowMs() + this.#parts.clockOffsetMs());
  }
}

/** Inlined rows may be gone; what every catalog has may not. */
const NO_CATALOG = /no such table: (ducklake_(?!inlined)|_headgate_)/;

/** Whose idempotency keys those of the lakes' own requests are. */
const SUBJECT = "headgate-lake";
