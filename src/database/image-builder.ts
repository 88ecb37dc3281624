/** Fills a new image (or a plain SQLite file) from objects of a chain, in any number of pieces. */
import { rmSync } from "node:fs";
import { assert } from "../base/assert.ts";
import { Failure } from "../base/failure.ts";
import { pageHash } from "../epoch/checksum.ts";
import type { Page } from "../epoch/epoch.ts";
import type { Image, ImageBuilder, ImageHead } from "./image.ts";
import { FileImage, type ImageParts } from "./image-file.ts";
import { PageFile, Slices } from "./page-file.ts";

export interface ImageOptions extends ImageParts {
  /** A new file, in memory: there must be none. */
  readonly path: string;
  readonly pageSize: number;
}

// deno-lint-ignore require-await -- a builder may need to wait one day; its users must not change
export async function createImage(options: ImageOptions): Promise<ImageBuilder> {
  return new FileBuilder(options);
}

class FileBuilder implements ImageBuilder {
  readonly #file: PageFile;
  readonly #options: ImageOptions;
  #open = true;

  constructor(options: ImageOptions) {
    this.#options = options;
    this.#file = new PageFile(options.path, options.pageSize);
  }

  async write(pages: readonly Page[], commit: number): Promise<void> {
    assert(this.#open, "a builder that is done writes nothing");
    const file = this.#file;
    if (commit < file.pages) {
      file.resize(commit);
      file.hashes.truncate(commit);
    }
    const slices = new Slices(this.#options.clock);
    for (let at = 0; at < pages.length;) {
      const count = file.writeRun(pages, at);
      for (const page of pages.slice(at, at + count)) {
        assert(
          page.number <= commit && page.number !== file.lockPage,
          `page ${page.number} is one of ${commit}`,
        );
        file.hashes.set(page.number, pageHash(page.bytes, page.number));
      }
      at += count;
      if (slices.over) await slices.turn();
    }
  }

  async finish(head: ImageHead): Promise<Image> {
    await this.#check(head);
    return new FileImage(this.#file, head, this.#options);
  }

  async finishFile(head: ImageHead): Promise<void> {
    await this.#check(head);
    this.#file.close();
  }

  // deno-lint-ignore require-await -- the port's
  async abandon(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    this.#file.close();
    rmSync(this.#file.path, { force: true });
  }

  async #check(head: ImageHead): Promise<void> {
    assert(this.#open, "a builder is finished once");
    const file = this.#file;
    const wrong = file.pages !== head.commit
      ? `it has ${file.pages} pages, not ${head.commit}`
      : file.hashes.sum !== head.databaseChecksum
      ? `its checksum is ${file.hashes.sum.toString(16)}, not ${head.databaseChecksum.toString(16)}`
      : null;
    if (wrong !== null) {
      await this.abandon();
      throw new Failure("corrupt", `Cannot build epoch ${head.epoch} in ${file.path}: ${wrong}`);
    }
    this.#open = false;
  }
}
