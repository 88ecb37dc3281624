/** A node as a command sees it: requests over HTTP, answers or failures of the same kinds. */
import { readFileSync } from "node:fs";
import { type Clock, systemClock } from "../base/clock.ts";
import { Failure, type FailureKind } from "../base/failure.ts";
import { ANSWER_MS } from "../base/limits.ts";
import type { Surroundings } from "../server/surroundings.ts";
import { type ParsedArguments, UsageError } from "./arguments.ts";

export const DEFAULT_URL = "http://127.0.0.1:8080";

const KINDS: ReadonlySet<string> = new Set<FailureKind>([
  "invalid",
  "denied",
  "missing",
  "conflict",
  "busy",
  "elsewhere",
  "unavailable",
  "uncertain",
  "too_large",
  "corrupt",
]);

/** How often a request is sent on to the node that answers it. */
const REDIRECTS_MAX = 3;

/** Errors of a connection that never was: nothing was sent. */
const REFUSED = new Set(["ConnectionRefused", "ECONNREFUSED", "FailedToOpenSocket", "ENOTFOUND"]);

export interface ApiRequest {
  readonly method: "GET" | "POST" | "PATCH" | "DELETE";
  /** From the root: "/v1/databases". */
  readonly path: string;
  readonly body?: unknown;
  /** A body that is sent as it is; its `content-type` is one of the headers. */
  readonly bytes?: Uint8Array<ArrayBuffer>;
  readonly headers?: Readonly<Record<string, string>>;
  /** For how long the beginning of the answer is waited for; else `ANSWER_MS`. */
  readonly answerMs?: number;
}

export class ApiClient {
  readonly url: string;
  readonly #token: string | undefined;
  readonly #clock: Clock;
  readonly #waiting = new Set<AbortController>();

  constructor(url: string, token?: string, clock: Clock = systemClock) {
    this.url = url.replace(/\/+$/, "");
    this.#token = token;
    this.#clock = clock;
  }

  /** The parsed answer. Throws the `Failure` that the node answered with. */
  async json<T>(request: ApiRequest): Promise<T> {
    const { text } = await this.text(request);
    try {
      return JSON.parse(text) as T;
    } catch (cause) {
      throw new Failure("corrupt", `The answer of ${this.url} is not JSON`, { cause });
    }
  }

  async text(request: ApiRequest): Promise<{ text: string; epoch: number }> {
    const response = await this.send(request);
    try {
      const text = await response.text();
      return { text, epoch: Number(response.headers.get("headgate-epoch") ?? 0) };
    } catch (cause) {
      throw this.#lost(request, cause);
    }
  }

