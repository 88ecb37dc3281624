/** Bytes of a connection → HTTP/1.1 requests with their bodies, for the fault proxy. */
export interface RawRequest {
  readonly method: string;
  /** Path and query as they were sent. */
  readonly target: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Buffer;
}

export class RequestReader {
  #pending: Buffer[] = [];
  #bytes = 0;
  #head: (Omit<RawRequest, "body"> & { readonly length: number }) | null = null;
  readonly #onExpect: () => void;

  /** `onExpect` is called for a head with "Expect: 100-continue". */
  constructor(onExpect: () => void) {
    this.#onExpect = onExpect;
  }

  /** The requests that these bytes complete. */
  push(chunk: Buffer): RawRequest[] {
    this.#pending.push(chunk);
    this.#bytes += chunk.length;
    const done: RawRequest[] = [];
    while (true) {
      this.#head ??= this.#readHead();
      const head = this.#head;
      if (head === null || this.#bytes < head.length) return done;
      const all = this.#take();
      done.push({ ...head, body: all.subarray(0, head.length) });
      this.#put(all.subarray(head.length));
      this.#head = null;
    }
  }

  #readHead() {
    const all = this.#take();
    const end = all.indexOf("\r\n\r\n");
    if (end < 0) {
      this.#put(all);
      return null;
    }
    this.#put(all.subarray(end + 4));
    const [first = "", ...lines] = all.toString("latin1", 0, end).split("\r\n");
    const [method = "", target = ""] = first.split(" ");
    const headers = lines.map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon), line.slice(colon + 1).trim()] as const;
    });
    const header = (name: string) => headers.find(([found]) => found.toLowerCase() === name)?.[1];
    if (header("expect") !== undefined) this.#onExpect();
    return { method, target, headers, length: Number(header("content-length") ?? 0) };
  }

  #take(): Buffer {
    const all = this.#pending.length === 1 ? this.#pending[0] : Buffer.concat(this.#pending);
    this.#pending = [];
    this.#bytes = 0;
    return all ?? Buffer.alloc(0);
  }

  #put(rest: Buffer): void {
    if (rest.length > 0) this.#pending.push(rest);
    this.#bytes += rest.length;
  }
}
