/**
 * Child processes that run in this one: the same code behind the same messages, which take their
 * time on a clock that may be simulated. A killed one leaves its files as they were in that moment, as a
 * killed process does; SQLite's own handles on them are let go of elsewhere, on copies.
 */
import { copyFileSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Random } from "../../src/base/random.ts";
import type {
  Child,
  ChildHandlers,
  Children,
  ChildRole,
  ParentPort,
} from "../../src/database/child.ts";
import { encodeOrder } from "../../src/database/encoder-child.ts";
import type { EncodeOrder } from "../../src/database/encoder-message.ts";
import { main as writerMain } from "../../src/database/writer-child.ts";
import type { ToWriter } from "../../src/database/writer-message.ts";

/** When messages arrive. */
export interface MessageClock {
  readonly worldMs: number;
  after(ms: number, callback: () => void): () => void;
}

export interface LocalChildrenOptions {
  readonly clock: MessageClock;
  readonly random: Random;
  /** For the files that children have open. */
  readonly directory: string;
  /** A message takes up to this long. */
  readonly messageMsMax: number;
}

const SUFFIXES = ["", "-wal"];

export class LocalChildren implements Children {
  readonly #options: LocalChildrenOptions;
  readonly #running = new Set<LocalChild>();
  #pids = 0;

  constructor(options: LocalChildrenOptions) {
    this.#options = options;
  }

  warm(): void {}

  start(role: ChildRole, handlers: ChildHandlers): Child {
    const pid = ++this.#pids;
    const child: LocalChild = new LocalChild(role, pid, handlers, this.#options, () => {
      this.#running.delete(child);
    });
    this.#running.add(child);
    return child;
  }

  /** One of them ends, as if the kernel had killed it. False when there is none. */
  killOne(random: Random): boolean {
    const child = [...this.#running][random.below(Math.max(1, this.#running.size))];
    child?.kill();
    return child !== undefined;
  }

  /** The parent is gone, and they with it. */
  drop(): void {
    for (const child of this.#running) child.drop();
    this.#running.clear();
  }

  async close(): Promise<void> {
    for (const child of this.#running) child.kill();
    await Promise.all([...this.#running].map((child) => child.exited));
  }
}

class LocalChild implements Child {
  readonly pid: number;
  readonly exited: Promise<void>;
  readonly #handlers: ChildHandlers;
  readonly #options: LocalChildrenOptions;
  readonly #onGone: () => void;
  #hear: ((message: unknown) => void) | null = null;
  #gone: () => void = () => {};
  /** Where its database is meant to be, and where it is while this child lives. */
  #files: { readonly path: string; readonly own: string } | null = null;
  #isAlive = true;
  /** Messages stay in order each way. */
  #toChildMs = 0;
  #toParentMs = 0;

  constructor(
    role: ChildRole,
    pid: number,
    handlers: ChildHandlers,
    options: LocalChildrenOptions,
    onGone: () => void,
  ) {
    this.pid = pid;
    this.#handlers = handlers;
    this.#options = options;
    this.#onGone = onGone;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.exited = promise;
    this.#gone = resolve;
    const port: ParentPort = {
      send: (message) => this.#toParent(message),
      onMessage: (handler) => this.#hear = handler,
    };
    if (role === "writer") writerMain(port);
    else if (role === "encoder") {
      port.onMessage((order) => port.send(encodeOrder(order as EncodeOrder)));
    } else throw new Error(`no ${role} runs in the simulation`);
  }

  send(message: unknown): void {
    const copy = JSON.parse(JSON.stringify(message));
    const { clock } = this.#options;
    this.#toChildMs = Math.max(this.#toChildMs, clock.worldMs + this.#latency());
    clock.after(this.#toChildMs - clock.worldMs, () => {
      if (this.#isAlive) this.#hear?.(this.#own(copy));
    });
  }

  residentBytes(): number {
    return 0;
  }

  kill(): void {
    if (!this.#isAlive) return;
    this.#end();
    this.#options.clock.after(this.#latency(), () => {
      this.#onGone();
      this.#gone();
      this.#handlers.onExit();
    });
  }

  /** Ends with its parent: nobody hears of it. */
  drop(): void {
    this.#end();
    this.#gone();
  }

  /** Its files come to lie where the next child looks for them. */
  #end(): void {
    this.#isAlive = false;
    this.#hear = null;
    if (!this.#files) return;
    const { path, own } = this.#files;
    this.#files = null;
    for (const suffix of SUFFIXES) {
      if (existsSync(own + suffix)) copyFileSync(own + suffix, path + suffix);
      rmSync(own + suffix, { force: true });
    }
  }

  #own(message: unknown): unknown {
    const said = message as ToWriter;
    if (said.kind !== "open") return message;
    const directory = join(this.#options.directory, `child-${this.pid}`);
    mkdirSync(directory, { recursive: true });
    const own = join(directory, "workspace.db");
    for (const suffix of SUFFIXES) {
      if (existsSync(said.path + suffix)) copyFileSync(said.path + suffix, own + suffix);
      // The parent looks at them; they must be there.
      else if (suffix === "") writeFileSync(said.path, "");
    }
    this.#files = { path: said.path, own };
    return { ...said, path: own };
  }

  #toParent(message: unknown): void {
    if (!this.#isAlive) return;
    const copy = JSON.parse(JSON.stringify(message));
    const { clock } = this.#options;
    this.#toParentMs = Math.max(this.#toParentMs, clock.worldMs + this.#latency());
    clock.after(this.#toParentMs - clock.worldMs, () => {
      if (this.#isAlive) this.#handlers.onMessage(copy);
    });
  }

  #latency(): number {
    return this.#options.random.below(Math.max(1, this.#options.messageMsMax * 1000)) / 1000;
  }
}
