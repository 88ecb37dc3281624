/**
 * The port of the owner's workspace: the second copy of a database, where transactions execute
 * before they are durable. `replica/owner` drives it; `database/writer` implements it with a child
 * process, and the simulation with one of its own.
 *
 * A batch is open from the first `execute` after a `take` until the next `take`. The workspace
 * isolates the requests of a batch from each other and survives its child's death: a request that
 * runs into its deadline or a limit is answered alone, the others are run again.
 */
import type { EncodedEpoch, EpochKind } from "../epoch/epoch.ts";
import type { FailureKind } from "../base/failure.ts";
import type { WriteRequest } from "./statement.ts";

export interface Workspace {
  /**
   * Puts requests into the open batch (and opens one); they begin to execute at once. Ids are the
   * caller's, unique within the batch. Never rejects.
   */
  execute(requests: readonly BatchRequest[]): void;

  /** Resolves when everything given to `execute` so far has executed. */
  settled(): Promise<void>;

  /**
   * Sets who is told at once when a request was ended at its deadline or a limit: that answer
   * depends on nothing that has to become durable. The request is in the next `take`'s answers too.
   */
  onEnded(listener: (id: number, failure: AnswerFailure) => void): void;

  /**
   * Waits until the batch has executed, commits it, and encodes what it changed as epoch
   * `after + 1`, where `after` is the last epoch that was taken (or the one it was made from).
   * Rejects only if the workspace cannot go on; then it must be closed and made anew.
   */
  take(options: TakeOptions): Promise<Taken>;

  /**
   * Encodes a whole new content as the next epoch, into a file, keeping the `_headgate_*` tables of
   * the tip. No batch may be open. Afterwards nothing executes until the workspace is made anew
   * from the image. `too_large` above `OBJECT_BYTES_MAX`.
   */
  rewrite(options: RewriteOptions): Promise<Rewritten>;

  /** Ends the child and removes the files. Pending calls reject. */
  close(): Promise<void>;
}

export interface BatchRequest {
  readonly id: number;
  readonly request: WriteRequest;
}

export interface TakeOptions {
  readonly kind: EpochKind;
  /** At least this; the epoch's timestamp is max(this, previous + 1). */
  readonly timestampMs: number;
  readonly nodeId: bigint;
  /** Pages' bytes above which requests are put off to the next batch, or refused when alone. */
  readonly epochBytesMax?: number;
}

export interface Taken {
  /** Null when no page changed: nothing is to be made durable. */
  readonly epoch: TakenEpoch | null;
  readonly answers: readonly Answer[];
  /** Ids that did not fit this epoch; none of their effects is in it. Execute them again. */
  readonly putOff: readonly number[];
}

export interface TakenEpoch extends EncodedEpoch {
  readonly number: number;
  readonly databaseChecksum: bigint;
  readonly timestampMs: number;
}

/**
 * The outcome of one request. `result` is the JSON text `"results":[…]` without braces, to which the
 * caller adds the epoch; a request whose idempotency key was seen before has `replayed` instead:
 * the whole answer as it was given the first time.
 */
export type Answer =
  | { readonly id: number; readonly kind: "done"; readonly result: string }
  | { readonly id: number; readonly kind: "replayed"; readonly answer: string }
  | { readonly id: number; readonly kind: "failed"; readonly failure: AnswerFailure };

export interface AnswerFailure {
  readonly kind: FailureKind;
  readonly message: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

export interface RewriteOptions {
  /** A SQLite file with the new content, or "empty". */
  readonly source: { readonly path: string } | "empty";
  /** Keep the answers of idempotency keys; a tombstone does not. */
  readonly keepRequests: boolean;
  readonly kind: EpochKind;
  readonly timestampMs: number;
  readonly nodeId: bigint;
}

export interface Rewritten {
  readonly path: string;
  readonly size: number;
  readonly fileChecksum: bigint;
  readonly number: number;
  readonly databaseChecksum: bigint;
  readonly timestampMs: number;
}
