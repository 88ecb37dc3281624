/**
 * Starts children, carries their messages, looks at their memory, and kills them. Nothing runs here
 * while no child works: an idle node has no timer.
 *
 * Messages are JSON lines ("json"): with batches of 16 to 2,000 requests a message it carries 1.2
 * to 2.2 times as many as structured clones do ("advanced").
 */
import type { Subprocess } from "bun";
import type { Clock } from "../base/clock.ts";
import { describe } from "../base/failure.ts";
import type { Log } from "../base/log.ts";
import type { Child, ChildHandlers, Children, ChildRole } from "./child.ts";
import { forgetChild, noteChild, removeLeftovers } from "./child-leftovers.ts";
import { logLines } from "./child-log.ts";
import { processSampler } from "./process-memory.ts";

export interface ChildrenOptions {
  /** The argv that starts this program; `childArguments` follow. */
  readonly command: readonly string[];
  readonly clock: Clock;
  readonly log: Log;
  /** For the files that name running children; made if need be. This process's alone. */
  readonly directory: string;
}

/** The hidden arguments that make the program a child. `main.ts` looks for the first. */
export function childArguments(role: ChildRole): readonly [string, ChildRole, string] {
  return ["__child", role, String(process.pid)];
}

/** How long a child waits for work that it was started for in advance. */
const SPARE_MS = 10_000;

/** A child that nobody has given work says nothing. */
const IDLE: ChildHandlers = { onMessage: () => {}, onExit: () => {} };

/** How long a child is still looked at after it last did anything. */
const WATCH_MS = 1_000;

/** Also kills children that an earlier process with this directory left behind. */
export function createChildren(options: ChildrenOptions): Children {
  const killed = removeLeftovers(options.directory);
  if (killed.length > 0) {
    options.log.warn("killed child processes that an earlier process left behind", {
      pids: killed.join(","),
    });
  }
  const watch = new Watch(options.clock, options.log);
  const running = new Set<RunningChild>();
  const spares = new Map<RunningChild, { readonly role: ChildRole; readonly cancel: () => void }>();
  let closed = false;
  const begin = (role: ChildRole, handlers: ChildHandlers): RunningChild => {
    const child: RunningChild = new RunningChild(role, handlers, {
      ...options,
      watch,
      onGone: () => {
        running.delete(child);
        spares.get(child)?.cancel();
        spares.delete(child);
      },
    });
    running.add(child);
    return child;
  };
  const keep = (spare: RunningChild, role: ChildRole): void => {
    const cancel = options.clock.after(SPARE_MS, () => {
      spares.delete(spare);
      spare.kill();
    });
    spares.set(spare, { role, cancel });
  };
  return {
    start: (role, handlers) => {
      if (closed) throw new Error(`Cannot start a ${role} child: the node is closing`);
      const [spare, facts] = [...spares].find(([, { role: its }]) => its === role) ?? [];
      if (!spare || !facts) return begin(role, handlers);
      facts.cancel();
      spares.delete(spare);
      spare.handlers = handlers;
      return spare;
    },
    warm: (role, count) => {
      if (closed) return;
      for (const [spare, { role: its, cancel }] of spares) {
        if (its !== role) continue;
        cancel();
        keep(spare, role);
      }
      for (let more = count - spares.size; more > 0; more--) keep(begin(role, IDLE), role);
    },
    close: async () => {
      closed = true;
      for (const child of running) child.kill();
      await Promise.all([...running].map((child) => child.exited));
    },
  };
}

class RunningChild implements Child {
  readonly pid: number;
  readonly exited: Promise<void>;
  readonly #process: Subprocess<"ignore", "ignore", "pipe">;
  readonly #watch: Watch;
  #gone = false;
  #residentBytes = 0;
  handlers: ChildHandlers;
  /** When it last sent, was sent to, or was seen running. */
  activeMs = 0;

  constructor(
    role: ChildRole,
    handlers: ChildHandlers,
    parts: ChildrenOptions & { readonly watch: Watch; readonly onGone: () => void },
  ) {
    const disconnected = Promise.withResolvers<void>();
    this.#watch = parts.watch;
    this.handlers = handlers;
    this.#process = Bun.spawn({
      cmd: [...parts.command, ...childArguments(role)],
      // SQLite's 'localtime' must not depend on the node.
      env: { TZ: "UTC" },
      stdio: ["ignore", "ignore", "pipe"],
      serialization: "json",
      ipc: (message) => {
        this.#watch.note(this);
        this.handlers.onMessage(message);
      },
      onDisconnect: () => disconnected.resolve(),
    });
    this.pid = this.#process.pid;
    const log = parts.log.with({ child: role, pid: this.pid });
    try {
      noteChild(parts.directory, this.pid);
    } catch (error) {
      // It runs, and must not be lost: the note is for a start after a death of this process.
      log.warn("could not note a child process", { cause: describe(error) });
    }
    const logged = logLines(this.#process.stderr, log);
    // Its last messages may come after its end is noticed, and the channel closes after them.
    this.exited = Promise.all([this.#process.exited, disconnected.promise, logged]).then(() => {
      this.#gone = true;
      parts.watch.forget(this);
      forgetChild(parts.directory, this.pid);
      log.debug("a child process has ended", {
        code: this.#process.exitCode,
        signal: this.#process.signalCode,
      });
      parts.onGone();
      this.handlers.onExit();
    });
    parts.watch.note(this);
  }

  send(message: unknown): void {
    if (this.#gone) return;
    this.#watch.note(this);
    try {
      this.#process.send(message);
    } catch (error) {
      // It has died and we are about to hear of it.
      if (!isClosedChannel(error)) throw error;
    }
  }

  residentBytes(): number {
    return this.#residentBytes;
  }

  seen(residentBytes: number): void {
    this.#residentBytes = residentBytes;
  }

  kill(): void {
    if (!this.#gone) this.#process.kill("SIGKILL");
  }
}

function isClosedChannel(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ERR_IPC_CHANNEL_CLOSED";
}

/** Looks at the children that do something, and rests when none does. */
class Watch {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #sampler = processSampler(process.platform);
  readonly #busy = new Set<RunningChild>();
  #looking = false;

  constructor(clock: Clock, log: Log) {
    this.#clock = clock;
    this.#log = log;
  }

  note(child: RunningChild): void {
    child.activeMs = this.#clock.monotonicMs();
    this.#busy.add(child);
    if (!this.#looking) this.#lookLater();
  }

  forget(child: RunningChild): void {
    this.#busy.delete(child);
  }

  #lookLater(): void {
    this.#looking = this.#busy.size > 0;
    if (!this.#looking) return;
    this.#clock.after(this.#sampler.intervalMs, () => {
      this.#look().catch((error: unknown) => {
        this.#log.error("cannot look at child processes", { error: describe(error) });
      }).finally(() => this.#lookLater());
    });
  }

  async #look(): Promise<void> {
    const samples = await this.#sampler.sample([...this.#busy].map((child) => child.pid));
    const nowMs = this.#clock.monotonicMs();
    for (const child of this.#busy) {
      const sample = samples.get(child.pid);
      if (sample) child.seen(sample.residentBytes);
      if (sample?.running) child.activeMs = nowMs;
      if (nowMs - child.activeMs > WATCH_MS) this.#busy.delete(child);
    }
  }
}
