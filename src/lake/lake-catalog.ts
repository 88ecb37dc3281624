/** The catalog of one lake: questions to it, and changes of it, each one snapshot. */
import { rmSync } from "node:fs";
import type { Clock } from "../base/clock.ts";
import { isFailure } from "../base/failure.ts";
import { LAKE_RETRY_MS } from "../base/lake-limits.ts";
import type { Random } from "../base/random.ts";
import type { Statement } from "../database/statement.ts";
import { catalogDatabase } from "../epoch/name.ts";
import { type CatalogQuery, parseAnswer, type Row } from "./catalog/query.ts";
import { catalogFailure } from "./catalog/refusal.ts";
import { type Change, madeSnapshot, snapshot } from "./catalog/snapshot.ts";
import type { CatalogRead, LakeDatabases } from "./lake-databases.ts";

export interface CatalogParts {
  readonly databases: LakeDatabases;
  readonly clock: Clock;
  readonly random: Random;
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
    const { sql, params, decode } = query;
    const answer = await this.#parts.databases.query(this.database, { sql, params, ...freshness });
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
    { sql, params }: CatalogQuery<T>,
    freshness: Freshness,
    temporary: () => Promise<string>,
  ): Promise<{ readonly path: string; done(): void }> {
    const answer = await this.#parts.databases.query(this.database, { sql, params, ...freshness });
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
    const { databases, clock, random } = this.#parts;
    const idempotencyKey = random.u64().toString(36) + random.u64().toString(36);
    const request = { statements, subject: SUBJECT, idempotencyKey, deadlineMs, trusted: true };
    for (;;) {
      try {
        return await databases.execute(this.database, request);
      } catch (error) {
        const isLate = clock.monotonicMs() + LAKE_RETRY_MS >= deadlineMs;
        if (isLate || !isFailure(error, "uncertain", "elsewhere")) {
          throw catalogFailure(error, `Cannot change the lake ${this.lake}`) ?? error;
        }
        // The key makes it safe to ask again, whoever may have done it.
        await clock.sleep(LAKE_RETRY_MS);
      }
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

/** Whose idempotency keys those of the lakes' own requests are. */
const SUBJECT = "headgate-lake";
