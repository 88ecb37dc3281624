/**
 * Epochs that the owner pushes: durable, in order, one after another. What does not follow from the
 * image's head is read from the store instead; the link and the checksum are held against the image
 * either way (I9). The owner has proved its claim, so a pushed claim needs no look at the snapshots.
 */
import { Failure } from "../base/failure.ts";
import { PUSHED_BYTES_MAX } from "../base/limits.ts";
import type { Image } from "../database/image.ts";
import type { Chain } from "./chain.ts";
import { epochKey } from "./chain.ts";
import { decodeSliced } from "./fetch.ts";
import type { OnApplied } from "./follow.ts";
import { hex } from "./join.ts";
import type { Parts } from "./parts.ts";

interface PushedEpoch {
  readonly epoch: number;
  /** Null where only the number was told: the store has the bytes. */
  readonly bytes: Uint8Array | null;
}

export class Pushed {
  readonly #parts: Parts;
  readonly #chain: Chain;
  readonly #waiting: PushedEpoch[] = [];
  #bytes = 0;

  constructor(parts: Parts, chain: Chain) {
    this.#parts = parts;
    this.#chain = chain;
  }

  /** Beyond its limit only the number is kept. */
  add(epoch: number, bytes: Uint8Array | null): void {
    const size = bytes?.byteLength ?? 0;
    const isKept = this.#bytes + size <= PUSHED_BYTES_MAX;
    this.#waiting.push({ epoch, bytes: isKept ? bytes : null });
    if (isKept) this.#bytes += size;
  }

  /** The image has those up to that epoch. */
  forget(epoch: number): void {
    while (this.#waiting[0] && this.#waiting[0].epoch <= epoch) this.#shift();
  }

  /**
   * Applies what follows from the image. False when something waits that does not: the store has
   * what is between.
   */
  async apply(image: Image, onApplied: OnApplied): Promise<boolean> {
    for (let first = this.#shift(); first; first = this.#shift()) {
      const { head } = image;
      if (first.epoch <= head.epoch) continue;
      if (first.epoch > head.epoch + 1 || first.bytes === null) return false;
      const key = epochKey(this.#chain, first.epoch);
      const epoch = await decodeSliced(first.bytes, `${key}, as pushed`, this.#parts.clock);
      const { header } = epoch;
      if (header.minEpoch !== first.epoch || header.link !== head.fileChecksum) {
        throw new Failure(
          "corrupt",
          `Cannot apply ${key}, as pushed: it holds epoch ${header.minEpoch} with link ` +
            `${hex(header.link)}, the image's last epoch ${head.epoch} has checksum ` +
            `${hex(head.fileChecksum)}`,
        );
      }
      await image.apply(epoch);
      onApplied(header.kind, first.bytes.byteLength);
    }
    return true;
  }

  #shift(): PushedEpoch | undefined {
    const first = this.#waiting.shift();
    this.#bytes -= first?.bytes?.byteLength ?? 0;
    return first;
  }
}
