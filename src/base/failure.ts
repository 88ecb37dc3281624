/**
 * One class for everything that can go wrong outside our own bugs. Its kind tells the caller what
 * to do next, so a kind is never guessed from a message.
 */

/**
 * - `invalid`      the request is wrong; the same request will never succeed
 * - `denied`       the caller may not do this
 * - `missing`      what it names does not exist
 * - `conflict`     it contradicts what is there
 * - `too_large`    it exceeds a limit that the message names
 * - `busy`         a queue is full; nothing was done; try again after `retryAfterMs`
 * - `elsewhere`    another node answers this; nothing was done here
 * - `unavailable`  nothing was done; try again later
 * - `uncertain`    it may have been done; only an idempotency key makes a retry safe
 * - `corrupt`      stored bytes are not what was written
 */
export type FailureKind =
  | "invalid"
  | "denied"
  | "missing"
  | "conflict"
  | "too_large"
  | "busy"
  | "elsewhere"
  | "unavailable"
  | "uncertain"
  | "corrupt";

export interface FailureOptions {
  readonly cause?: unknown;
  /** Machine-readable facts for the caller. Never a secret. */
  readonly details?: Readonly<Record<string, unknown>>;
  /** Address of the node that answers this, with `elsewhere`. */
  readonly leader?: string;
  readonly retryAfterMs?: number;
}

export class Failure extends Error {
  override readonly name = "Failure";
  readonly kind: FailureKind;
  readonly details: Readonly<Record<string, unknown>> | undefined;
  readonly leader: string | undefined;
  readonly retryAfterMs: number | undefined;

  /** `message` names the action and the values: "Cannot commit epoch 8 of orders: …". */
  constructor(kind: FailureKind, message: string, options: FailureOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.kind = kind;
    this.details = options.details;
    this.leader = options.leader;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** True for a `Failure` of one of the given kinds (of any kind when none is given). */
export function isFailure(error: unknown, ...kinds: FailureKind[]): error is Failure {
  return error instanceof Failure && (kinds.length === 0 || kinds.includes(error.kind));
}

/** The text of any thrown value, with its causes, for logs. */
export function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message}: ${describe(error.cause)}`;
}
