/**
 * The messages of an Arrow stream, each whole and within its limits (Arrow columnar format, "IPC
 * Streaming Format"): a marker, the length of the head, the head, the body. The end is marked as
 * well; a stream that just stops may have been cut, and is refused.
 */
import { Failure, type FailureKind } from "../../base/failure.ts";
import { ARROW_HEAD_BYTES_MAX } from "../../base/lake-limits.ts";
import { checkHead } from "./arrow-head.ts";

const PREFIX_BYTES = 8;
const WHY_CHARACTERS_MAX = 200;
const MARKER = 0xffff_ffff;

export async function* arrowMessages(
  body: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const bytes = new Bytes(body);
  try {
    for (;;) {
      const message = await nextMessage(bytes);
      if (message === null) break;
      yield message;
    }
    if ((await bytes.take(1)).length > 0) {
      throw damaged("there are bytes after the mark of its end");
    }
  } finally {
    await bytes.close();
  }
}

async function nextMessage(bytes: Bytes): Promise<Uint8Array | null> {
  const prefix = await bytes.take(PREFIX_BYTES);
  if (prefix.length === 0) throw damaged("it ends without the mark of its end");
  const headBytes = headLength(prefix);
  if (headBytes === 0) return null;
  const head = await bytes.take(headBytes);
  if (head.length < headBytes) throw cut();
  const bodyBytes = checked(head);
  const rest = await bytes.take(bodyBytes);
  if (rest.length < bodyBytes) throw cut();
  const message = new Uint8Array(PREFIX_BYTES + headBytes + bodyBytes);
  message.set(prefix);
  message.set(head, PREFIX_BYTES);
  message.set(rest, PREFIX_BYTES + headBytes);
  return message;
}

/** 0 for the end of the stream. */
function headLength(prefix: Uint8Array): number {
  if (prefix.length < PREFIX_BYTES) throw cut();
  const view = new DataView(prefix.buffer, prefix.byteOffset, PREFIX_BYTES);
  if (view.getUint32(0, true) !== MARKER) throw damaged("a message does not begin with its mark");
  const bytes = view.getUint32(4, true);
  if (bytes <= ARROW_HEAD_BYTES_MAX) return bytes;
  throw damaged(`a message's head has ${bytes} bytes; allowed: ${ARROW_HEAD_BYTES_MAX}`);
}

function checked(head: Uint8Array): number {
  try {
    return checkHead(head);
  } catch (error) {
    throw damaged(error instanceof Error ? error.message : String(error), "invalid", error);
  }
}

function cut(): Failure {
  return damaged("it ends within a message");
}

export function damaged(why: string, kind: FailureKind = "invalid", cause?: unknown): Failure {
  return new Failure(kind, `Cannot read the Arrow stream: ${why.slice(0, WHY_CHARACTERS_MAX)}`, {
    cause,
  });
}

/** Takes bytes from a body by number. */
class Bytes {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #chunk: Uint8Array = new Uint8Array(0);

  constructor(body: AsyncIterable<Uint8Array>) {
    this.#chunks = body[Symbol.asyncIterator]();
  }

  /** So many bytes, fewer at the end. */
  async take(bytes: number): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    let taken = 0;
    while (taken < bytes) {
      if (this.#chunk.length === 0) {
        const { done, value } = await this.#chunks.next();
        if (done === true) break;
        this.#chunk = value;
        continue;
      }
      const part = this.#chunk.subarray(0, bytes - taken);
      parts.push(part.slice());
      taken += part.length;
      this.#chunk = this.#chunk.subarray(part.length);
    }
    return parts.length === 1 ? parts[0] ?? this.#chunk : Buffer.concat(parts);
  }

  async close(): Promise<void> {
    await this.#chunks.return?.();
  }
}
