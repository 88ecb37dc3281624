/** What a story of a cluster tells of logs and of requests to the store, and in which words. */
import type { Log } from "../../src/base/log.ts";
import { decodeHeader } from "../../src/epoch/header.ts";
import { LEADER_KEY, parseObjectKey } from "../../src/epoch/key.ts";
import { SYSTEM_DATABASE } from "../../src/epoch/name.ts";
import type { SentRequest } from "./simulated-store.ts";

type Fields = Readonly<Record<string, unknown>>;

const STATES: Readonly<Record<string, string>> = {
  linked: "is linked",
  watching: "watches the store",
  apart: "is without a leader and calls the last one",
  asking: "asks the others whether they hear the leader",
  candidate: "waits for its turn to claim",
  claiming: "claims",
};

const SAID: Readonly<Record<string, (fields: Fields) => string | null>> = {
  "standing by": ({ to, event }) => `${STATES[String(to)]} (${event})`,
  "this node leads": ({ reason, term }) => `leads, in term ${term}: ${reason}`,
  "this node no longer leads": ({ quiet_ms }) => `leads no more (no claim for ${quiet_ms} ms)`,
  "stepping down": ({ successor }) => `steps down in favour of ${successor}`,
  "nobody has a link to this leader; it resigns": () => "has had no link for 10 s and resigns",
  "the link to the leader ended": ({ node, cause }) => `has lost its link to ${node}: ${cause}`,
  "this process stood still": ({ ms }) => `notices that it stood still for ${ms} ms`,
  "the cluster was not claimed": ({ owner }) => `has lost its claim; the owner is ${owner}`,
  "a call for a link was turned down": ({ node, cause }) => `is turned down by ${node}: ${cause}`,
  "could not tell a node who leads": ({ node }) => `cannot tell ${node} that it leads`,
  "another node wrote leader.json; asking the chain who leads": () =>
    "finds leader.json written by another, and asks the chain",
};

/** A log whose telling lines become sentences about `node`. */
export function tellingLog(node: string, tell: (line: string) => void): Log {
  const hear = (message: string, fields: Fields = {}) => {
    const said = SAID[message]?.(fields) ?? null;
    if (said !== null) tell(`${node} ${said}`);
  };
  const log: Log = { debug: hear, info: hear, warn: hear, error: hear, with: () => log };
  return log;
}

/** What is sent to the store, where it is part of the story; null where not. */
export function sentToStore({ sender, operation, key, bytes }: SentRequest): string | null {
  const node = sender.split(".")[0];
  if (operation === "replace" && key === LEADER_KEY) return `${node} → store: heartbeat`;
  const epoch = epochOf({ operation, key, bytes });
  if (epoch?.endsWith("data")) return `${node} → store: data`;
  return epoch && `${node} → store: create ${epoch}`;
}

export function heardOfStore(request: SentRequest, outcome: unknown): string | null {
  const epoch = epochOf(request);
  if (!epoch || (epoch.endsWith("data") && outcome === "created")) return null;
  const heard = outcome === "uncertain" ? "no answer" : String(outcome);
  return `store → ${request.sender.split(".")[0]}: ${epoch.split(",")[0]} ${heard}`;
}

/** "epoch 4 of system, claim"; null for what is not of that chain. */
function epochOf({ operation, key, bytes }: Omit<SentRequest, "sender" | "isFile">): string | null {
  const name = operation === "create" ? parseObjectKey("s3", key) : null;
  if (!name || !bytes || name.level !== 0 || name.database !== SYSTEM_DATABASE) return null;
  return `epoch ${name.max} of ${name.database}, ${decodeHeader(bytes, key).kind}`;
}
