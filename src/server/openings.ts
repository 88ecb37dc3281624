/** Databases that are read from the store when a node starts, a few at a time. */
import { Failure } from "../base/failure.ts";
import { OPENING_MAX } from "../base/limits.ts";
import type { ReplicaHooks } from "../replica/hooks.ts";
import type { JoinProgress } from "../replica/join.ts";
import type { Parts } from "../replica/parts.ts";
import { Replica } from "../replica/replica.ts";

export class Openings {
  readonly #parts: Parts;
  readonly #hooks: ReplicaHooks;
  readonly #joining = new Map<string, JoinProgress>();
  readonly #waiting: (() => void)[] = [];
  #opening = 0;

  constructor(parts: Parts, hooks: ReplicaHooks) {
    this.#parts = parts;
    this.#hooks = hooks;
  }

  /** Rejects with `corrupt` when there is a row but no chain. */
  async open(name: string): Promise<Replica> {
    if (this.#opening >= OPENING_MAX) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#opening++;
    try {
      const replica = await Replica.open(this.#parts, name, this.#hooks);
      if (replica) return replica;
      throw new Failure("corrupt", `The database ${name} has no chain in the store`);
    } finally {
      this.#joining.delete(name);
      this.#opening--;
      this.#waiting.shift()?.();
    }
  }

  joining(name: string): JoinProgress | undefined {
    return this.#joining.get(name);
  }

  onJoining(name: string, progress: JoinProgress): void {
    if (progress.bytes < progress.bytesTotal) this.#joining.set(name, progress);
    else this.#joining.delete(name);
  }
}
