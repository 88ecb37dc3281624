/**
 * The port of reading: a query goes to a reader process over an image, and the answer comes back
 * spooled whole. `reader-pool.ts` implements it.
 */
import type { Image } from "./image.ts";
import type { ReadRequest } from "./statement.ts";

export interface Readers {
  /**
   * Executes one read-only statement on the image. Rejects with `invalid`, `too_large` (result or
   * memory above its limit), `busy`, or `unavailable` (deadline; "cancelled: conflict with
   * replication").
   */
  query(image: Image, request: ReadRequest): Promise<ReadResult>;
  /** Forgets connections to an image that is about to be closed. */
  forget(image: Image): Promise<void>;
  close(): Promise<void>;
}

/**
 * The complete answer as `query` gives it over HTTP (JSON, or NDJSON with `byLine`), `epoch`
 * included. A large one is a file that the receiver removes with `done`.
 */
export type ReadResult =
  | { readonly kind: "text"; readonly text: string; readonly epoch: number }
  | {
    readonly kind: "file";
    readonly path: string;
    readonly size: number;
    readonly epoch: number;
    done(): void;
  };
