/**
 * What the leader does for the files of lakes by itself: it merges small ones, deletes those that
 * nobody can come to need, and keeps a copy of each catalog in the bucket. A lake in which nothing
 * moves costs no request to the store, but for one list a day.
 */
import { describe } from "../base/failure.ts";
import {
  CLEAN_EVERY_MS_MAX,
  MERGE_EVERY_MS,
  MERGE_PAUSE_MS,
  MERGE_TIMEOUT_MS,
  ORPHANS_EVERY_MS,
  ORPHANS_FIRST_MS,
  UPKEEP_LOOK_MS,
} from "../base/lake-limits.ts";
import type { Log } from "../base/log.ts";
import { tablesToMerge } from "./catalog/small-files.ts";
import { type LakeTable, listTables } from "./catalog/read-tables.ts";
import type { CatalogCopies } from "./catalog-copies.ts";
import {
  type CleaningParts,
  condemnStrays,
  dateFiles,
  deleteFiles,
  forgetOldKeys,
} from "./cleaning.ts";
import type { FlushParts } from "./flush-table.ts";
import type { LakeCatalog } from "./lake-catalog.ts";
import { BY_ITSELF } from "./merge-choice.ts";
import { FileSizes, mergeTable } from "./merge-table.ts";

export interface UpkeepOptions extends FlushParts, CleaningParts {
  readonly files: FlushParts["files"];
  readonly log: Log;
  readonly copies: CatalogCopies;
  leads(): boolean;
  lakes(): readonly string[];
  catalog(lake: string): LakeCatalog;
  /** The newest epoch of its database that is known here. */
  tip(lake: string): number;
}

interface Known {
  /** As of this epoch small files were looked for. */
  tip: number;
  /** Before (monotonic ms), it is merged only while no rows come in. */
  mergeAtMs: number;
  /** When (monotonic ms) it is to be cleaned, and its files are to be listed. */
  cleanAtMs: number;
  listAtMs: number;
}

export class Upkeep {
  readonly #options: UpkeepOptions;
  readonly #known = new Map<string, Known>();
  readonly #sizes = new FileSizes();
  /** Until when (monotonic ms) tables are left alone, by lake and id. */
  readonly #paused = new Map<string, number>();
  #cancel: (() => void) | null = null;
  #isClosed = false;

  constructor(options: UpkeepOptions) {
    this.#options = options;
  }

  start(): void {
    if (this.#isClosed) return;
    this.#cancel = this.#options.clock.after(UPKEEP_LOOK_MS, () => {
      this.look().finally(() => this.start());
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#cancel?.();
  }

  /** One lake after the other: nobody waits for it. Never rejects. */
  async look(): Promise<void> {
    const { leads, lakes, log } = this.#options;
    for (const lake of lakes()) {
      if (!leads() || this.#isClosed) return this.#forget();
      for (const work of [this.#merge, this.#copy, this.#clean]) {
        try {
          await work.call(this, lake);
        } catch (error) {
          log.warn("could not keep a lake in order", { lake, cause: describe(error) });
        }
      }
    }
  }

  #forget(): void {
    this.#known.clear();
    this.#sizes.clear();
    this.#paused.clear();
    this.#options.copies.forget();
  }

  #knownOf(lake: string): Known {
    const nowMs = this.#options.clock.monotonicMs();
    const cleanAtMs = nowMs + this.#cleanEveryMs;
    const known = this.#known.get(lake) ??
      { tip: 0, mergeAtMs: nowMs + MERGE_EVERY_MS, cleanAtMs, listAtMs: nowMs + ORPHANS_FIRST_MS };
    this.#known.set(lake, known);
    return known;
  }

  get #cleanEveryMs(): number {
    return Math.min(CLEAN_EVERY_MS_MAX, this.#options.windowMs / 8);
  }

  async #merge(lake: string): Promise<void> {
    const { catalog, tip, clock, loaders } = this.#options;
    const known = this.#knownOf(lake);
    const now = tip(lake);
    if (known.tip === now) return;
    if (loaders.isBusy && clock.monotonicMs() < known.mergeAtMs) return;
    const freshness = { level: "local", deadlineMs: this.#deadlineMs() } as const;
    const { value: wanted } = await catalog(lake).ask(tablesToMerge(), freshness);
    if (wanted.size > 0) {
      const { value: tables } = await catalog(lake).ask(listTables(null), freshness);
      for (const table of tables) {
        if (wanted.has(table.id)) await this.#mergeTable(catalog(lake), table);
      }
    }
    // Ours to look at too: what was merged may be merged again.
    known.tip = now;
    known.mergeAtMs = clock.monotonicMs() + MERGE_EVERY_MS;
  }

  async #mergeTable(catalog: LakeCatalog, table: LakeTable): Promise<void> {
    const { clock, log, copies } = this.#options;
    const startedMs = clock.monotonicMs();
    const name = `${catalog.lake}\n${table.uuid}`;
    if (startedMs < (this.#paused.get(name) ?? 0)) return;
    try {
      const { merged, into } = await mergeTable(this.#options, catalog, table, {
        rules: BY_ITSELF,
        sizes: this.#sizes,
        freshness: { level: "local", deadlineMs: this.#deadlineMs() },
      });
      if (merged === 0) return;
      copies.changed(catalog.lake);
      const ms = Math.round(clock.monotonicMs() - startedMs);
      const of = { lake: catalog.lake, table: `${table.schema}.${table.name}` };
      log.info("files of a lake were merged", { ...of, merged, into, ms });
    } catch (error) {
      this.#paused.set(name, clock.monotonicMs() + MERGE_PAUSE_MS);
      throw error;
    }
  }

  #copy(lake: string): Promise<void> {
    return this.#options.copies.replaceIfDue(lake);
  }

  async #clean(lake: string): Promise<void> {
    const { clock, log } = this.#options;
    const known = this.#knownOf(lake);
    const nowMs = clock.monotonicMs();
    if (nowMs < known.cleanAtMs) return;
    known.cleanAtMs = nowMs + this.#cleanEveryMs;
    const catalog = this.#options.catalog(lake);
    if (nowMs >= known.listAtMs) {
      known.listAtMs = nowMs + ORPHANS_EVERY_MS;
      const strays = await condemnStrays(this.#options, catalog, this.#deadlineMs());
      if (strays > 0) log.info("files that no catalog names were found", { lake, files: strays });
    }
    await dateFiles(catalog, this.#deadlineMs());
    await forgetOldKeys(this.#options, catalog, this.#deadlineMs());
    const deleted = await deleteFiles(this.#options, catalog, this.#deadlineMs());
    if (deleted.length > 0) {
      log.info("files of a lake were deleted", { lake, files: deleted.length });
    }
  }

  #deadlineMs(): number {
    return this.#options.clock.monotonicMs() + MERGE_TIMEOUT_MS;
  }
}
