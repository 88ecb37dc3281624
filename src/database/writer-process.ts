/**
 * The child of a workspace and the files that outlive it: starts one over them, ends it, cuts its
 * log back to the last taken commit, lets it go when it has idled.
 */
import { join } from "node:path";
import { assert } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import { CHILD_IDLE_MS } from "../base/limits.ts";
import type { Child, Children } from "./child.ts";
import { cutLog } from "./workspace-log.ts";
import type { FromWriter, LogEnd, ToWriter, WriterHead } from "./writer-message.ts";

export interface WriterProcessOptions {
  readonly directory: string;
  readonly path: string;
  readonly progressPath: string;
  readonly pageSize: number;
  readonly children: Children;
  readonly clock: Clock;
}

export interface WriterProcessHandlers {
  onMessage(message: FromWriter): void;
  /** It ended, and nobody asked it to. */
  onDeath(): void;
  /** May it be ended for having idled? */
  isIdle(): boolean;
}

export class WriterProcess {
  readonly #options: WriterProcessOptions;
  readonly #handlers: WriterProcessHandlers;
  #child: Child | null = null;
  #head: WriterHead | null = null;
  #logEnd: LogEnd | null = null;
  #usedMs = 0;
  #stopping: Promise<void> | null = null;
  #cancelIdle: (() => void) | null = null;

  constructor(options: WriterProcessOptions, handlers: WriterProcessHandlers) {
    this.#options = options;
    this.#handlers = handlers;
  }

  get isRunning(): boolean {
    return this.#child !== null;
  }

  get isStopping(): boolean {
    return this.#stopping !== null;
  }

  /** Resolves when no child is being ended. */
  get stopped(): Promise<void> {
    return this.#stopping ?? Promise.resolve();
  }

  /** Bytes of the log that belong to taken epochs. */
  get logStart(): number {
    return this.#logEnd?.offset ?? 0;
  }

  residentBytes(): number {
    return this.#child?.residentBytes() ?? 0;
  }

  /** The first child, over a fresh copy of an image, or over nothing. */
  begin(head: WriterHead | null): void {
    this.#head = head;
    this.#start(true);
  }

  /** Starts a child if none runs. */
  ensure(): void {
    if (this.#child === null) this.#start(false);
  }

  send(message: ToWriter): void {
    assert(this.#child !== null, `a writer runs when it gets ${message.kind}`);
    this.#usedMs = this.#options.clock.monotonicMs();
    this.#child.send(message);
  }

  /** An epoch was taken, or nothing had changed. */
  taken(head: WriterHead | null, logEnd: LogEnd | null): void {
    this.#head = head ?? this.#head;
    this.#logEnd = logEnd;
  }

  /** Ends the child and cuts its log. What it still says is not heard. */
  stop(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    this.#cancelIdle?.();
    this.#cancelIdle = null;
    if (child === null) return this.#stopping ?? Promise.resolve();
    child.kill();
    this.#stopping = child.exited.then(() => {
      this.#stopping = null;
      cutLog(this.#options.path, this.#options.pageSize, this.#logEnd);
    });
    return this.#stopping;
  }

  #start(isCopy: boolean): void {
    assert(this.#stopping === null, "a writer starts after the one before has ended");
    const { children, clock, path, pageSize, directory, progressPath } = this.#options;
    const child: Child = children.start("writer", {
      onMessage: (message) => {
        if (this.#child === child) this.#handlers.onMessage(message as FromWriter);
      },
      onExit: () => {
        if (this.#child !== child) return;
        this.#child = null;
        this.#cancelIdle?.();
        cutLog(path, pageSize, this.#logEnd);
        this.#handlers.onDeath();
      },
    });
    this.#child = child;
    this.#usedMs = clock.monotonicMs();
    this.send({ kind: "open", path, pageSize, head: this.#head, isCopy, progressPath, directory });
    this.#lookForIdle(CHILD_IDLE_MS);
  }

  #lookForIdle(afterMs: number): void {
    const { clock } = this.#options;
    this.#cancelIdle = clock.after(afterMs, () => {
      const restMs = this.#usedMs + CHILD_IDLE_MS - clock.monotonicMs();
      if (restMs <= 0 && this.#handlers.isIdle()) return void this.stop();
      this.#lookForIdle(Math.max(restMs, CHILD_IDLE_MS / 4));
    });
  }
}

/** Where the files of a workspace are in its directory. */
export function workspacePaths(directory: string): { path: string; progressPath: string } {
  return { path: join(directory, "workspace.db"), progressPath: join(directory, "progress") };
}
