/** Answers: JSON, files, and failures. Every one says which node and which epoch it speaks of. */
import { describe, Failure, type FailureKind, isFailure } from "../base/failure.ts";
import { SPOOL_BYTES_READ_MAX } from "../base/limits.ts";
import { masked } from "../base/masked.ts";
import { challengeOf } from "./denied.ts";
import type { ExportedFile } from "./node.ts";
import type { HttpParts } from "./parts.ts";

export const JSON_TYPE = "application/json";
export const NDJSON_TYPE = "application/x-ndjson";

/** After this time the server has opened the file of an answer, and its name may go. */
const FILE_OPENED_MS = 2_000;

const STATUS: Readonly<Record<FailureKind, number>> = {
  invalid: 400,
  denied: 403,
  missing: 404,
  conflict: 409,
  too_large: 413,
  busy: 429,
  elsewhere: 307,
  unavailable: 503,
  uncertain: 504,
  corrupt: 500,
};

/** `epoch` is that of the database which the answer speaks of; of `system` when it speaks of none. */
export function textAnswer(
  parts: HttpParts,
  text: string,
  epoch: number,
  type: string = JSON_TYPE,
): Response {
  const node = parts.node.id;
  const last = lastHeaders;
  if (last?.epoch !== epoch || last.type !== type || last.node !== node) {
    const headers = new Headers({
      "content-type": type,
      "headgate-epoch": `${epoch}`,
      "headgate-node": node,
    });
    lastHeaders = { epoch, type, node, init: { headers } };
  }
  return new Response(text, lastHeaders?.init);
}

/** Thousands of answers speak of one epoch, and headers cost as much as all else of an answer. */
let lastHeaders: {
  readonly epoch: number;
  readonly type: string;
  readonly node: string;
  readonly init: ResponseInit;
} | null = null;

export function jsonAnswer(
  parts: HttpParts,
  value: unknown,
  options: { readonly status?: number; readonly headers?: Record<string, string> } = {},
): Response {
  return new Response(`${JSON.stringify(value)}\n`, {
    status: options.status ?? 200,
    headers: {
      "content-type": JSON_TYPE,
      "headgate-epoch": `${epochIn(value) ?? parts.node.systemEpoch()}`,
      "headgate-node": parts.node.id,
      ...options.headers,
    },
  });
}

/**
 * Sends a file with its length. The server opens it when the answer starts and says nothing when it
 * ends, so a small file is read first, and the name of a larger one is given back soon after the
 * start: what is open can still be read.
 */
export async function fileAnswer(
  parts: HttpParts,
  file: ExportedFile,
  headers: Record<string, string>,
): Promise<Response> {
  const all = {
    ...headers,
    "headgate-epoch": `${file.epoch}`,
    "headgate-node": parts.node.id,
  };
  if (file.size > SPOOL_BYTES_READ_MAX) {
    parts.clock.after(FILE_OPENED_MS, () => file.done());
    return new Response(Bun.file(file.path), { headers: all });
  }
  try {
    return new Response(await Bun.file(file.path).bytes(), { headers: all });
  } finally {
    file.done();
  }
}

/** What a client is told of anything that was thrown while its request was answered. */
export function failureAnswer(parts: HttpParts, error: unknown, request: Request): Response {
  const failure = isFailure(error) ? error : bug(parts, error, request);
  const headers: Record<string, string> = {
    "content-type": JSON_TYPE,
    "headgate-epoch": `${parts.node.systemEpoch()}`,
    "headgate-node": parts.node.id,
  };
  let status = STATUS[failure.kind];
  if (failure.retryAfterMs !== undefined) {
    headers["retry-after"] = `${Math.max(1, Math.ceil(failure.retryAfterMs / 1000))}`;
  }
  const challenge = challengeOf(failure);
  if (challenge !== null) {
    status = 401;
    headers["www-authenticate"] = challenge;
  }
  if (failure.kind === "elsewhere") {
    if (failure.leader === undefined) status = STATUS.unavailable;
    else headers["location"] = elsewhere(failure.leader, request);
  }
  return new Response(`${failureText(failure)}\n`, { status, headers });
}

/** As JSON, without what may be a secret: messages show what clients sent, wherever they put it. */
export function failureText(failure: Failure): string {
  return masked(JSON.stringify({
    error: {
      kind: failure.kind,
      message: failure.message,
      details: failure.details,
      leader: failure.leader,
      retry_after_ms: failure.retryAfterMs,
    },
  }));
}

/** A path that exists, with a method that it does not have. */
export function wrongMethod(parts: HttpParts, request: Request, allow: string): Response {
  const failure = new Failure(
    "invalid",
    `Cannot ${request.method} ${pathOf(request)}: use ${allow}`,
  );
  const answer = failureAnswer(parts, failure, request);
  const headers = new Headers(answer.headers);
  headers.set("allow", allow);
  return new Response(answer.body, { status: 405, headers });
}

export function pathOf(request: Request): string {
  return new URL(request.url).pathname;
}

/** A bug leaves open whether a write was done; a read did nothing that matters. */
function bug(parts: HttpParts, error: unknown, request: Request): Failure {
  const reads = request.method === "GET" || request.method === "HEAD" ||
    pathOf(request).endsWith("/query");
  parts.log.error("a request met a bug", {
    method: request.method,
    path: pathOf(request),
    error: describe(error),
    stack: error instanceof Error ? error.stack : undefined,
  });
  parts.onBug(error);
  return new Failure(
    reads ? "unavailable" : "uncertain",
    `Cannot answer ${request.method} ${pathOf(request)}: this node met a bug, its log says which`,
    { cause: error },
  );
}

function elsewhere(leader: string, request: Request): string {
  const { pathname, search, protocol } = new URL(request.url);
  const base = leader.includes("://") ? leader : `${protocol}//${leader}`;
  return `${base.replace(/\/+$/, "")}${pathname}${search}`;
}

function epochIn(value: unknown): number | null {
  const epoch: unknown = Object(value).epoch;
  return typeof epoch === "number" ? epoch : null;
}
