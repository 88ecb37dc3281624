/**
 * Registers staged rows, at whoever leads, and removes the staged objects afterwards. The node that
 * stored rows tries at once, and again until it is done; the leader looks for what nodes that are
 * gone have left. Several may try the same: the catalog adopts each once (`catalog/adopt.ts`).
 */
import type { Clock } from "../base/clock.ts";
import { describe, Failure, isFailure } from "../base/failure.ts";
import {
  ADOPTED_AT_ONCE_MAX,
  ADOPTED_BYTES_MAX,
  ADOPTION_TIMEOUT_MS,
  ADOPTIONS_WAITING_MAX,
  LAKE_FETCHES_MAX,
} from "../base/lake-limits.ts";
import type { Log } from "../base/log.ts";
import { Places } from "../base/places.ts";
import type { Random } from "../base/random.ts";
import { backoffMs } from "../store/backoff.ts";
import { adoptNothing, adoptRows } from "./catalog/adopt.ts";
import type { LakeCatalog } from "./lake-catalog.ts";
import { ofLake } from "./lake-failure.ts";
import { rowsOf, type Staged } from "./staged.ts";
import type { StagedFiles } from "./staged-files.ts";

export interface AdopterOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly staged: StagedFiles;
  leads(): boolean;
  lakes(): readonly string[];
  catalog(lake: string): LakeCatalog;
}

/** What this node stored of one lake, until it is adopted. */
interface Own {
  readonly waiting: Map<string, Staged>;
  /** More was stored than is kept in memory: the rest is found by a list. */
  isMore: boolean;
}

export class Adopter {
  readonly #options: AdopterOptions;
  readonly #own = new Map<string, Own>();
  readonly #end = new AbortController();
  #members: ReadonlySet<string> = new Set();
  /** Lakes that are looked through, and whether something happened meanwhile. */
  readonly #looking = new Map<string, { again: boolean }>();
  readonly #places = new Places(LAKE_FETCHES_MAX);

  constructor(options: AdopterOptions) {
    this.#options = options;
  }

  /** This node has stored these rows. */
  add(lake: string, staged: Staged): void {
    const own = this.#own.get(lake) ?? { waiting: new Map<string, Staged>(), isMore: false };
    if (own.waiting.size < ADOPTIONS_WAITING_MAX) own.waiting.set(staged.id, staged);
    else own.isMore = true;
    if (this.#own.has(lake) || this.#isClosed) return;
    this.#own.set(lake, own);
    void this.#adoptOwn(lake, own);
  }

  /** Staged objects that this node keeps in memory until they are adopted. */
  get waiting(): number {
    return [...this.#own.values()].reduce((sum, { waiting }) => sum + waiting.size, 0);
  }

  /** Who is in the cluster now, by process: whoever has gone or come may have left something. */
  onMembers(processes: readonly string[]): void {
    const before = this.#members;
    this.#members = new Set(processes);
    if (before.size !== this.#members.size || processes.some((one) => !before.has(one))) {
      void this.look();
    }
  }

  /** Adopts what lies in the bucket, if this node leads. Never rejects. */
  async look(): Promise<void> {
    if (!this.#mayLook()) return;
    await Promise.all(this.#options.lakes().map((lake) => this.#lookThrough(lake)));
  }

  close(): void {
    this.#end.abort();
  }

  get #isClosed(): boolean {
    return this.#end.signal.aborted;
  }

  #mayLook(): boolean {
    return !this.#isClosed && this.#options.leads();
  }

  /** One lake that nobody can write to keeps no other waiting. */
  async #lookThrough(lake: string): Promise<void> {
    const running = this.#looking.get(lake);
    if (running) {
      running.again = true;
      return;
    }
    const state = { again: true };
    this.#looking.set(lake, state);
    for (let failures = 0; state.again && this.#mayLook();) {
      state.again = false;
      try {
        await this.#places.run(() => this.#lookAt(lake, () => this.#mayLook()));
      } catch (error) {
        const facts = { lake, cause: describe(error) };
        this.#options.log.warn("could not list stored rows; trying again", facts);
        state.again = true;
        await this.#pause(++failures, error);
      }
    }
    this.#looking.delete(lake);
  }

  async #adoptOwn(lake: string, own: Own): Promise<void> {
    const goesOn = () => !this.#isClosed;
    for (let failures = 0; goesOn();) {
      const batch = firstOf(own.waiting.values());
      if (batch.length > 0) {
        await this.#untilDone(lake, batch, goesOn);
        for (const { id } of batch) own.waiting.delete(id);
        continue;
      }
      if (!own.isMore) break;
      try {
        own.isMore = false;
        await this.#lookAt(lake, goesOn);
        failures = 0;
      } catch (error) {
        const facts = { lake, cause: describe(error) };
        this.#options.log.warn("could not list stored rows; trying again", facts);
        own.isMore = true;
        await this.#pause(++failures, error);
      }
    }
    this.#own.delete(lake);
  }

