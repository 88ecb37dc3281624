/** What every route works with. */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import * as limits from "../base/limits.ts";
import type { HeadgateNode } from "./node.ts";

export interface HttpLimits {
  readonly bodyBytesMax: number;
  /** Time for a request's body to arrive. */
  readonly bodyTimeoutMs: number;
  readonly resultBytesMax: number;
  /** Deadlines of requests that name none. */
  readonly readTimeoutMs: number;
  readonly writeTimeoutMs: number;
}

export const HTTP_LIMITS: HttpLimits = {
  bodyBytesMax: limits.BODY_BYTES_MAX,
  bodyTimeoutMs: limits.BODY_TIMEOUT_MS,
  resultBytesMax: limits.RESULT_BYTES_MAX,
  readTimeoutMs: limits.READ_TIMEOUT_MS,
  writeTimeoutMs: limits.WRITE_TIMEOUT_MS,
};

export interface HttpOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly limits?: Partial<HttpLimits>;
  /** Told of every error that is a bug of ours, after it has been logged. */
  readonly onBug?: (error: unknown) => void;
}

export interface HttpParts {
  readonly node: HeadgateNode;
  readonly clock: Clock;
  readonly log: Log;
  readonly limits: HttpLimits;
  readonly onBug: (error: unknown) => void;
}
