/**
 * The small files of `cluster_state/`: the cluster's id, who leads, and this node's own. They are
 * hints and heartbeats; the truth about who may write is the claim in the chain.
 */
import { Failure, isFailure } from "../base/failure.ts";
import type { Clock } from "../base/clock.ts";
import { STORE_ATTEMPTS_MAX } from "../base/limits.ts";
import type { Random } from "../base/random.ts";
import {
  brokerKey,
  CLUSTER_KEY,
  CLUSTER_SECRET_KEY,
  LEADER_KEY,
  parseBrokerKey,
} from "../epoch/key.ts";
import { backoffMs } from "../store/backoff.ts";
import type { Store } from "../store/store.ts";
import { hex } from "./identity.ts";

export const FORMAT = 1;

export interface ClusterFile {
  readonly format: number;
  readonly id: string;
  readonly created_at: string;
}

interface SecretFile {
  readonly format: number;
  readonly secret: string;
}

export interface LeaderFile {
  readonly format: number;
  readonly node: string;
  readonly address: string;
  readonly peer_address: string;
  readonly term: number;
  readonly epoch: number;
  readonly heartbeat_ms: number;
  readonly nonce: string;
  readonly at: string;
}

export interface BrokerFile {
  readonly format: number;
  readonly node: string;
  readonly address: string;
  readonly peer_address: string;
  readonly zone: string;
  readonly roles: readonly string[];
  /** Whether it may lead; absent in files of older versions: then it may. */
  readonly eligible?: boolean;
  readonly state: string;
  readonly version: string;
  readonly nonce: string;
  readonly at: string;
}

export interface FilesParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
}

/** Finds or makes the cluster. Throws `corrupt` where its secret is gone. */
export async function findCluster(
  parts: FilesParts,
): Promise<{ readonly cluster: ClusterFile; readonly secret: string }> {
  const cluster = await openCluster(parts);
  const secret = await readClusterSecret(parts.store);
  if (secret !== null) return { cluster, secret };
  const { name } = parts.store;
  throw new Failure("corrupt", `Cannot start on ${name}: ${CLUSTER_SECRET_KEY} is missing`);
}

/** Reads the cluster's identity, or creates it on an empty store. */
export async function openCluster({ store, clock, random }: FilesParts): Promise<ClusterFile> {
  const created_at = new Date(clock.nowMs()).toISOString();
  const found = await readJson<ClusterFile>(store, CLUSTER_KEY);
  if (found) return found;
  const parts = { store, clock, random };
  // The secret first: where there is a cluster.json nobody looks for a secret that is missing.
  await createOnce(parts, CLUSTER_SECRET_KEY, {
    format: FORMAT,
    secret: hex(random.bytes(32)),
    created_at,
  });
  await createOnce(parts, CLUSTER_KEY, { format: FORMAT, id: hex(random.bytes(8)), created_at });
  const made = await readJson<ClusterFile>(store, CLUSTER_KEY);
  if (made) return made;
  throw new Failure("unavailable", `Cannot find ${CLUSTER_KEY} right after creating it`);
}

/** Fewer would be guessed: 128 bits as hex digits. */
const SECRET_CHARACTERS_MIN = 32;

/**
 * What signs tokens and calls between nodes; null where there is no cluster yet. Throws `corrupt`
 * without what it read: that would be the secret.
 */
export async function readClusterSecret(store: Store): Promise<string | null> {
  const stored = await store.get(CLUSTER_SECRET_KEY);
  if (stored === null) return null;
  let file: SecretFile | null = null;
  try {
    file = JSON.parse(new TextDecoder().decode(stored.bytes));
  } catch {
    // The parser's message repeats what it stopped at.
  }
  if (file !== null && file.format !== FORMAT) throw unknownFormat(CLUSTER_SECRET_KEY, file.format);
  const secret: unknown = file?.secret;
  if (typeof secret === "string" && secret.length >= SECRET_CHARACTERS_MIN) return secret;
  throw new Failure(
    "corrupt",
    `Cannot use ${CLUSTER_SECRET_KEY}: it holds no secret of ${SECRET_CHARACTERS_MIN} characters`,
  );
}