  /** Waits no longer for answers. False when none was waited for. */
  stopWaiting(): boolean {
    const some = this.#waiting.size > 0;
    for (const controller of this.#waiting) controller.abort();
    return some;
  }

  /** An answer whose status says that it is none is thrown; the caller reads the body. */
  async send(request: ApiRequest): Promise<Response> {
    let response = await this.#sendTo(`${this.url}${request.path}`, request);
    // By hand, since `fetch` leaves the token out when it follows to another node.
    for (let hops = 0; response.status === 307 && hops < REDIRECTS_MAX; hops += 1) {
      const location = response.headers.get("location");
      if (location === null || !URL.canParse(location)) break;
      // What was encrypted so far is not sent in clear.
      if (this.url.startsWith("https:") && !location.startsWith("https:")) break;
      await response.body?.cancel();
      response = await this.#sendTo(location, request);
    }
    if (response.ok) return response;
    throw await this.#failure(request, response);
  }

  async #sendTo(url: string, request: ApiRequest): Promise<Response> {
    const controller = new AbortController();
    this.#waiting.add(controller);
    const { answerMs = ANSWER_MS } = request;
    let isLate = false;
    const cancel = this.#clock.after(answerMs, () => {
      isLate = true;
      controller.abort();
    });
    try {
      return await fetch(url, {
        method: request.method,
        headers: {
          ...(request.body === undefined ? {} : { "content-type": "application/json" }),
          ...(this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` }),
          ...request.headers,
        },
        ...(request.bytes === undefined ? {} : { body: request.bytes }),
        ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
        // A connection that was used before is where a request may be sent twice.
        keepalive: false,
        redirect: "manual",
        signal: controller.signal,
      });
    } catch (cause) {
      if (isLate) {
        const message = `${this.url} did not answer within ${answerMs / 1000} s`;
        throw new Failure(kindOfLost(request), message, { cause });
      }
      if (controller.signal.aborted) throw stoppedWaiting(request, cause);
      throw this.#lost(request, cause);
    } finally {
      cancel();
      this.#waiting.delete(controller);
    }
  }

  #lost(request: ApiRequest, cause: unknown): Failure {
    if (REFUSED.has(String(Object(cause).code))) {
      return new Failure("unavailable", `Cannot reach ${this.url}: is a node running there?`, {
        cause,
      });
    }
    return new Failure(
      kindOfLost(request),
      `The connection to ${this.url} broke before the answer came`,
      {
        cause,
      },
    );
  }

  async #failure(request: ApiRequest, response: Response): Promise<Failure> {
    const text = await response.text().catch(() => "");
    const said = parseFailure(text);
    if (said) return said;
    // What stands before a node gives up on it, and does not know what the node did.
    const kind = response.status >= 500 ? kindOfLost(request) : "unavailable";
    const start = text.slice(0, 200).trim();
    return new Failure(kind, `${this.url} answered ${response.status}: ${start}`);
  }
}

/** True where no answer came: what became of the connection is the cause then. */
export function isSilence(failure: Failure): boolean {
  return failure.cause !== undefined;
}

/** What `{"error": …}` says; null for any other text. */
export function parseFailure(text: string): Failure | null {
  const error: Record<string, unknown> = Object(Object(parse(text)).error);
  const { kind, message, leader, details, retry_after_ms: retryAfterMs } = error;
  if (typeof kind !== "string" || !KINDS.has(kind)) return null;
  return new Failure(kind as FailureKind, String(message), {
    ...(typeof leader === "string" ? { leader } : {}),
    ...(typeof retryAfterMs === "number" ? { retryAfterMs } : {}),
    ...(typeof details === "object" && details !== null
      ? { details: details as Record<string, unknown> }
      : {}),
  });
}

/** What no answer means: only a request that changes something may have been done. */
function kindOfLost({ method, path }: ApiRequest): "unavailable" | "uncertain" {
  return method === "GET" || path.endsWith("/query") ? "unavailable" : "uncertain";
}

function stoppedWaiting(request: ApiRequest, cause: unknown): Failure {
  const kind = kindOfLost(request);
  const rest = kind === "uncertain" ? "; it may yet be done" : "";
  return new Failure(kind, `No longer waiting for the answer${rest}`, { cause });
}

/** The client that `--url`, `--token` and `--token-file`, or the environment, name. */
export function clientOf(args: ParsedArguments, around: Surroundings): ApiClient {
  const { environment, clock } = around;
  const url = args.text("url") ?? (environment["HEADGATE_URL"] || DEFAULT_URL);
  return new ApiClient(checkUrl(url), tokenOf(args, environment), clock);
}

/** A client for each address, where several may be given, with commas or one `--url` after another. */
export function clientsOf(args: ParsedArguments, around: Surroundings): readonly ApiClient[] {
  const { environment, clock } = around;
  const given = args.has("url") ? args.all("url") : [environment["HEADGATE_URL"] || DEFAULT_URL];
  const token = tokenOf(args, environment);
  const urls = given.flatMap((text) => text.split(",")).map((url) => checkUrl(url.trim()));
  return [...new Set(urls)].map((url) => new ApiClient(url, token, clock));
}

function checkUrl(url: string): string {
  if (URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)) return url;
  throw new UsageError(`${JSON.stringify(url)} is not a URL, as in ${DEFAULT_URL}`);
}

/** Options before the environment, a token before a file. */
export function tokenOf(
  args: ParsedArguments,
  environment: Surroundings["environment"],
): string | undefined {
  const token = args.text("token");
  const file = args.text("token-file");
  if (token !== undefined && file !== undefined) {
    throw new UsageError("Give --token or --token-file, not both");
  }
  if (token !== undefined) return checkToken(token, "--token");
  if (file !== undefined) return tokenIn(file);
  if (environment["HEADGATE_TOKEN"]) {
    return checkToken(environment["HEADGATE_TOKEN"], "HEADGATE_TOKEN");
  }
  return environment["HEADGATE_TOKEN_FILE"]
    ? tokenIn(environment["HEADGATE_TOKEN_FILE"])
    : undefined;
}

function tokenIn(file: string): string {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    const code = String(Object(cause).code ?? cause);
    throw new Failure("invalid", `Cannot read the token file ${file}: ${code}`, { cause });
  }
  return checkToken(text, file);
}

/** A header holds no line breaks; the message does not show what was found. */
function checkToken(text: string, origin: string): string {
  const token = text.trim();
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new UsageError(`${origin} holds no token: it is empty, or has spaces or line breaks in it`);
}

/** What the process ends with. */
export function exitCode(failure: Failure): number {
  switch (failure.kind) {
    case "elsewhere":
    case "unavailable":
    case "busy":
      return 3;
    case "uncertain":
      return 4;
    default:
      return 1;
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
