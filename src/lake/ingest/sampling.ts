/** A body of which the beginning is read first and then, with the rest, once more. */

export class Sampling {
  readonly #rest: AsyncIterator<Uint8Array>;
  #seen: Uint8Array[] = [];
  #bytes = 0;

  constructor(body: AsyncIterable<Uint8Array>) {
    this.#rest = body[Symbol.asyncIterator]();
  }

  /** Bytes of the sample so far. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Ending it early leaves the rest of the body where it is. */
  async *sample(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const { done, value } = await this.#rest.next();
      if (done === true) return;
      this.#seen.push(value.slice());
      this.#bytes += value.length;
      yield value;
    }
  }

  /** The whole body, once. */
  async *whole(): AsyncGenerator<Uint8Array> {
    const seen = this.#seen;
    this.#seen = [];
    try {
      yield* seen;
      for (;;) {
        const { done, value } = await this.#rest.next();
        if (done === true) return;
        yield value;
      }
    } finally {
      await this.close();
    }
  }

  async close(): Promise<void> {
    await this.#rest.return?.();
  }
}
