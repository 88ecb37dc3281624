/**
 * The words of SQL that crosses a process or a network: statements, parameters, requests and their
 * answers, in the JSON shapes of the HTTP interface.
 */

/**
 * A parameter or a value of a result. Integers beyond ±(2^53 − 1) are `{integer}`, blobs
 * `{base64}`, reals that JSON cannot say `{real}` ("Infinity", "-Infinity", "1.0" is accepted too).
 */
export type JsonValue =
  | null
  | number
  | string
  | boolean
  | { readonly integer: string }
  | { readonly base64: string }
  | { readonly real: string };

export type Parameters = readonly JsonValue[] | Readonly<Record<string, JsonValue>>;

export interface Statement {
  readonly sql: string;
  readonly params?: Parameters;
  /**
   * What a transaction saw of it where it was rehearsed (`expected.ts`): with another result the
   * request fails. Only between nodes: no client of the HTTP interface gives it.
   */
  readonly expect?: string;
}

/** One transaction that a client wants. */
export interface WriteRequest {
  readonly statements: readonly Statement[];
  /** Who asks: the name in the verified token, `anonymous` without auth. */
  readonly subject: string;
  /** Makes the request exactly-once for 24 h, together with the subject. */
  readonly idempotencyKey?: string;
  /**
   * Keys of this subject whose answers nobody will ask for again: forgotten with this request, if it
   * has a key. Only between nodes.
   */
  readonly forgets?: readonly string[];
  /** When the client gives up, on the monotonic clock of this process. */
  readonly deadlineMs: number;
  /**
   * True for the machinery's own statements, which may name `_headgate_*` tables and skip the
   * statement rules. Over a network it comes only from other nodes, for the catalogs of lakes.
   */
  readonly trusted?: boolean;
}

export interface ReadRequest {
  readonly sql: string;
  readonly params?: Parameters;
  /** When the client gives up, on the monotonic clock of this process. */
  readonly deadlineMs: number;
  /** Rows by line (NDJSON) instead of one JSON object. */
  readonly byLine?: boolean;
  /** Encoded bytes above which the answer is `too_large`. */
  readonly resultBytesMax?: number;
}
