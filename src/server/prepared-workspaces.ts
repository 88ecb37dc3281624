/**
 * Workspaces that are opened before a claim asks for them. Opening one copies the whole image and
 * starts a process, which is much of a failover. One that does not fit the image any more, or that
 * nobody asked for in time, is closed.
 */
import type { Clock } from "../base/clock.ts";
import { describe } from "../base/failure.ts";
import { WORKSPACE_PREPARED_MS } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import type { Image } from "../database/image.ts";
import type { Workspace } from "../database/workspace.ts";

type Open = (name: string, image: Image | null, pageSize: number) => Promise<Workspace>;

interface Prepared {
  readonly image: Image;
  readonly epoch: number;
  readonly opening: Promise<Workspace>;
  readonly cancel: () => void;
}

export class PreparedWorkspaces {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #open: Open;
  readonly #prepared = new Map<string, Prepared>();

  constructor(clock: Clock, log: Log, open: Open) {
    this.#clock = clock;
    this.#log = log;
    this.#open = open;
  }

  /** Opens one over the image as it is now, unless there is one. */
  prepare(name: string, image: Image, pageSize: number): void {
    const known = this.#prepared.get(name);
    if (known && fits(known, image)) return;
    void this.#discard(name);
    const opening = this.#open(name, image, pageSize);
    const cancel = this.#clock.after(WORKSPACE_PREPARED_MS, () => void this.#discard(name));
    const prepared = { image, epoch: image.head.epoch, opening, cancel };
    this.#prepared.set(name, prepared);
    opening.catch((error) => {
      this.#log.info("could not prepare a workspace", { database: name, cause: describe(error) });
      if (this.#prepared.get(name) === prepared) void this.#discard(name);
    });
  }

  /** The one that was prepared if it fits, else a new one. */
  async open(name: string, image: Image | null, pageSize: number): Promise<Workspace> {
    const prepared = this.#prepared.get(name);
    if (prepared && fits(prepared, image)) {
      this.#prepared.delete(name);
      prepared.cancel();
      const workspace = await prepared.opening.catch(() => null);
      // The image may have moved while it was copied or waited for.
      if (workspace && fits(prepared, image)) return workspace;
      await workspace?.close();
    } else void this.#discard(name);
    return await this.#open(name, image, pageSize);
  }

  /** Resolves when all are closed, those too that are still being opened. */
  async close(): Promise<void> {
    await Promise.all([...this.#prepared.keys()].map((name) => this.#discard(name)));
  }

  async #discard(name: string): Promise<void> {
    const prepared = this.#prepared.get(name);
    if (!prepared) return;
    this.#prepared.delete(name);
    prepared.cancel();
    try {
      await (await prepared.opening).close();
    } catch (error) {
      this.#log.debug("a prepared workspace was not closed in order", { cause: describe(error) });
    }
  }
}

/** Heads only grow: the copy was made at this one if it is still the newest. */
function fits(prepared: Prepared, image: Image | null): boolean {
  return prepared.image === image && prepared.epoch === image.head.epoch;
}
