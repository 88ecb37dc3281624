/**
 * The port of the image: the pages of a database as of one durable epoch, in a memory-backed file
 * that reader processes open. `database/image-file.ts` implements it.
 */
import type { Database } from "bun:sqlite";
import type { DecodedEpoch, Page } from "../epoch/epoch.ts";
import type { StatementResult } from "./run-statement.ts";
import type { Statement } from "./statement.ts";

export interface Image {
  /**
   * For other processes. In this one nobody may open it: closing any descriptor of a file drops the
   * locks that SQLite holds on it through others (POSIX).
   */
  readonly path: string;
  readonly pageSize: number;
  /** The newest epoch in it, and that epoch's facts. */
  readonly head: ImageHead;
  /** Whom reads of other processes ask before they begin and tell when they have ended. */
  readonly gate: ReadGate;
  /**
   * Writes one epoch, in order (`header.minEpoch` − 1 ≤ head < `header.maxEpoch`), under SQLite's
   * exclusive lock, and checks the database checksum (I6). Calls queue. Long ones work in slices.
   * Rejects with `corrupt` when the checksum differs; the image is then unusable and must be rebuilt.
   * The link is checked too where an epoch is one of level 0; `level` is 0 when absent and the
   * object holds one epoch, else 1.
   */
  apply(epoch: DecodedEpoch, level?: number): Promise<void>;
  /** Bytes of pages given to `apply` and not yet written. */
  readonly waitingBytes: number;
  /** Resolves when head ≥ epoch; rejects with `unavailable` at the deadline (monotonic ms). */
  reached(epoch: number, deadlineMs: number): Promise<void>;
  /**
   * Copies the image as of one epoch into a new file, in slices, while epochs go on (the old bytes
   * of a page that changes are kept), and compares every page with its hash (I6, the scrub).
   */
  copy(path: string): Promise<ImageHead>;
  /**
   * Compares the pages that one slice of time allows with their hashes (I6), going on where the last
   * call stopped. Rejects with `corrupt`, naming the page.
   */
  scrubSlice(): Promise<ScrubProgress>;
  /**
   * Calls `read` with a connection of this process, between two epochs. For the machinery's own
   * small reads and for programs that embed us; SQL from the network goes to reader processes.
   * `read` must not write, keep the handle, or return a promise. Integers come as numbers.
   */
  read<T>(read: (database: Database) => T): Promise<T>;
  /**
   * Calls `run` between two epochs with a way to execute statements of which nothing is kept: it
   * sees what it writes, and then all is as before. `run` must not return a promise. Rejects with
   * what it throws.
   */
  rehearse<T>(run: (rehearsal: Rehearsal) => T): Promise<T>;
  /** Closes the file and removes it. */
  close(): Promise<void>;
}

/** Statements of a program, by the rules for those of the network. Throws what SQLite throws. */
export interface Rehearsal {
  run(statement: Statement): StatementResult;
  /** Throws `invalid` for a statement that may write. */
  read(statement: Statement): StatementResult;
}

export interface ImageHead {
  readonly epoch: number;
  /** Pages. */
  readonly commit: number;
  readonly databaseChecksum: bigint;
  /** File checksum of the level-0 epoch: the next one's link. */
  readonly fileChecksum: bigint;
  readonly timestampMs: number;
}

/** A read of another process, as the gate sees it. */
export interface GatedRead {
  /** It may take SQLite's shared lock now. Called once. */
  begin(): void;
  /** It is in the way of replication and must end; `leave` follows when it has. */
  cancel(): void;
}

export interface ReadGate {
  /** Calls `begin` at once or later. */
  enter(read: GatedRead): void;
  /** The read has ended, or gives up before it has begun. */
  leave(read: GatedRead): void;
}

export interface ScrubProgress {
  /** Pages compared since the beginning of the database. */
  readonly pages: number;
  /** True when this slice reached the end; the next begins anew. */
  readonly done: boolean;
}

/** A new image that is being filled: nobody reads it before `finish`. */
export interface ImageBuilder {
  /**
   * Pages of one object, in any number of calls; later calls win. Pages above `commit` that earlier
   * calls wrote are dropped.
   */
  write(pages: readonly Page[], commit: number): Promise<void>;
  /** Rejects with `corrupt` unless the content has this head's checksum and size. */
  finish(head: ImageHead): Promise<Image>;
  /** The same check, but the result is just the SQLite file at `path`: for exports. */
  finishFile(head: ImageHead): Promise<void>;
  /** Gives up and removes the file. */
  abandon(): Promise<void>;
}
