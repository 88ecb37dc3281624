/**
 * What a workspace and its child say to each other, as JSON. Messages are handled in the order in
 * which they were sent. 64-bit numbers travel as decimal text.
 */
import type { EpochKind } from "../epoch/epoch.ts";
import type { WriteRequest } from "./statement.ts";
import type { AnswerFailure } from "./workspace.ts";

/** The last epoch that was taken, or the one that the workspace was made from. */
export interface WriterHead {
  readonly epoch: number;
  readonly commit: number;
  readonly databaseChecksum: string;
  readonly fileChecksum: string;
  readonly timestampMs: number;
}

export type ToWriter =
  | {
    readonly kind: "open";
    /** The database file; its log stands beside it. */
    readonly path: string;
    readonly pageSize: number;
    /** Null: a new database is made. */
    readonly head: WriterHead | null;
    /** The file is a fresh copy of an image, which SQLite has not opened yet. */
    readonly isCopy: boolean;
    /** A file of eight bytes; the first four are the serial of the request that is executing, or 0. */
    readonly progressPath: string;
    /** For what is too large for a message. */
    readonly directory: string;
  }
  | {
    readonly kind: "execute";
    /** Of the first request; the others count on. */
    readonly serial: number;
    readonly nowMs: number;
    /** One transaction each: an earlier try has shown that they do not fit into one. */
    readonly alone: boolean;
    readonly epochBytesMax: number;
    readonly requests: readonly WriteRequest[];
  }
  | {
    readonly kind: "take";
    readonly epochKind: EpochKind;
    readonly timestampMs: number;
    readonly nodeId: string;
    readonly epochBytesMax: number;
  }
  | {
    readonly kind: "rewrite";
    readonly sourcePath: string | null;
    readonly keepRequests: boolean;
    readonly epochKind: EpochKind;
    readonly timestampMs: number;
    readonly nodeId: string;
  };

/**
 * A request's outcome: the text of its results, or that text in a file, or what else became of it.
 * `putOff`: it did not fit this epoch, and none of its effects is in it.
 */
export type WriterAnswer =
  | string
  | { readonly file: string }
  | { readonly replayed: string }
  | { readonly failed: AnswerFailure }
  | { readonly putOff: true };

/** Bytes of an epoch: base64 in the message, or the path of a file to be read and removed. */
export type WriterBytes = { readonly base64: string } | { readonly path: string };

/** A taken epoch; its facts are the next head. */
export interface WriterEpoch extends WriterHead {
  readonly bytes: WriterBytes;
}

/** Where the log ended with the last taken commit, and the salts that tell whether it still does. */
export interface LogEnd {
  readonly offset: number;
  readonly salt0: number;
  readonly salt1: number;
}

export type FromWriter =
  | { readonly kind: "ready" }
  /** The next answers, in the order of the requests. */
  | { readonly kind: "answers"; readonly answers: readonly WriterAnswer[] }
  /** The answers to this batch given so far do not hold: it runs again, from its first request. */
  | { readonly kind: "again" }
  | {
    readonly kind: "taken";
    readonly epoch: WriterEpoch | null;
    readonly logEnd: LogEnd | null;
    /** The log holds commits behind `logEnd` that are in no epoch; the child does nothing more. */
    readonly mustCut: boolean;
  }
  /**
   * The batch does not fit an epoch and was committed already; the child does nothing more. With a
   * serial, that request alone is too large.
   */
  | { readonly kind: "overflow"; readonly serial: number | null; readonly pages: number }
  | {
    readonly kind: "rewritten";
    readonly path: string;
    readonly size: number;
    readonly number: number;
    readonly fileChecksum: string;
    readonly databaseChecksum: string;
    readonly timestampMs: number;
  }
  /** Ends what was asked. Fatal when the workspace cannot go on. */
  | { readonly kind: "failed"; readonly fatal: boolean; readonly failure: AnswerFailure };
