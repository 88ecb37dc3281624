/** The staged objects of lakes in the bucket: created, listed, read, and removed when they are adopted. */
import type { Clock } from "../base/clock.ts";
import { Failure } from "../base/failure.ts";
import { STAGED_BYTES_MAX } from "../base/lake-limits.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import { settle } from "../store/settle.ts";
import type { Store } from "../store/store.ts";
import { lakePrefix } from "./lake-files.ts";
import { decodeStaged, encodeStaged, isStagedId, type Staged } from "./staged.ts";

export interface StagedFilesOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export class StagedFiles {
  readonly #options: StagedFilesOptions;

  constructor(options: StagedFilesOptions) {
    this.#options = options;
  }

  /**
   * "lost" where another object has the name. Rejects with `too_large`, and at the deadline with
   * `unavailable` or, where it may have been created, `uncertain`.
   */
  async create(lake: string, staged: Staged, deadlineMs: number): Promise<"won" | "lost"> {
    const { store, clock, random, log } = this.#options;
    const bytes = encodeStaged(staged);
    if (bytes.length > STAGED_BYTES_MAX) {
      throw new Failure(
        "too_large",
        `Cannot stage rows: their statistics have ${bytes.length} bytes, more than ` +
          `${STAGED_BYTES_MAX}; fewer rows a request, or ack=visible`,
      );
    }
    return await this.#until(deadlineMs, async (signal) => {
      const options = { clock, random, log, signal };
      return (await settle(store, stagedKey(lake, staged.id), bytes, options)).outcome;
    });
  }

  /**
   * The epoch below which nothing is adopted any more; 0 where none was published, as none is by
   * this version.
   */
  async horizon(lake: string, deadlineMs: number): Promise<number> {
    const key = `${stagedPrefix(lake)}horizon.json`;
    const found = await this.#until(
      deadlineMs,
      (signal) => this.#options.store.get(key, { signal }),
    );
    if (found === null) return 0;
    const { epoch } = JSON.parse(Buffer.from(found.bytes).toString()) as { epoch?: unknown };
    if (Number.isSafeInteger(epoch)) return Number(epoch);
    throw new Failure("corrupt", `Cannot read ${key}: it names no epoch`);
  }

  /** Null where it is not there. Rejects with `corrupt` for what is no staged object. */
  async read(lake: string, id: string): Promise<Staged | null> {
    const found = await this.#options.store.get(stagedKey(lake, id));
    return found && decodeStaged(id, found.bytes);
  }

  /** Ids in the order of their epochs, a page of the bucket's list at a time. */
  async *list(lake: string): AsyncGenerator<readonly string[]> {
    const prefix = stagedPrefix(lake);
    for (let startAfter = "";;) {
      const options = startAfter === "" ? {} : { startAfter };
      const { objects, more } = await this.#options.store.list(prefix, options);
      yield objects.flatMap(({ key }) => {
        const id = key.slice(prefix.length).replace(/\.json$/, "");
        return isStagedId(id) && key === stagedKey(lake, id) ? [id] : [];
      });
      const last = objects.at(-1);
      if (!more || !last) return;
      startAfter = last.key;
    }
  }

  /** Those that are not there are fine. */
  async remove(lake: string, ids: readonly string[]): Promise<void> {
    await this.#options.store.remove(ids.map((id) => stagedKey(lake, id)));
  }

  async #until<T>(deadlineMs: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { clock } = this.#options;
    const end = new AbortController();
    const cancel = clock.after(Math.max(0, deadlineMs - clock.monotonicMs()), () => end.abort());
    try {
      return await work(end.signal);
    } finally {
      cancel();
    }
  }
}

function stagedPrefix(lake: string): string {
  return `${lakePrefix(lake)}staged/`;
}

function stagedKey(lake: string, id: string): string {
  return `${stagedPrefix(lake)}${id}.json`;
}
