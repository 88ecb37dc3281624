/**
 * The port to child processes. SQL from the network executes only in children of the same binary:
 * SQLite cannot be interrupted from outside, a process can be killed. `child-process.ts` starts
 * them; `child-main.ts` is what runs in them.
 */

/** What a child does for its whole life. */
export type ChildRole = "writer" | "reader" | "encoder" | "query" | "loader";

export interface Child {
  readonly pid: number;
  /** One IPC message, any JSON value. There is no back-pressure below: callers bound what they send. */
  send(message: unknown): void;
  /** Resident bytes when the parent last looked (each 100 ms). */
  residentBytes(): number;
  /** SIGKILL. `onExit` follows. */
  kill(): void;
  readonly exited: Promise<void>;
}

export interface ChildHandlers {
  onMessage(message: unknown): void;
  /** Once, also after `kill`. */
  onExit(): void;
}

export interface Children {
  start(role: ChildRole, handlers: ChildHandlers): Child;
  /**
   * Has up to `count` children of the role ready for the next starts, for some seconds: a process
   * takes its time to begin.
   */
  warm(role: ChildRole, count: number): void;
  /** Kills all that are left. */
  close(): Promise<void>;
}

/** The same, as the child sees it. */
export interface ParentPort {
  /** What is not yet taken by the kernel is lost when the child ends by itself: wait to be killed. */
  send(message: unknown): void;
  onMessage(handler: (message: unknown) => void): void;
}
