/**
 * A network in memory: nodes listen at addresses and are called there, over memory pipes. An
 * address can be cut off in either way that the election must tell apart: refusing, and silent.
 */
import type { Clock } from "../../src/base/clock.ts";
import type { Acceptance } from "../../src/members/accept.ts";
import type { ReceivedHeaders } from "../../src/members/handshake.ts";
import type { Network, PeerAnswer, PeerRequest } from "../../src/members/network.ts";
import { MemoryPipe, type MemoryPipeOptions } from "./memory-pipe.ts";

export type Listening = (path: string, headers: ReceivedHeaders) => Acceptance;

export class MemoryNetwork implements Network {
  readonly #clock: Clock;
  readonly #options: MemoryPipeOptions;
  readonly #listening = new Map<string, Listening>();
  readonly #silent = new Set<string>();
  /** The last request that was made, and both ends of what came of it: caller's, called's. */
  lastRequest: PeerRequest | null = null;
  lastPipes: readonly [MemoryPipe, MemoryPipe] | null = null;

  constructor(options: MemoryPipeOptions) {
    this.#clock = options.clock;
    this.#options = options;
  }

  listen(address: string, accept: Listening): void {
    this.#listening.set(address, accept);
  }

  /** As when the process is gone. */
  refuse(address: string): void {
    this.#listening.delete(address);
  }

  /** As when the host is gone. */
  silence(address: string): void {
    this.#silent.add(address);
  }

  async request(request: PeerRequest): Promise<PeerAnswer> {
    const { address, path, headers } = request;
    this.lastRequest = request;
    if (this.#silent.has(address)) {
      await this.#clock.sleep(request.connectMs);
      return { kind: "silent", message: `it took no connection within ${request.connectMs} ms` };
    }
    await this.#clock.sleep(this.#options.delayMs ?? 0);
    const accept = this.#listening.get(address);
    if (accept === undefined) return { kind: "no_listener", message: "it refused the connection" };
    const acceptance = accept(path, headers);
    const [caller, called] = this.lastPipes = MemoryPipe.pair(this.#options);
    if (acceptance.kind === "refused") {
      called.destroy();
      const status = acceptance.failure.kind === "denied" ? 401 : 404;
      return { kind: "answered", status, headers: acceptance.headers, pipe: caller };
    }
    void acceptance.run(called);
    return { kind: "answered", status: 200, headers: acceptance.headers, pipe: caller };
  }
}
