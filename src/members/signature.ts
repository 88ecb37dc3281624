/**
 * What proves to a node who speaks: HMAC-SHA256 under the cluster's secret. A request to `/peer`
 * carries a proof of its headers; from both sides' nonces comes a key of this one channel, and each
 * frame is sealed under it with its direction and its number. So a frame that is changed, left out,
 * repeated, moved, or taken from another channel fits nowhere. No clock has a part in it.
 */
import { createHmac } from "node:crypto";
import { type NextSeal, type Seal, SEAL_BYTES } from "./frame.ts";

/** One end of a channel, as its headers name it. None of the three has a line break in it. */
export interface Party {
  readonly node: string;
  /** The start nonce of its process. */
  readonly process: string;
  /** Drawn for this channel. */
  readonly nonce: string;
}

/** Who sends: the end that made the connection, or the one that took it. */
export type Direction = "dialler" | "acceptor";

/** Of the request: its sender knows the secret, or repeats somebody who did. Hex. */
export function dialProof(secret: string, path: string, dialler: Party): string {
  return hmac(secret, ["dial", path, ...fields(dialler)]).toString("hex");
}

/** Of the answer: its sender knows the secret and has seen this very request. Hex. */
export function acceptProof(
  secret: string,
  path: string,
  dialler: Party,
  acceptor: Party,
): string {
  return hmac(secret, ["accept", path, ...fields(dialler), ...fields(acceptor)]).toString("hex");
}

export function channelKey(
  secret: string,
  path: string,
  dialler: Party,
  acceptor: Party,
): Uint8Array {
  return hmac(secret, ["channel", path, ...fields(dialler), ...fields(acceptor)]);
}

/** The seals of one direction, in the order of its frames. */
export function seals(key: Uint8Array, direction: Direction): NextSeal {
  let number = 0;
  // One byte for the direction, then the frame's number as u64.
  const before = new DataView(new ArrayBuffer(9));
  before.setUint8(0, direction === "dialler" ? 0 : 1);
  const bytes = new Uint8Array(before.buffer);
  return () => {
    before.setBigUint64(1, BigInt(number++));
    return seal(key, bytes);
  };
}

function seal(key: Uint8Array, before: Uint8Array): Seal {
  const sum = createHmac("sha256", key).update(before);
  return {
    update: (bytes) => void sum.update(bytes),
    finish: () => sum.digest().subarray(0, SEAL_BYTES),
  };
}

function fields({ node, process, nonce }: Party): readonly string[] {
  return [node, process, nonce];
}

/** The first line says what it is for, so no proof serves as another. */
function hmac(secret: string, lines: readonly string[]): Buffer {
  return createHmac("sha256", secret).update(`headgate peer 1\n${lines.join("\n")}`).digest();
}