  async #lookAt(lake: string, goesOn: () => boolean): Promise<void> {
    for await (const ids of this.#options.staged.list(lake)) {
      const found: Staged[] = [];
      for (const id of ids) {
        if (!goesOn()) return;
        if (this.#own.get(lake)?.waiting.has(id)) continue;
        const staged = await this.#read(lake, id);
        if (staged) found.push(staged);
        if (found.length < ADOPTED_AT_ONCE_MAX) continue;
        await this.#adoptAll(lake, found.splice(0), goesOn);
      }
      await this.#adoptAll(lake, found, goesOn);
    }
  }

  async #adoptAll(lake: string, all: readonly Staged[], goesOn: () => boolean): Promise<void> {
    for (let done = 0; done < all.length;) {
      const batch = firstOf(all.slice(done));
      await this.#untilDone(lake, batch, goesOn);
      done += batch.length;
    }
  }

  /** Null for what is gone, or is left where it is. */
  async #read(lake: string, id: string): Promise<Staged | null> {
    try {
      return await this.#options.staged.read(lake, id);
    } catch (error) {
      if (!isFailure(error, "corrupt")) throw error;
      this.#options.log.error("stored rows cannot be read and are left where they are", {
        ...{ lake, id, cause: describe(error) },
      });
      return null;
    }
  }

  /** Never rejects: what cannot be adopted is left where it is, for people to look at. */
  async #untilDone(lake: string, batch: readonly Staged[], goesOn: () => boolean): Promise<void> {
    for (let attempt = 1; goesOn(); attempt++) {
      try {
        return await ofLake(lake, () => this.#adopt(lake, batch));
      } catch (error) {
        if (isFailure(error, "unavailable", "uncertain", "elsewhere", "busy", "corrupt")) {
          await this.#pause(attempt, error);
        } else if (batch.length > 1 && !isFailure(error, "missing")) {
          // Some of them are not to be adopted: each by itself.
          for (const one of batch) await this.#untilDone(lake, [one], goesOn);
          return;
        } else return this.#leave(lake, batch, error);
      }
    }
  }

  /** All with one change, or none. */
  async #adopt(lake: string, batch: readonly Staged[]): Promise<void> {
    const { catalog, staged, log } = this.#options;
    const changes = batch.flatMap((rows) => adoptRows(rows, catalog(lake).storeMs));
    try {
      await catalog(lake).change(changes, { deadlineMs: this.#deadlineMs() });
      log.debug("adopted stored rows", { lake, objects: batch.length });
    } catch (error) {
      const [only] = batch;
      if (batch.length > 1 || !only || refusalOf(error) !== "rows_done") throw error;
      await this.#adoptNothing(lake, only);
    }
    await staged.remove(lake, batch.map(({ id }) => id)).catch((error) =>
      // Whoever finds them hears that they are done.
      log.warn("could not remove adopted objects", { lake, cause: describe(error) })
    );
  }

  /** A refusal alone proves nothing: whoever refused may have been deposed. This is durable. */
  async #adoptNothing(lake: string, rows: Staged): Promise<void> {
    const { catalog, log } = this.#options;
    try {
      const statements = adoptNothing(rows, catalog(lake).storeMs);
      await catalog(lake).execute(statements, this.#deadlineMs());
      log.info("stored rows were there before, or their table is gone", {
        ...{ lake, id: rows.id, rows: rowsOf(rows) },
      });
    } catch (error) {
      if (refusalOf(error) !== "rows_wanted") throw error;
      throw new Failure("unavailable", "What was done before is not done", { cause: error });
    }
  }

  #leave(lake: string, batch: readonly Staged[], error: unknown): void {
    const { log } = this.#options;
    const facts = { lake, ids: batch.map(({ id }) => id).join(), cause: describe(error) };
    const isGone = isFailure(error, "missing") || refusalOf(error) === "lake_differs";
    if (isGone) log.info("stored rows are of a lake that was dropped", facts);
    else log.error("stored rows cannot be adopted and are left where they are", facts);
  }

  async #pause(attempt: number, error: unknown): Promise<void> {
    const { clock, random } = this.#options;
    await clock.sleep(backoffMs(attempt, random, error), this.#end.signal).catch(() => {});
  }

  #deadlineMs(): number {
    return this.#options.clock.monotonicMs() + ADOPTION_TIMEOUT_MS;
  }
}

/** As many as one request to a catalog takes. */
function firstOf(all: Iterable<Staged>): readonly Staged[] {
  const batch: Staged[] = [];
  let characters = 0;
  for (const staged of all) {
    characters += JSON.stringify(staged.files).length;
    const isFull = batch.length === ADOPTED_AT_ONCE_MAX || characters > ADOPTED_BYTES_MAX;
    if (batch.length > 0 && isFull) break;
    batch.push(staged);
  }
  return batch;
}

function refusalOf(error: unknown): unknown {
  return isFailure(error) ? error.details?.["refusal"] : undefined;
}
