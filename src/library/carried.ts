/**
 * Requests and responses of a program as calls between nodes: all but the body in the head, the body
 * as text where it is UTF-8 and in base64 where it is not. Bodies are whole and bounded: what is
 * large belongs into the store.
 */
import { Failure } from "../base/failure.ts";
import { PROGRAM_BODY_BYTES_MAX } from "../base/limits.ts";
import type { Message } from "../members/call-frame.ts";

type Headers_ = readonly (readonly [string, string])[];

interface RequestHead {
  readonly method: string;
  readonly url: string;
  readonly headers: Headers_;
  readonly base64: boolean;
}

interface ResponseHead {
  readonly status: number;
  readonly headers: Headers_;
  readonly base64: boolean;
}

/** Of one connection, not of what is said over it. */
const OF_A_CONNECTION = new Set([
  "connection",
  "content-length",
  "host",
  "keep-alive",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** Rejects with `too_large`. */
export async function carryRequest(request: Request): Promise<Message> {
  const { base64, text } = textOf(await bodyOf(request, "request"));
  const { method, url } = request;
  const head: RequestHead = { method, url, headers: headersOf(request.headers), base64 };
  return { head, text };
}

/** `signal` is aborted at the caller's deadline. */
export function carriedRequest({ head, text }: Message, signal: AbortSignal): Request {
  const { method, url, headers, base64 } = head as RequestHead;
  const hasBody = text !== "" && method !== "GET" && method !== "HEAD";
  return new Request(url, {
    method,
    headers: headers as [string, string][],
    signal,
    ...(hasBody && { body: bytesOf(text, base64) }),
  });
}

/** Rejects with `too_large`. */
export async function carryResponse(response: Response): Promise<Message> {
  const { base64, text } = textOf(await bodyOf(response, "response"));
  const head: ResponseHead = {
    status: response.status,
    headers: headersOf(response.headers),
    base64,
  };
  return { head, text };
}

export function carriedResponse({ head, text }: Message): Response {
  const { status, headers, base64 } = head as ResponseHead;
  // These have no body, not even an empty one.
  const isBare = text === "" || [101, 204, 205, 304].includes(status);
  return new Response(isBare ? null : bytesOf(text, base64), {
    status,
    headers: headers as [string, string][],
  });
}

function headersOf(headers: Headers): Headers_ {
  return [...headers].filter(([name]) => !OF_A_CONNECTION.has(name));
}

async function bodyOf(message: Request | Response, what: string): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of message.body ?? []) {
    bytes += piece.byteLength;
    if (bytes > PROGRAM_BODY_BYTES_MAX) {
      throw new Failure(
        "too_large",
        `The body of a ${what} between nodes has more than ${PROGRAM_BODY_BYTES_MAX} bytes; ` +
          "put it into the store and send its key",
      );
    }
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

function textOf(bytes: Uint8Array): { readonly base64: boolean; readonly text: string } {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    return { base64: false, text };
  } catch {
    return { base64: true, text: bytes.toBase64() };
  }
}

function bytesOf(text: string, base64: boolean): Uint8Array<ArrayBuffer> {
  return base64 ? Uint8Array.fromBase64(text) : new TextEncoder().encode(text);
}
