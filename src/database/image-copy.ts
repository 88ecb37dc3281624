/**
 * A copy of an image as of one epoch, made in slices while epochs go on. An epoch that is about to
 * overwrite or cut off a page gives the old bytes to each copy that has not reached it yet.
 */
import { rmSync } from "node:fs";
import type { Clock } from "../base/clock.ts";
import type { ImageHead } from "./image.ts";
import { PageFile, Slices } from "./page-file.ts";

export class ImageCopy {
  readonly #source: PageFile;
  readonly #target: PageFile;
  readonly #head: ImageHead;
  /** Pages up to here are in the copy. */
  #reached = 0;
  /** Pages above that are in it already. */
  readonly #kept = new Set<number>();
  /** Why old bytes could not be kept: the copy is of no use then, and the image is none the worse. */
  #failure: { readonly cause: unknown } | null = null;

  /** `source` must be exactly at `head`. */
  constructor(source: PageFile, head: ImageHead, path: string) {
    this.#source = source;
    this.#head = head;
    this.#target = new PageFile(path, source.pageSize);
  }

  /** Called before pages `first` to `last` change. */
  keep(first: number, last: number): void {
    if (this.#failure) return;
    const end = Math.min(last, this.#head.commit);
    for (let page = Math.max(first, this.#reached + 1); page <= end; page++) {
      if (this.#kept.has(page)) continue;
      const bytes = this.#source.readRun(page, 1);
      this.#source.check(page, bytes);
      if (!this.#keepBytes(page, bytes)) return;
    }
  }

  async run(clock: Clock): Promise<ImageHead> {
    const slices = new Slices(clock);
    try {
      while (this.#reached < this.#head.commit) {
        this.#throwFailure();
        this.#copyRun();
        if (slices.over) await slices.turn();
      }
      this.#throwFailure();
      return this.#head;
    } catch (error) {
      rmSync(this.#target.path, { force: true });
      throw error;
    } finally {
      this.#target.close();
    }
  }

  #keepBytes(page: number, bytes: Uint8Array): boolean {
    try {
      this.#target.writeBytes(page, bytes);
      this.#kept.add(page);
      return true;
    } catch (cause) {
      this.#failure = { cause };
      return false;
    }
  }

  #throwFailure(): void {
    if (this.#failure) throw this.#failure.cause;
  }

  /** Copies from the first missing page to the next that was kept. */
  #copyRun(): void {
    const first = this.#reached + 1;
    let count = 0;
    while (
      count < this.#source.runPagesMax && first + count <= this.#head.commit &&
      !this.#kept.has(first + count)
    ) count++;
    if (count === 0) {
      this.#kept.delete(first);
      this.#reached = first;
      return;
    }
    const bytes = this.#source.readRun(first, count);
    this.#source.check(first, bytes);
    this.#target.writeBytes(first, bytes);
    this.#reached = first + count - 1;
  }
}
