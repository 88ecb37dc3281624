/**
 * How this node talks to others: the port on which they call, and calls of its own. Links go to the
 * leader; all else is questions and answers over channels that are opened when first needed.
 */
import type { Clock } from "../base/clock.ts";
import { Failure, isFailure } from "../base/failure.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import { hostOf } from "../config/address.ts";
import type { Config } from "../config/config.ts";
import { accept, type Door } from "../members/accept.ts";
import type { Peer } from "../members/channel.ts";
import { dial, type Dialled as DialledChannel } from "../members/dial.ts";
import { http2Network } from "../members/http2-dial.ts";
import { listenForPeers, type PeerListener } from "../members/http2-listen.ts";
import type { LinkHello } from "../members/message.ts";
import type { Network } from "../members/network.ts";
import { readLeaderHello, readLinkHello } from "../members/read-head.ts";
import type { Whereabouts } from "./address-book.ts";
import type { PeerAnswer, PeerRequest } from "./forwarding.ts";
import type { Identity } from "./identity.ts";
import type { Dialled, DialOutcome } from "./links.ts";
import type { Membership, Transport } from "./membership.ts";
import { PeerCalls, type PeerProgram, type PeerRequests } from "./peer-calls.ts";

export interface PeerParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly identity: Pick<Identity, "id" | "nonce">;
  /** Where clients reach this node: other nodes reach it at the same host. */
  readonly address: string;
  readonly program?: PeerProgram;
}

/** What a transport needs once the store was read. */
interface Opened {
  readonly secret: string;
  readonly membership: Membership;
  readonly calls: PeerCalls;
  readonly doors: Readonly<Record<string, Door>>;
}

export class PeerTransport implements Transport {
  readonly #parts: PeerParts;
  readonly #network: Network;
  #listener: PeerListener | null = null;
  #opened: Opened | null = null;

  constructor(parts: PeerParts, network: Network) {
    this.#parts = parts;
    this.#network = network;
  }

  /** Takes the port, which answers nobody before `open`. */
  static async listen(config: Config, parts: PeerParts): Promise<PeerTransport> {
    const transport = new PeerTransport(parts, http2Network(parts.clock));
    const { enabled, internal_api_port } = config.cluster_mode;
    if (!enabled) return transport;
    transport.#listener = await listenForPeers({
      host: hostOf(config.listen),
      port: internal_api_port,
      clock: parts.clock,
      accept: (path, headers) => transport.accept(path, headers),
    });
    return transport;
  }

  /** "host:port"; empty where this node takes no calls. */
  get address(): string {
    if (!this.#listener) return "";
    return `${new URL(this.#parts.address).hostname}:${this.#listener.port}`;
  }

  /** Answers and calls from now on. */
  open(secret: string, membership: Membership, requests: PeerRequests): void {
    const { clock, log, identity, program } = this.#parts;
    const calls = new PeerCalls({
      clock,
      log,
      node: identity.id,
      membership,
      requests,
      ...(program && { program }),
      dial: (where) =>
        this.#dial(where, "calls", {}, async ({ node, process }) => {
          if (node !== where.node) throw stranger(where, node);
          await this.#prove(membership, { node, process });
        }),
    });
    const doors: Record<string, Door> = {
      link: {
        welcome: async (peer) => {
          readLinkHello(peer.hello);
          await this.#prove(membership, peer);
          return membership.links.welcome(peer, membership.leadership.claim);
        },
        onChannel: (channel) => membership.links.joined(channel, readLinkHello(channel.peer.hello)),
      },
      calls: {
        welcome: async (peer) => {
          await this.#prove(membership, peer);
          return {};
        },
        onChannel: (channel) => calls.serve(channel),
      },
    };
    this.#opened = { secret, membership, calls, doors };
  }

  accept(path: string, headers: Readonly<Record<string, unknown>>) {
    const { clock, random, log, identity } = this.#parts;
    const opened = this.#opened;
    if (!opened) {
      const failure = new Failure("unavailable", "This node is starting", { retryAfterMs: 500 });
      return { kind: "refused" as const, failure, headers: {} };
    }
    const self = { node: identity.id, process: identity.nonce };
    const { secret, doors } = opened;
    return accept(path, headers, { clock, random, log, secret, self, doors });
  }

  async dial(where: Whereabouts, hello: LinkHello): Promise<Dialled | DialOutcome> {
    const dialled = await this.#dial(where, "link", hello, async ({ node, hello }) => {
      await Promise.resolve();
      if (node !== where.node) throw stranger(where, node);
      readLeaderHello(hello);
    });
    switch (dialled.kind) {
      case "open":
        return { channel: dialled.channel, hello: readLeaderHello(dialled.channel.peer.hello) };
      // Nobody has its port, something else, or another node.
      case "no_listener":
      case "stranger":
        return "refused";
      case "reset":
        return "reset";
      case "declined":
        return isFailure(dialled.failure, "elsewhere") ? "refused" : "unanswered";
      case "refused":
        throw dialled.failure;
      case "silent":
      case "denied":
      case "other_version":
        return "unanswered";
    }
  }

  async askOne(where: Whereabouts, claim: number, timeoutMs: number): Promise<boolean> {
    const deadlineMs = this.#parts.clock.monotonicMs() + timeoutMs;
    const { head } = await this.call(where, "hears", { head: { claim }, body: "", deadlineMs });
    return Object(head).hears === true;
  }

  async tellOne(where: Whereabouts, claim: number): Promise<void> {
    const deadlineMs = this.#parts.clock.monotonicMs() + TELL_MS;
    await this.call(where, "leads", { head: { claim }, body: "", deadlineMs });
  }

  async call(
    where: Whereabouts,
    method: string,
    request: PeerRequest,
  ): Promise<PeerAnswer> {
    if (this.#opened) return await this.#opened.calls.call(where, method, request);
    throw new Failure("unavailable", "This node is starting");
  }

  async close(): Promise<void> {
    this.#opened?.calls.close();
    await this.#listener?.close();
  }

  async #dial(
    where: Whereabouts,
    name: string,
    hello: object,
    check: (peer: Peer) => Promise<void>,
  ): Promise<DialledChannel> {
    const { clock, random, identity } = this.#parts;
    const { secret } = this.#opened ?? { secret: "" };
    return await dial(where.peerAddress, {
      network: this.#network,
      clock,
      random,
      secret,
      self: { node: identity.id, process: identity.nonce },
      name,
      hello,
      check,
    });
  }

  /** I13. Rejects with `denied` for a process that this node's store does not know. */
  async #prove(
    { proofs }: Membership,
    { node, process }: { readonly node: string; readonly process: string },
  ): Promise<void> {
    if (await proofs.process(node, process)) return;
    throw new Failure(
      "denied",
      `The process that calls itself ${node} has not written its file into this cluster's store`,
    );
  }
}

/** How long a node may take to hear that another one leads. */
const TELL_MS = 5_000;

function stranger(where: Whereabouts, node: string): Failure {
  return new Failure("elsewhere", `At ${where.peerAddress} answers ${node}, not ${where.node}`);
}
