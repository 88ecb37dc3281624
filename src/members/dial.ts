/**
 * Opens a channel to a node: the request with its proof, the answer with the other's, then a hello
 * each way. What comes of it is a value, since the election acts on how a dial failed.
 */
import type { Clock } from "../base/clock.ts";
import { Failure, isFailure } from "../base/failure.ts";
import { PEER_CHECK_MS, PEER_CONNECT_MS, PEER_HELLO_MS } from "../base/limits.ts";
import type { Random } from "../base/random.ts";
import { asFailure } from "./failure-frame.ts";
import { Channel, FRAME_TYPE, type Peer, readGoodbye } from "./channel.ts";
import type { Frame } from "./frame.ts";
import { dialHeaders, HEADER, NONCE_BYTES, PEER_VERSION, readAcceptHeaders } from "./handshake.ts";
import type { Network, PeerAnswer } from "./network.ts";
import { channelKey, type Party, seals } from "./signature.ts";
import { Wire } from "./wire.ts";

export interface DialOptions {
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  /** The cluster's. */
  readonly secret: string;
  readonly self: { readonly node: string; readonly process: string };
  /** What is called: `/peer/name`. */
  readonly name: string;
  /** What this side says of itself: any JSON value. */
  readonly hello: unknown;
  /** Rejects to refuse whoever answered; the peer hears the failure. */
  readonly check?: (peer: Peer) => Promise<void>;
  readonly unsentBytesMax?: number;
}

/**
 * - `no_listener`    the host refused the connection: nobody listens there
 * - `silent`         no connection, no answer or no hello in time, or no way there
 * - `reset`          taken, and then ended without a word
 * - `refused`        the peer's own check refused this node, with this failure
 * - `declined`       this node's check refused the peer, with this failure
 * - `denied`         the two do not have the same secret
 * - `other_version`  it speaks another version of the peer protocol
 * - `stranger`       what answers there is not what was called
 */
export type DialFault =
  | "no_listener"
  | "silent"
  | "reset"
  | "refused"
  | "declined"
  | "denied"
  | "other_version"
  | "stranger";

export type Dialled =
  | { readonly kind: "open"; readonly channel: Channel }
  | { readonly kind: DialFault; readonly failure: Failure };

/** `address` is "host:port". Never rejects; `start` the channel at once, since it takes no input before. */
export async function dial(address: string, options: DialOptions): Promise<Dialled> {
  const { network, random, secret, name } = options;
  const path = `/peer/${name}`;
  const self: Party = {
    ...options.self,
    nonce: Buffer.from(random.bytes(NONCE_BYTES)).toString("hex"),
  };
  const answer = await network.request({
    address,
    path,
    headers: dialHeaders(secret, path, self),
    connectMs: PEER_CONNECT_MS,
    answerMs: PEER_HELLO_MS,
  });
  if (answer.kind !== "answered") return fault(answer.kind, address, answer.message);
  const acceptor = readAcceptHeaders(secret, path, self, answer.headers);
  if (answer.status !== 200 || acceptor === null) {
    answer.pipe.destroy();
    return refusedUnsigned(address, answer);
  }
  const key = channelKey(secret, path, self, acceptor);
  const wire = new Wire(answer.pipe, {
    clock: options.clock,
    sending: seals(key, "dialler"),
    receiving: seals(key, "acceptor"),
  });
  return await greet(address, wire, acceptor, options);
}

async function greet(
  address: string,
  wire: Wire,
  acceptor: Party,
  options: DialOptions,
): Promise<Dialled> {
  const { clock, hello, check = () => Promise.resolve() } = options;
  let isLate = false;
  const cancel = clock.after(PEER_HELLO_MS + PEER_CHECK_MS, () => {
    isLate = true;
    wire.destroy();
  });
  wire.send(FRAME_TYPE.hello, hello);
  try {
    const frame = await nextGreeting(wire);
    if (frame === null) {
      if (isLate) return fault("silent", address, "it did not say hello in time");
      return fault("reset", address, "it ended the connection without a word");
    }
    const { node, process } = acceptor;
    const peer: Peer = { node, process, hello: frame.head };
    if (frame.type === FRAME_TYPE.goodbye) {
      wire.destroy();
      const end = readGoodbye(frame);
      if (end.kind === "refused") return { kind: "refused", failure: end.failure };
      return fault("reset", address, end.message);
    }
    wire.trust();
    const channel = new Channel(wire, peer, options);
    cancel();
    return await judge(channel, check);
  } catch (error) {
    wire.destroy();
    if (!isFailure(error)) throw error;
    return fault("stranger", address, error.message);
  } finally {
    cancel();
  }
}

async function judge(channel: Channel, check: (peer: Peer) => Promise<void>): Promise<Dialled> {
  try {
    await check(channel.peer);
    return { kind: "open", channel };
  } catch (error) {
    const failure = asFailure(`take ${channel.peer.node} as a peer`, error);
    channel.close(failure);
    return { kind: "declined", failure };
  }
}

/** The first frame of the acceptor only makes its answer leave: nothing is in it. */
async function nextGreeting(wire: Wire): Promise<Frame | null> {
  for (;;) {
    const frame = await wire.next();
    if (frame === null || frame.type === FRAME_TYPE.hello || frame.type === FRAME_TYPE.goodbye) {
      return frame;
    }
    if (frame.type !== FRAME_TYPE.ready) {
      throw new Failure("invalid", `it sent a frame of type ${frame.type} before its hello`);
    }
  }
}

/** No answer without a proof is believed; what it says only helps whoever reads the log. */
function refusedUnsigned(
  address: string,
  { status, headers }: PeerAnswer & { readonly kind: "answered" },
): Dialled {
  const version = headers[HEADER.version];
  if (typeof version === "string" && version !== `${PEER_VERSION}`) {
    const what = `it speaks version ${version.slice(0, 10)} of the peer protocol, not`;
    return fault("other_version", address, `${what} ${PEER_VERSION}`);
  }
  if (status === 401) return fault("denied", address, "it has another cluster secret");
  if (status === 200) {
    return fault("denied", address, "its answer is not signed with this cluster's secret");
  }
  return fault("stranger", address, `it answered with status ${status}`);
}

function fault(kind: DialFault, address: string, why: string): Dialled {
  const failureKind = kind === "denied" ? "denied" : "unavailable";
  return { kind, failure: new Failure(failureKind, `Cannot call the node at ${address}: ${why}`) };
}
