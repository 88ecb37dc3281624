/**
 * What a bad disk or a lying store may give back in place of an epoch: one bit flipped, the end cut
 * off, or an epoch of the same content from another history. It must be found and never served.
 */
import type { Random } from "../../src/base/random.ts";
import { EpochDecoder } from "../../src/epoch/decode.ts";
import { encodeEpoch } from "../../src/epoch/encode.ts";

export type Damage = "flipped bit" | "cut off" | "another history";

export function damaged(bytes: Uint8Array, damage: Damage, random: Random): Uint8Array {
  switch (damage) {
    case "flipped bit": {
      const copy = bytes.slice();
      const at = random.below(copy.length);
      copy[at] = copy[at]! ^ (1 << random.below(8));
      return copy;
    }
    case "cut off":
      return bytes.slice(0, random.below(bytes.length));
    case "another history": {
      const decoder = new EpochDecoder("an epoch to be forged");
      const pages = [...decoder.push(bytes)];
      const { header } = decoder.finish();
      return encodeEpoch({ ...header, link: header.link ^ 0xffn }, pages).bytes;
    }
  }
}

/** At most one object in a while for each process, and never one that it wrote itself. */
export class Damages {
  readonly #random: Random;
  readonly #own = new Set<string>();
  readonly #lastMs = new Map<string, number>();
  /** Objects out of a thousand. */
  perMille: number;
  count = 0;

  constructor(random: Random, perMille: number) {
    this.#random = random;
    this.perMille = perMille;
  }

  wrote(sender: string, key: string): void {
    this.#own.add(`${sender} ${key}`);
  }

  /** What the sender gets in place of `bytes`. */
  read(sender: string, key: string, bytes: Uint8Array, nowMs: number): Uint8Array {
    if (!key.includes("/0000/") || this.#own.has(`${sender} ${key}`)) return bytes;
    if (this.#random.below(1000) >= this.perMille) return bytes;
    // What is rebuilt because of one must not meet the next: that would be a broken store.
    if (nowMs - (this.#lastMs.get(sender) ?? -Infinity) < APART_MS) return bytes;
    this.#lastMs.set(sender, nowMs);
    this.count++;
    const kinds: Damage[] = ["flipped bit", "cut off", "another history"];
    return damaged(bytes, kinds[this.#random.below(3)] ?? "cut off", this.#random);
  }
}

const APART_MS = 90_000;
