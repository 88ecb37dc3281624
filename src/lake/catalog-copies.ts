/**
 * A copy of each lake's catalog as a SQLite file in the bucket, for readers without Headgate. It is
 * replaced by the leader after it has moved rows into files, at most once a minute; who needs the
 * catalog as it is now asks a node for it.
 */
import type { Clock } from "../base/clock.ts";
import { Failure } from "../base/failure.ts";
import { CATALOG_COPY_BYTES_MAX, CATALOG_COPY_EVERY_MS } from "../base/lake-limits.ts";
import { catalogCopyKey } from "../epoch/key.ts";
import { catalogDatabase } from "../epoch/name.ts";
import type { Store } from "../store/store.ts";

export interface CatalogCopiesOptions {
  readonly clock: Clock;
  readonly store: Pick<Store, "head" | "replace">;
  /** A SQLite file of the database as it is, to be read until `done`. */
  export(
    name: string,
    at: "now",
  ): Promise<{ readonly path: string; readonly size: number; done(): void }>;
}

export class CatalogCopies {
  readonly #options: CatalogCopiesOptions;
  readonly #due = new Set<string>();
  /** When each was replaced (monotonic ms). */
  readonly #replacedMs = new Map<string, number>();

  constructor(options: CatalogCopiesOptions) {
    this.#options = options;
  }

  /** The lake's files have changed. */
  changed(lake: string): void {
    this.#due.add(lake);
  }

  forget(): void {
    this.#due.clear();
    this.#replacedMs.clear();
  }

  /** Replaces the copy if there is need and it is time. Rejects as the store does, and tries again. */
  async replaceIfDue(lake: string): Promise<void> {
    const { clock } = this.#options;
    const nowMs = clock.monotonicMs();
    const replacedMs = this.#replacedMs.get(lake) ?? Number.NEGATIVE_INFINITY;
    if (!this.#due.has(lake) || nowMs - replacedMs < CATALOG_COPY_EVERY_MS) return;
    this.#replacedMs.set(lake, nowMs);
    this.#due.delete(lake);
    try {
      await this.#replace(lake);
    } catch (error) {
      this.#due.add(lake);
      throw error;
    }
  }

  async #replace(lake: string): Promise<void> {
    const { store } = this.#options;
    const key = catalogCopyKey(lake);
    const file = await this.#options.export(catalogDatabase(lake), "now");
    try {
      if (file.size > CATALOG_COPY_BYTES_MAX) {
        throw new Failure("too_large", `Cannot copy the catalog of ${lake}: ${file.size} bytes`);
      }
      const before = await store.head(key);
      // Where it has changed meanwhile, another leader has written a newer one.
      await store.replace(key, await Bun.file(file.path).bytes(), before?.etag ?? null);
    } finally {
      file.done();
    }
  }
}
