/**
 * The headers by which two nodes find out that both know the cluster's secret. The request's proof
 * may be a repetition; so its sender may only try, and is believed when its first frame fits the
 * key that comes from both nonces.
 */
import { timingSafeEqual } from "node:crypto";
import { Failure } from "../base/failure.ts";
import { isNodeName } from "../epoch/name.ts";
import { acceptProof, dialProof, type Party } from "./signature.ts";

/** What this code speaks. Nodes of different versions do not talk to each other. */
export const PEER_VERSION = 1;
export const NONCE_BYTES = 16;

export type Headers = Readonly<Record<string, string>>;
/** Headers as they came; names in lower case. */
export type ReceivedHeaders = Readonly<Record<string, unknown>>;

export const HEADER = {
  version: "headgate-peer-version",
  node: "headgate-peer-node",
  process: "headgate-peer-process",
  nonce: "headgate-peer-nonce",
  proof: "headgate-peer-proof",
} as const;

const PROCESS = /^[0-9a-zA-Z_-]{1,64}$/;
const NONCE = new RegExp(`^[0-9a-f]{${2 * NONCE_BYTES}}$`);
const PATH = /^\/peer\/([a-z0-9][a-z0-9_-]{0,62})$/;

/** `name` in "/peer/name"; null for any other path. */
export function nameInPath(path: string): string | null {
  return PATH.exec(path)?.[1] ?? null;
}

export function dialHeaders(secret: string, path: string, dialler: Party): Headers {
  return headers(dialler, dialProof(secret, path, dialler));
}

export function acceptHeaders(
  secret: string,
  path: string,
  dialler: Party,
  acceptor: Party,
): Headers {
  return headers(acceptor, acceptProof(secret, path, dialler, acceptor));
}

/** Who dials. Throws `invalid` for another version, and `denied`, whatever else is wrong. */
export function readDialHeaders(secret: string, path: string, received: ReceivedHeaders): Party {
  const version = received[HEADER.version];
  if (version !== `${PEER_VERSION}`) {
    throw new Failure("invalid", `This node speaks version ${PEER_VERSION} of the peer protocol`);
  }
  const dialler = readParty(received);
  if (dialler === null || !isProof(received, dialProof(secret, path, dialler))) {
    throw new Failure("denied", "Only nodes of this cluster may call /peer");
  }
  return dialler;
}

/** Who answers, or null when it has not proven that it knows the secret. */
export function readAcceptHeaders(
  secret: string,
  path: string,
  dialler: Party,
  received: ReceivedHeaders,
): Party | null {
  const acceptor = readParty(received);
  if (acceptor === null) return null;
  return isProof(received, acceptProof(secret, path, dialler, acceptor)) ? acceptor : null;
}

function headers({ node, process, nonce }: Party, proof: string): Headers {
  return {
    [HEADER.version]: `${PEER_VERSION}`,
    [HEADER.node]: node,
    [HEADER.process]: process,
    [HEADER.nonce]: nonce,
    [HEADER.proof]: proof,
  };
}

function readParty(received: ReceivedHeaders): Party | null {
  const node = received[HEADER.node];
  const process = received[HEADER.process];
  const nonce = received[HEADER.nonce];
  if (typeof node !== "string" || !isNodeName(node)) return null;
  if (typeof process !== "string" || !PROCESS.test(process)) return null;
  if (typeof nonce !== "string" || !NONCE.test(nonce)) return null;
  return { node, process, nonce };
}

function isProof(received: ReceivedHeaders, proof: string): boolean {
  const given = Buffer.from(String(received[HEADER.proof]));
  const right = Buffer.from(proof);
  return given.length === right.length && timingSafeEqual(given, right);
}
