/**
 * Takes channels from other nodes. A request with a right proof may try: it is answered with this
 * node's proof, and becomes a peer when its first frame, its hello, fits the key of this channel.
 * Whether the peer is wanted is then for the door to say that it knocked at.
 */
import type { Clock } from "../base/clock.ts";
import { Failure, isFailure } from "../base/failure.ts";
import { withDeadline } from "../base/deadline.ts";
import { PEER_CHECK_MS, PEER_HELLO_MS } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import { Channel, FRAME_TYPE, type Peer } from "./channel.ts";
import { asFailure } from "./failure-frame.ts";
import {
  acceptHeaders,
  HEADER,
  type Headers,
  nameInPath,
  NONCE_BYTES,
  PEER_VERSION,
  readDialHeaders,
  type ReceivedHeaders,
} from "./handshake.ts";
import type { Pipe } from "./pipe.ts";
import { channelKey, type Party, seals } from "./signature.ts";
import { Wire } from "./wire.ts";

/** What answers at `/peer/name`. */
export interface Door {
  /** What to say to this peer, any JSON value. Rejects to refuse it; the peer hears the failure. */
  welcome(peer: Peer): Promise<unknown>;
  /** The channel is open. `start` it at once: it takes no input before. */
  onChannel(channel: Channel): void;
}

export interface AcceptOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** The cluster's. */
  readonly secret: string;
  readonly self: { readonly node: string; readonly process: string };
  /** By name. */
  readonly doors: Readonly<Record<string, Door>>;
  readonly unsentBytesMax?: number;
}

export type Acceptance =
  | { readonly kind: "refused"; readonly failure: Failure; readonly headers: Headers }
  /** Answer with 200 and these headers, then run over the stream. */
  | {
    readonly kind: "may_try";
    readonly headers: Headers;
    /** Resolves when the peer is through the door, or gone. Never rejects. */
    run(pipe: Pipe): Promise<void>;
  };

/** Judges one request by its path and headers. */
export function accept(
  path: string,
  received: ReceivedHeaders,
  options: AcceptOptions,
): Acceptance {
  const { secret, random, doors } = options;
  try {
    const name = nameInPath(path);
    const door = name !== null && Object.hasOwn(doors, name) ? doors[name] : undefined;
    if (door === undefined) throw new Failure("missing", "There is nothing at this path");
    const dialler = readDialHeaders(secret, path, received);
    const self: Party = {
      ...options.self,
      nonce: Buffer.from(random.bytes(NONCE_BYTES)).toString("hex"),
    };
    return {
      kind: "may_try",
      headers: acceptHeaders(secret, path, dialler, self),
      run: (pipe) =>
        new Knock(pipe, door, dialler, channelKey(secret, path, dialler, self), options).run(),
    };
  } catch (failure) {
    if (!isFailure(failure)) throw failure;
    options.log.debug("a call to /peer was refused", { why: failure.message });
    return { kind: "refused", failure, headers: { [HEADER.version]: `${PEER_VERSION}` } };
  }
}

/** One dialler on its way to becoming a peer. */
class Knock {
  readonly #wire: Wire;
  readonly #door: Door;
  readonly #dialler: Party;
  readonly #options: AcceptOptions;

  constructor(pipe: Pipe, door: Door, dialler: Party, key: Uint8Array, options: AcceptOptions) {
    this.#wire = new Wire(pipe, {
      clock: options.clock,
      sending: seals(key, "acceptor"),
      receiving: seals(key, "dialler"),
    });
    this.#door = door;
    this.#dialler = dialler;
    this.#options = options;
  }

  async run(): Promise<void> {
    const { node, process } = this.#dialler;
    // Makes the head of the answer leave, whatever carries it.
    this.#wire.send(FRAME_TYPE.ready, undefined);
    const hello = await this.#hello();
    if (hello === null) return;
    this.#wire.trust();
    const channel = new Channel(this.#wire, { node, process, hello: hello.said }, this.#options);
    const answer = await this.#welcome(channel.peer);
    if (isFailure(answer)) return channel.close(answer);
    this.#wire.send(FRAME_TYPE.hello, answer);
    this.#door.onChannel(channel);
  }

  /** Null when it did not come in time or was not right; then the stream is gone. */
  async #hello(): Promise<{ readonly said: unknown } | null> {
    const { clock, log } = this.#options;
    const { node } = this.#dialler;
    const cancel = clock.after(PEER_HELLO_MS, () => this.#wire.destroy());
    try {
      const frame = await this.#wire.next();
      if (frame?.type === FRAME_TYPE.hello) return { said: frame.head };
      log.warn("a peer that called said no hello", { peer: node });
    } catch (error) {
      if (!isFailure(error)) throw error;
      log.warn("a peer that called was not believed", { peer: node, why: error.message });
    } finally {
      cancel();
    }
    this.#wire.destroy();
    return null;
  }

  /** What to say to it, or the failure with which it is refused. */
  async #welcome(peer: Peer): Promise<unknown> {
    const { clock } = this.#options;
    const what = `take ${peer.node} as a peer`;
    try {
      const deadlineMs = clock.monotonicMs() + PEER_CHECK_MS;
      return await withDeadline(clock, deadlineMs, this.#door.welcome(peer), what);
    } catch (error) {
      return asFailure(what, error);
    }
  }
}
