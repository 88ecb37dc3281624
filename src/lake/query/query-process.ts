/** One child that runs queries, as the parent sees it: its folder, and whom its messages are for. */
import { mkdirSync, rmSync } from "node:fs";
import type { Child, Children } from "../../database/child.ts";
import type { FromQueryChild, ToQueryChild } from "./message.ts";

/** Who has the child now. */
export interface ProcessUser {
  received(message: FromQueryChild): void;
  /** The child is gone, and with it the query. */
  exited(): void;
}

export interface QueryProcessOptions {
  /** Its own; made here, removed when the child has ended. */
  readonly folder: string;
  readonly binding: string | null;
  readonly onExit: (process: QueryProcess) => void;
}

export class QueryProcess {
  readonly #child: Child;
  #user: ProcessUser | null = null;
  #numbers = 0;
  #gone = false;
  /** Dead, or soon: no further query for it. */
  isKilled = false;

  constructor(children: Children, options: QueryProcessOptions) {
    const { folder, binding, onExit } = options;
    mkdirSync(folder, { mode: 0o700 });
    this.#child = children.start("query", {
      onMessage: (message) => this.#received(message as FromQueryChild),
      onExit: () => {
        rmSync(folder, { recursive: true, force: true });
        this.isKilled = true;
        this.#gone = true;
        const user = this.#user;
        this.#user = null;
        user?.exited();
        onExit(this);
      },
    });
    this.#child.send(["open", folder, binding] satisfies ToQueryChild);
  }

  get pid(): number {
    return this.#child.pid;
  }

  get exited(): Promise<void> {
    return this.#child.exited;
  }

  residentBytes(): number {
    return this.#child.residentBytes();
  }

  /** Messages go to this user until it says `leave`. Returns the number of its query. */
  use(user: ProcessUser): number {
    // It may have ended between being given away and being used.
    if (this.#gone) queueMicrotask(() => user.exited());
    else this.#user = user;
    return ++this.#numbers;
  }

  leave(): void {
    this.#user = null;
  }

  send(message: ToQueryChild): void {
    this.#child.send(message);
  }

  kill(): void {
    this.isKilled = true;
    this.#child.kill();
  }

  #received(message: FromQueryChild): void {
    if (message[1] === this.#numbers) this.#user?.received(message);
  }
}
