/** What the pool and a reader process say to each other, as lists to keep the JSON short. */
import type { AnswerFailure } from "./workspace.ts";
import type { Parameters } from "./statement.ts";

export type ToReader =
  /** The file of shared words (`shared-words.ts`); large results go to `resultPath`s. First. */
  | readonly ["open", words: string, results: string]
  | readonly ["read", ReadBatch]
  /** Close the connection to an image; answered by `forgotten`. */
  | readonly ["forget", path: string];

/** Reads of one image, executed in order within one read transaction. */
export interface ReadBatch {
  /** Ascends, from 1, for each reader. */
  readonly id: number;
  /** Number of the first read; the others follow. Ascends, from 1, for each reader. */
  readonly first: number;
  readonly path: string;
  /** What the image holds while this batch is at it. */
  readonly epoch: number;
  /** The texts of its statements, each once. */
  readonly sql: readonly string[];
  readonly reads: readonly BatchRead[];
}

export type BatchRead = readonly [
  /** Into `sql`. */
  sql: number,
  params: Parameters | null,
  byLine: 0 | 1,
  resultBytesMax: number,
];

export type FromReader =
  | readonly ["ready"]
  /** Results of the reads from `at` on; `last` when no more of this batch follow. */
  | readonly ["results", batch: number, at: number, results: readonly Result[], last: 0 | 1]
  | readonly ["forgotten", path: string];

/** A result small enough to be here, or in a file, or why there is none. */
export type Result = string | ResultFile | { readonly failure: AnswerFailure };

export interface ResultFile {
  readonly path: string;
  readonly size: number;
}

const RESULT_SUFFIX = ".result";

/** Where a reader puts its nth large result; `results` is its own. */
export function resultPath(results: string, number: number): string {
  return `${results}.${number}${RESULT_SUFFIX}`;
}

/** The number of a path as above, or null for another. */
export function resultNumber(results: string, path: string): number | null {
  if (!path.startsWith(`${results}.`) || !path.endsWith(RESULT_SUFFIX)) return null;
  return Number(path.slice(results.length + 1, -RESULT_SUFFIX.length));
}
