/**
 * What the leader does for lakes by itself: rows that stand in a catalog go into files when there are
 * many of them, or when they have stood there for long. A catalog in which nothing moves is not asked.
 */
import type { Clock } from "../base/clock.ts";
import { describe } from "../base/failure.ts";
import {
  FLUSH_AGE_MS,
  FLUSH_LOOK_MS,
  FLUSH_ROWS_MIN,
  FLUSH_TIMEOUT_MS,
} from "../base/lake-limits.ts";
import type { Log } from "../base/log.ts";
import { type LakeTable, listTables } from "./catalog/read-tables.ts";
import { type FlushParts, flushTable, inlinedRows } from "./flush-table.ts";
import type { LakeCatalog } from "./lake-catalog.ts";

export interface FlusherOptions extends FlushParts {
  readonly clock: Clock;
  readonly log: Log;
  leads(): boolean;
  lakes(): readonly string[];
  catalog(lake: string): LakeCatalog;
  /** The newest epoch of its database that is known here. */
  tip(lake: string): number;
  /** Rows have gone into files. */
  onFlushed(lake: string): void;
}

interface Known {
  /** As of this epoch. */
  readonly tip: number;
  /** Since when (monotonic ms) each table that has rows in the catalog has some. */
  readonly since: ReadonlyMap<number, number>;
}

export class Flusher {
  readonly #options: FlusherOptions;
  readonly #known = new Map<string, Known>();
  #cancel: (() => void) | null = null;
  #isClosed = false;

  constructor(options: FlusherOptions) {
    this.#options = options;
  }

  start(): void {
    if (this.#isClosed) return;
    this.#cancel = this.#options.clock.after(FLUSH_LOOK_MS, () => {
      this.look().finally(() => this.start());
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#cancel?.();
  }

  /** One after the other: nobody waits for it. Never rejects. */
  async look(): Promise<void> {
    const { leads, lakes, log } = this.#options;
    for (const lake of lakes()) {
      if (!leads() || this.#isClosed) return this.#known.clear();
      try {
        await this.#lookAt(lake);
      } catch (error) {
        log.warn("could not flush the rows of a lake", { lake, cause: describe(error) });
      }
    }
  }

  async #lookAt(lake: string): Promise<void> {
    const { catalog, tip, clock } = this.#options;
    const before = this.#known.get(lake);
    const now = tip(lake);
    const nowMs = clock.monotonicMs();
    const isOld = [...before?.since.values() ?? []].some((ms) => nowMs - ms >= FLUSH_AGE_MS);
    if (before?.tip === now && !isOld) return;
    const freshness = { level: "local", deadlineMs: nowMs + FLUSH_TIMEOUT_MS } as const;
    const { value: tables } = await catalog(lake).ask(listTables(null), freshness);
    const since = new Map<number, number>();
    for (const table of tables) {
      const rows = await inlinedRows(catalog(lake), table.id, freshness);
      if (rows === 0) continue;
      const sinceMs = before?.since.get(table.id) ?? nowMs;
      if (rows < FLUSH_ROWS_MIN && nowMs - sinceMs < FLUSH_AGE_MS) since.set(table.id, sinceMs);
      else await this.#flush(catalog(lake), table);
    }
    this.#known.set(lake, { tip: now, since });
  }

  async #flush(catalog: LakeCatalog, table: LakeTable): Promise<void> {
    const { clock, log } = this.#options;
    const startedMs = clock.monotonicMs();
    const freshness = { level: "local", deadlineMs: startedMs + FLUSH_TIMEOUT_MS } as const;
    const { rows, files } = await flushTable(this.#options, catalog, table, freshness);
    this.#options.onFlushed(catalog.lake);
    log.info("rows of a lake went into files", {
      lake: catalog.lake,
      table: `${table.schema}.${table.name}`,
      rows,
      files,
      ms: Math.round(clock.monotonicMs() - startedMs),
    });
  }
}
