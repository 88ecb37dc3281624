/**
 * Readers that run in this process: each read passes the image's gate, holds it for a while, and
 * then sees one epoch.
 */
import { Failure } from "../../src/base/failure.ts";
import type { Random } from "../../src/base/random.ts";
import type { GatedRead, Image } from "../../src/database/image.ts";
import type { Readers, ReadResult } from "../../src/database/reads.ts";
import type { ReadRequest } from "../../src/database/statement.ts";
import type { SimulatedClock } from "./simulated-clock.ts";

export interface LocalReadersOptions {
  readonly clock: SimulatedClock;
  readonly random: Random;
  /** Reads out of a hundred that stay longer than epochs are willing to wait. */
  readonly slowPercent: number;
}

export class LocalReaders implements Readers {
  readonly #options: LocalReadersOptions;

  constructor(options: LocalReadersOptions) {
    this.#options = options;
  }

  query(image: Image, request: ReadRequest): Promise<ReadResult> {
    const { clock, random, slowPercent } = this.#options;
    const { promise, resolve, reject } = Promise.withResolvers<ReadResult>();
    let isOver = false;
    const over = (settle: () => void) => {
      if (isOver) return;
      isOver = true;
      image.gate.leave(read);
      settle();
    };
    const read: GatedRead = {
      begin: () => {
        const slow = random.below(100) < slowPercent;
        clock.after(slow ? 8_000 : random.below(2_000) / 1000, () => {
          if (isOver) return;
          this.#read(image, request).then(
            (result) => over(() => resolve(result)),
            (error) => over(() => reject(error)),
          );
        });
      },
      cancel: () => {
        clock.after(
          0,
          () =>
            over(() => reject(new Failure("unavailable", "cancelled: conflict with replication"))),
        );
      },
    };
    image.gate.enter(read);
    return promise;
  }

  async forget(): Promise<void> {}

  async close(): Promise<void> {}

  async #read(image: Image, { sql }: ReadRequest): Promise<ReadResult> {
    return await image.read((database) => {
      const { epoch } = image.head;
      try {
        const rows = database.query(sql).values();
        return { kind: "text", text: JSON.stringify({ rows, epoch }), epoch };
      } catch (error) {
        throw new Failure("invalid", `Cannot read at epoch ${epoch}`, { cause: error });
      }
    });
  }
}
