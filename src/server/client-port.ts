/**
 * The port of clients through the states of a node. One that begins to drain takes a new listener in
 * the old one's place: that tells all connections to go away and lets their requests end.
 */
import { STOP_TIMEOUT_MS } from "../base/limits.ts";
import { listen, type Listener, type ListenOptions } from "./listen.ts";

export class ClientPort {
  readonly #options: ListenOptions;
  readonly #ending = new Map<Listener, Promise<void>>();
  #listener: Listener;
  #isDraining = false;

  constructor(options: ListenOptions) {
    this.#options = options;
    this.#listener = listen(options);
  }

  get listener(): Listener {
    return this.#listener;
  }

  /** Requests that are being answered; on a node that drains, those that it has to finish. */
  get running(): number {
    const ending = [...this.#ending.keys()].reduce((sum, old) => sum + old.pending(), 0);
    return this.#isDraining ? ending : ending + this.#listener.pending();
  }

  /** Ends what was begun; who calls from now on gets health and what an operator needs. */
  drain(): void {
    if (this.#isDraining) return;
    this.#isDraining = true;
    const old = this.#listener;
    // Stops taking connections at once, so that the port is free.
    const stopped = old.stop(STOP_TIMEOUT_MS).finally(() => this.#ending.delete(old));
    this.#ending.set(old, stopped);
    this.#listener = listen({ ...this.#options, port: old.port });
  }

  resume(): void {
    this.#isDraining = false;
  }

  async stop(timeoutMs: number): Promise<void> {
    await Promise.all([this.#listener.stop(timeoutMs), ...this.#ending.values()]);
  }
}
