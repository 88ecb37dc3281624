/**
 * The network between the nodes of a simulated cluster. What is between two nodes is open, silent
 * (nothing arrives and nothing is reset; what was sent arrives when it heals) in one direction or
 * both, or refusing (calls are refused, and what stood is reset), and it takes its time. A process
 * that sleeps has its connections taken by its host, and answers none.
 */
import type { Clock } from "../../src/base/clock.ts";
import type { Acceptance } from "../../src/members/accept.ts";
import type { ReceivedHeaders } from "../../src/members/handshake.ts";
import type { Network, PeerAnswer, PeerRequest } from "../../src/members/network.ts";
import type { Presence } from "../../src/server/probe-address.ts";
import { PEER_CONNECT_MS, PROBE_ADDRESS_MS } from "../../src/base/limits.ts";
import { MemoryPipe } from "./memory-pipe.ts";
import type { SimulatedClock } from "./simulated-clock.ts";

/** A process on the network. */
export interface Host {
  readonly node: string;
  readonly clock: SimulatedClock;
  accept(path: string, headers: ReceivedHeaders): Acceptance;
}

interface Connection {
  readonly from: Host;
  readonly to: Host;
  /** The ends of `from` and `to`. */
  readonly ends: readonly [MemoryPipe, MemoryPipe];
  /** Whoever waits for its answer hears that it was reset. */
  reset(): void;
}

export interface Way {
  /** From the first node to the second, and back. */
  readonly isSilent: readonly [boolean, boolean];
  readonly isRefusing: boolean;
  readonly delayMs: number;
}

export const OPEN: Way = { isSilent: [false, false], isRefusing: false, delayMs: 1 };

/** Where the node listens for the others, and for clients. */
export const peerAddressOf = (node: string) => `${node}:8443`;
export const addressOf = (node: string) => `http://${node}`;

export class SimulatedNetwork {
  readonly #hosts = new Map<string, Host>();
  readonly #ways = new Map<string, Way>();
  #connections: Connection[] = [];

  /** The process of a node, from now on; connections of the one before it are its own affair. */
  join(host: Host): void {
    this.#hosts.set(host.node, host);
  }

  /** The process is gone: its host resets what it had and refuses calls. */
  leave(host: Host): void {
    if (this.#hosts.get(host.node) === host) this.#hosts.delete(host.node);
    for (const { from, to, ends, reset } of this.#connections) {
      if (from === host) ends[0].destroy();
      if (to !== host) continue;
      ends[1].destroy();
      if (!this.#way(to.node, from.node).isSilent[0]) from.clock.after(1, reset);
    }
    this.#connections = this.#connections.filter(({ from, to }) => from !== host && to !== host);
  }

  /** What is between two nodes from now on; `way` is seen from the first. */
  set(one: string, two: string, way: Way): void {
    this.#ways.set(`${one} ${two}`, way);
    this.#ways.set(`${two} ${one}`, {
      ...way,
      isSilent: [way.isSilent[1], way.isSilent[0]],
    });
    for (const { from, to, ends, reset } of this.#connections) {
      const isBetween = (from.node === one && to.node === two) ||
        (from.node === two && to.node === one);
      if (!isBetween) continue;
      hold(ends[0], this.#way(from.node, to.node).isSilent[0]);
      hold(ends[1], this.#way(from.node, to.node).isSilent[1]);
      if (way.isRefusing) {
        from.clock.after(0, () => {
          ends[0].destroy();
          reset();
        });
        to.clock.after(0, () => ends[1].destroy());
      }
    }
    if (way.isRefusing) this.#forgetDead();
  }

  /** The network as a process sees it. */
  of(host: Host): Network {
    return { request: (request) => this.#request(host, request) };
  }

  /** Who answers at an address of clients. */
  async probe(host: Host, address: string): Promise<Presence> {
    const node = new URL(address).hostname;
    const { clock } = host;
    if (node === host.node) return { kind: "answered", node };
    const way = this.#way(host.node, node);
    if (way.isSilent[0] || way.isSilent[1]) {
      await clock.sleep(PROBE_ADDRESS_MS);
      return { kind: "silent" };
    }
    await clock.sleep(2 * way.delayMs);
    const called = this.#hosts.get(node);
    if (!called || way.isRefusing) return { kind: "refused" };
    if (!called.clock.isPaused) return { kind: "answered", node };
    await clock.sleep(PROBE_ADDRESS_MS);
    return { kind: "silent" };
  }

  async #request(host: Host, request: PeerRequest): Promise<PeerAnswer> {
    const { clock } = host;
    const node = request.address.split(":")[0] ?? "";
    const way = this.#way(host.node, node);
    // Before the connection stands, something went there and something came back.
    if (way.isSilent[0] || way.isSilent[1] || 2 * way.delayMs > request.connectMs) {
      await clock.sleep(request.connectMs);
      return { kind: "silent", message: `it took no connection within ${PEER_CONNECT_MS} ms` };
    }
    await clock.sleep(2 * way.delayMs);
    const called = this.#hosts.get(node);
    if (!called || way.isRefusing) {
      return { kind: "no_listener", message: "it refused the connection" };
    }
    return await this.#ask(host, called, request);
  }

  #ask(host: Host, called: Host, request: PeerRequest): Promise<PeerAnswer> {
    const { path, headers, answerMs } = request;
    const ends = MemoryPipe.pair(
      this.#options(host.clock, host.node, called.node),
      this.#options(called.clock, called.node, host.node),
    );
    this.#forgetDead();
    const answer = Promise.withResolvers<PeerAnswer>();
    const reset = () => answer.resolve({ kind: "reset", message: "it ended the connection" });
    this.#connections.push({ from: host, to: called, ends, reset });
    const cancel = host.clock.after(answerMs, () => {
      ends[0].destroy();
      answer.resolve({ kind: "silent", message: `it gave no answer within ${answerMs} ms` });
    });
    const { delayMs } = this.#way(host.node, called.node);
    called.clock.after(delayMs, () => {
      const acceptance = called.accept(path, headers);
      if (acceptance.kind === "may_try") void acceptance.run(ends[1]);
      else ends[1].destroy();
      const status = acceptance.kind === "may_try"
        ? 200
        : acceptance.failure.kind === "denied"
        ? 401
        : acceptance.failure.kind === "unavailable"
        ? 503
        : 404;
      if (this.#way(called.node, host.node).isSilent[0]) return;
      host.clock.after(delayMs, () => {
        cancel();
        answer.resolve({
          kind: "answered",
          status,
          headers: acceptance.headers,
          pipe: ends[0],
        });
      });
    });
    return answer.promise;
  }

  #options(clock: Clock, from: string, to: string) {
    const delayMs = () => this.#way(from, to).delayMs;
    return {
      clock,
      get delayMs() {
        return delayMs();
      },
    };
  }

  #way(from: string, to: string): Way {
    return this.#ways.get(`${from} ${to}`) ?? OPEN;
  }

  #forgetDead(): void {
    this.#connections = this.#connections.filter(({ ends }) => !ends.every(({ isOver }) => isOver));
  }
}

function hold(end: MemoryPipe, isSilent: boolean): void {
  if (isSilent) end.hold();
  else end.release();
}
