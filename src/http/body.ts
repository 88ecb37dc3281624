/**
 * The body of a request → JSON, with a limit on its bytes and on the time it takes to arrive. The
 * server below would answer a body over its own limit without a word, so ours is checked first.
 */
import { Failure } from "../base/failure.ts";
import { findJsonError } from "./json-position.ts";
import type { HttpParts } from "./parts.ts";

/** How often the bodies that are still arriving are looked at. */
const SWEEP_MS = 1_000;

/** How long an answer waits for a body that nobody wants. */
const DISCARD_MS = 5_000;

const decoder = new TextDecoder("utf-8", { fatal: true });

/** What bodies of many requests share. */
export interface BodyBytes {
  /** Before so many bytes more are held. Throws `busy`. */
  take(bytes: number): void;
}

export class BodyReader {
  readonly #parts: HttpParts;
  /** One timer for all: a timer a request would cost more than the rest of its reading. */
  readonly #arriving = new Set<Arriving>();
  #stopSweeping: (() => void) | null = null;

  constructor(parts: HttpParts) {
    this.#parts = parts;
  }

  /** Throws `invalid` (type, encoding, syntax, time) or `too_large`. */
  async json(request: Request, bytesMax?: number): Promise<unknown> {
    return this.parse(await this.read(request, bytesMax));
  }

  /** The same for a route that takes a request without a body too: undefined then. */
  async optionalJson(request: Request): Promise<unknown> {
    const isEmpty = request.body === null || request.headers.get("content-length") === "0";
    return isEmpty ? undefined : await this.json(request);
  }

  /** The bytes of a body that says it is JSON. Rejects with `invalid` or `too_large`. */
  read(request: Request, bytesMax?: number): Promise<Uint8Array> {
    const type = request.headers.get("content-type");
    // A browser sends any other type to us from a foreign page without asking first.
    if (type !== "application/json" && !/^application\/json\s*(;|$)/i.test(type ?? "")) {
      return Promise.reject(
        new Failure(
          "invalid",
          `Cannot read the body: its content-type is ${type ?? "missing"}; send application/json`,
        ),
      );
    }
    return this.#bytes(request, bytesMax);
  }

  /** The bytes of a body of any type, as they were sent, for which `room` has to have room. */
  bytes(request: Request, bytesMax: number, room: BodyBytes): Promise<Uint8Array> {
    return this.#bytes(request, bytesMax, room);
  }

  parse(bytes: Uint8Array): unknown {
    let text: string;
    try {
      text = decoder.decode(bytes);
    } catch (cause) {
      throw new Failure("invalid", "Cannot read the body: it is not UTF-8", { cause });
    }
    try {
      return JSON.parse(text);
    } catch (cause) {
      const found = findJsonError(text);
      const where = found === null
        ? "nested too deeply"
        : `${found.reason} at line ${found.line}, column ${found.column}`;
      throw new Failure("invalid", `Cannot read the body: it is not JSON: ${where}`, { cause });
    }
  }

  /**
   * Lets a body that nobody wants arrive, for a while: over HTTP/2 an answer that overtakes the body
   * is followed by a reset of the stream, and the client then sees no answer.
   */
  async discard(request: Request): Promise<void> {
    if (request.body === null || request.bodyUsed) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#parts.clock.after(DISCARD_MS, resolve);
    drain(request.body).then(resolve, () => resolve());
    await promise;
    cancel();
  }

  async #bytes(
    request: Request,
    bytesMax: number | undefined,
    room?: BodyBytes,
  ): Promise<Uint8Array> {
    const { limits } = this.#parts;
    const { bodyTimeoutMs } = limits;
    const bodyBytesMax = bytesMax ?? limits.bodyBytesMax;
    const length = request.headers.get("content-length");
    if (length !== null && Number(length) > bodyBytesMax) {
      throw tooLarge(bodyBytesMax);
    }
    if (length !== null) room?.take(Number(length));
    // Reading in pieces costs more than all the rest of a small request, so it is for bodies that do
    // not say how long they are: the server below ends one that is longer than it said. HTTP/2
    // without a length is bounded by the server's own limit, which lies above ours and is answered
    // 413 without JSON. A limit of its own is for those who may not send much at all.
    const chunked = length === null &&
      (bytesMax !== undefined || request.headers.has("transfer-encoding"));
    const arrived = length === null ? room : undefined;
    const reading = chunked ? readCounted(request, bodyBytesMax, arrived) : request.bytes();
    return await new Promise((resolve, reject) => {
      const arriving: Arriving = {
        giveUpMs: this.#parts.clock.monotonicMs() + bodyTimeoutMs,
        giveUp: () => {
          reject(
            new Failure("invalid", `Cannot read the body: it took more than ${bodyTimeoutMs} ms`),
          );
        },
      };
      this.#watch(arriving);
      reading.then((bytes) => {
        this.#arriving.delete(arriving);
        if (bytes.byteLength > bodyBytesMax) return reject(tooLarge(bodyBytesMax));
        if (length !== null && bytes.byteLength > Number(length)) return reject(longerThanSaid());
        resolve(bytes);
      }, (cause) => {
        this.#arriving.delete(arriving);
        reject(
          cause instanceof Failure
            ? cause
            : new Failure("invalid", "Cannot read the body: it ended too early", { cause }),
        );
      });
    });
  }

  #watch(arriving: Arriving): void {
    this.#arriving.add(arriving);
    this.#stopSweeping ??= this.#parts.clock.after(SWEEP_MS, () => this.#sweep());
  }

  /** Runs again only while something is arriving. */
  #sweep(): void {
    this.#stopSweeping = null;
    const nowMs = this.#parts.clock.monotonicMs();
    for (const arriving of this.#arriving) {
      if (arriving.giveUpMs > nowMs) continue;
      this.#arriving.delete(arriving);
      arriving.giveUp();
    }
    if (this.#arriving.size > 0) {
      this.#stopSweeping = this.#parts.clock.after(SWEEP_MS, () => this.#sweep());
    }
  }
}

interface Arriving {
  readonly giveUpMs: number;
  giveUp(): void;
}

/** Reads no further than the limit. */
async function readCounted(
  request: Request,
  bytesMax: number,
  room: BodyBytes | undefined,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body ?? []) {
    size += chunk.byteLength;
    if (size > bytesMax) throw tooLarge(bytesMax);
    room?.take(chunk.byteLength);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size);
}

async function drain(body: ReadableStream<Uint8Array>): Promise<void> {
  const reader = body.getReader();
  while (!(await reader.read()).done);
}

function longerThanSaid(): Failure {
  return new Failure("invalid", "Cannot read the body: it is longer than its content-length");
}

function tooLarge(bytesMax: number): Failure {
  return new Failure(
    "too_large",
    `Cannot read the body: it is larger than the ${bytesMax} bytes that are allowed`,
    { details: { limit_bytes: bytesMax } },
  );
}