export function readLeaderFile(store: Store): Promise<LeaderFile | null> {
  return readJson<LeaderFile>(store, LEADER_KEY);
}

export function readBrokerFile(store: Store, node: string): Promise<BrokerFile | null> {
  return readJson<BrokerFile>(store, brokerKey(node));
}

/**
 * The heartbeat. Replaces with the ETag of the last write, so that a node which was deposed notices:
 * false means that somebody else wrote the file. The own nonce, read back, means that an answer was
 * lost, and counts as written.
 */
export class LeaderHeartbeat {
  readonly #parts: FilesParts;
  #etag: string | null | undefined = undefined;
  /** Of writes whose answers were lost: any of them may be what is there. */
  #unsettled: string[] = [];

  constructor(parts: FilesParts) {
    this.#parts = parts;
  }

  async beat(facts: Omit<LeaderFile, "format" | "nonce" | "at">): Promise<boolean> {
    const { store, clock, random } = this.#parts;
    const nonce = hex(random.bytes(8));
    const at = new Date(clock.nowMs()).toISOString();
    const bytes = encodeFile({ format: FORMAT, ...facts, nonce, at });
    this.#etag ??= (await store.head(LEADER_KEY))?.etag ?? null;
    this.#unsettled = [...this.#unsettled.slice(-UNSETTLED_MAX), nonce];
    const written = await store.replace(LEADER_KEY, bytes, this.#etag) ??
      (await this.#foundOurs() ? await store.replace(LEADER_KEY, bytes, this.#etag ?? null) : null);
    this.#etag = written ?? undefined;
    if (written === null) return false;
    this.#unsettled = [];
    return true;
  }

  /** True when the file is one that this node wrote without hearing so; then its ETag is known. */
  async #foundOurs(): Promise<boolean> {
    const found = await this.#parts.store.get(LEADER_KEY);
    if (!found) return false;
    this.#etag = found.etag;
    return this.#unsettled.includes(parseFile<LeaderFile>(LEADER_KEY, found.bytes).nonce);
  }
}

const UNSETTLED_MAX = 16;

/** The nodes that have a file, a page of them at most, and when each was written. */
export async function listBrokers(
  store: Store,
): Promise<{ readonly node: string; readonly modifiedAtMs: number }[]> {
  const page = await store.list("cluster_state/brokers/");
  return page.objects.flatMap(({ key, modifiedAtMs }) => {
    const node = parseBrokerKey(key);
    return node === null ? [] : [{ node, modifiedAtMs }];
  });
}

/** Whether it was ours or another's, the file that is there is the one that counts. */
async function createOnce(
  { store, clock, random }: FilesParts,
  key: string,
  value: object,
): Promise<void> {
  for (let attempt = 1;; attempt++) {
    try {
      await store.create(key, encodeFile(value));
      return;
    } catch (error) {
      if (!isFailure(error, "uncertain", "unavailable", "busy")) throw error;
      if ((await store.head(key)) !== null) return;
      if (attempt === STORE_ATTEMPTS_MAX) throw error;
      await clock.sleep(backoffMs(attempt, random, error));
    }
  }
}

async function readJson<T extends { readonly format: number }>(
  store: Store,
  key: string,
): Promise<T | null> {
  const stored = await store.get(key);
  return stored && parseFile<T>(key, stored.bytes);
}

export function parseFile<T extends { readonly format: number }>(
  key: string,
  bytes: Uint8Array,
): T {
  let value: T | null;
  try {
    value = JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new Failure("corrupt", `Cannot read ${key}: it is not JSON`, { cause });
  }
  if (typeof value !== "object" || value === null) {
    throw new Failure("corrupt", `Cannot read ${key}: it is no JSON object`);
  }
  if (value.format === FORMAT) return value;
  throw unknownFormat(key, value.format);
}

function unknownFormat(key: string, format: number): Failure {
  return new Failure(
    "invalid",
    `Cannot use ${key}: it has format ${format}, this version knows ${FORMAT}; ` +
      "a newer Headgate wrote it",
  );
}

export function encodeFile(value: object): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value) + "\n");
}
