/**
 * A cluster as a command sees it: the addresses that it was given or found in the bucket, and those
 * that nodes tell. The leader knows best, so it is asked where it can be reached.
 */
import { Failure, isFailure } from "../base/failure.ts";
import { ANSWER_NODE_MS, ANSWER_ORDER_MS, COMMAND_TOKEN_LIFE_MS } from "../base/limits.ts";
import type { ClusterStatus, NodeStatus } from "../http/node.ts";
import { ADMIN } from "../http/scope.ts";
import { listBrokers, readBrokerFile, readLeaderFile } from "../server/cluster-files.ts";
import type { Surroundings } from "../server/surroundings.ts";
import type { Store } from "../store/store.ts";
import { type ParsedArguments, UsageError } from "./arguments.ts";
import { inBucket, mintIn, namesBucket } from "./bucket.ts";
import { ApiClient, type ApiRequest, clientOf, tokenOf } from "./client.ts";

/** Where nodes may be, the likeliest first, and how they are asked. */
export interface Whereabouts {
  readonly addresses: readonly string[];
  readonly token: string | undefined;
}

export interface Seen {
  readonly status: ClusterStatus;
  /** Of the node that said so: the leader's where it answers. */
  readonly client: ApiClient;
}

/** Nodes whose files are read to find one that answers. */
const FILES_MAX = 64;

export class ClusterClient {
  readonly #locate: () => Promise<Whereabouts>;
  readonly #around: Surroundings;
  #token: string | undefined;
  #known: readonly string[] = [];

  constructor(locate: () => Promise<Whereabouts>, around: Surroundings) {
    this.#locate = locate;
    this.#around = around;
  }

  /** As the leader sees it; where that is out of reach, as another node does. */
  async look(): Promise<Seen> {
    const known = await this.#first(this.#known).catch((error) => {
      // A token of its own may have expired, and nodes may be elsewhere by now.
      if (!isFailure(error, "unavailable", "denied")) throw error;
      return null;
    });
    if (known) return known;
    const { addresses, token } = await this.#locate();
    this.#token = token;
    const found = await this.#first(addresses);
    if (found) return found;
    throw new Failure("unavailable", "There is no node to ask: the bucket names none");
  }

  /** What the leader answers. */
  async json<T>(request: ApiRequest): Promise<T> {
    const { client } = await this.look();
    return await client.json<T>({ answerMs: ANSWER_ORDER_MS, ...request });
  }

  /** The first that answers, or the leader that it names; null without addresses. */
  async #first(addresses: readonly string[]): Promise<Seen | null> {
    let failure: unknown = null;
    for (const address of addresses) {
      try {
        const seen = await this.#ask(address);
        const leader = seen.status.leader?.address;
        const said = leader === undefined || leader === seen.client.url
          ? seen
          // It may have had a successor by the time that it has not answered.
          : await this.#ask(leader).catch(() => this.#ask(address));
        const others = said.status.nodes.map((node) => node.address);
        this.#known = [...new Set([said.client.url, ...others, ...addresses])];
        return said;
      } catch (error) {
        // One that refuses the token is not the only one that does.
        if (!isFailure(error, "unavailable")) throw error;
        failure ??= error;
      }
    }
    if (failure !== null) throw failure;
    return null;
  }

  async #ask(address: string): Promise<Seen> {
    const client = new ApiClient(address, this.#token, this.#around.clock);
    const request = { method: "GET", path: "/v1/cluster", answerMs: ANSWER_NODE_MS } as const;
    return { status: await client.json<ClusterStatus>(request), client };
  }
}

export function clusterClientOf(args: ParsedArguments, around: Surroundings): ClusterClient {
  if (!namesBucket(args)) {
    const { url } = clientOf(args, around);
    const token = tokenOf(args, around.environment);
    return new ClusterClient(() => Promise.resolve({ addresses: [url], token }), around);
  }
  if (args.has("url")) throw new UsageError("Give --store or --url, not both");
  const token = tokenOf(args, around.environment);
  const locate = () =>
    inBucket(args, around, async (store, name) => ({
      addresses: await addressesIn(store),
      token: token ?? (await mintIn(store, name, COMMANDERS, around)).token,
    }));
  return new ClusterClient(locate, around);
}

/** The node that a person means: its id, or the beginning of it, as it is or after "node-". */
export function nodeNamed(name: string, nodes: readonly NodeStatus[]): string {
  if (nodes.some(({ id }) => id === name)) return name;
  const meant = nodes.map(({ id }) => id)
    .filter((id) => [id, id.replace(/^node-/, "")].some((text) => text.startsWith(name)));
  const [first, second] = meant;
  if (second !== undefined) {
    throw new UsageError(`${JSON.stringify(name)} is the beginning of more: ${meant.join(", ")}`);
  }
  // One that is in no roster may be known to the leader all the same.
  return first ?? name;
}

/** What a command that has the bucket may do: everything, and not for long. */
const COMMANDERS = {
  subject: "admin",
  kind: "user",
  scopes: [ADMIN],
  lifeMs: COMMAND_TOKEN_LIFE_MS,
} as const;

/** Whoever wrote that it leads, then all nodes that have a file, the newest first. */
async function addressesIn(store: Store): Promise<string[]> {
  const [leader, brokers] = await Promise.all([readLeaderFile(store), listBrokers(store)]);
  const newest = brokers.sort((a, b) => b.modifiedAtMs - a.modifiedAtMs).slice(0, FILES_MAX);
  const files = await Promise.all(newest.map(({ node }) => readBrokerFile(store, node)));
  const addresses = [leader, ...files].flatMap((file) => (file ? [file.address] : []));
  return [...new Set(addresses)];
}
