/**
 * Some nodes on one store that must become one cluster, and what all of them say of it.
 *
 *   const cluster = new ClusterNodes(folder, { store: folder.fileStore() }, 3);
 *   await cluster.start();
 *   const { leader, others, term } = await cluster.settled();
 */
import { type Client, must } from "./client.ts";
import { eventually } from "./eventually.ts";
import type { NodeFolder, NodeOptions, NodeProcess } from "./node-process.ts";

/** Who is in the cluster as one node says. */
export interface Status {
  readonly leader: { readonly id: string; readonly address: string } | null;
  readonly term: number;
  readonly nodes: readonly {
    readonly id: string;
    readonly address: string;
    /** Its broker state, or "suspect" while the leader does not hear it. */
    readonly state: string;
    readonly head: number;
    readonly heads: Readonly<Record<string, number>>;
  }[];
  readonly breaker: { readonly state: string; readonly reason?: string };
}

export interface Settled {
  readonly leader: NodeProcess;
  readonly others: readonly NodeProcess[];
  readonly term: number;
}

export class ClusterNodes {
  readonly nodes: NodeProcess[] = [];
  readonly #folder: NodeFolder;
  readonly #options: NodeOptions;
  readonly #clients = new Map<NodeProcess, Client>();
  /** What its clients show, where nodes want a token. */
  token: string | undefined;

  constructor(folder: NodeFolder, options: NodeOptions, count: number) {
    this.#folder = folder;
    this.#options = options;
    for (let index = 0; index < count; index++) this.add();
  }

  /** One more node, which does not run yet. */
  add(options: Partial<NodeOptions> = {}): NodeProcess {
    const node = this.#folder.node({ ...this.#options, ...options });
    this.nodes.push(node);
    return node;
  }

  async start(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.start()));
  }

  /** The test's own client of a node, for looking; kept. */
  client(node: NodeProcess): Client {
    const client = this.#clients.get(node) ?? node.client(this.token);
    this.#clients.set(node, client);
    return client;
  }

  get clients(): Client[] {
    return this.nodes.map((node) => this.client(node));
  }

  /** Null while the node does not answer. */
  async status(node: NodeProcess): Promise<Status | null> {
    try {
      const { status, body } = await this.client(node).get("/v1/cluster");
      return status === 200 ? body : null;
    } catch {
      return null;
    }
  }

  /** Waits until all nodes name the same leader, and each lists all of them as active. */
  async settled(withinMs = 30_000): Promise<Settled> {
    let seen: (Status | null)[] = [];
    const look = async () => {
      seen = await Promise.all(this.nodes.map((node) => this.status(node)));
      return settledAs(this.nodes, seen);
    };
    const instead = () => `${JSON.stringify(seen)}\n${this.logs()}`;
    return await eventually("one cluster of all nodes", look, { withinMs, instead });
  }

  /** Waits until all nodes hold the same bytes of every database; returns their checksums. */
  async agreed(withinMs = 30_000): Promise<Record<string, string>> {
    let seen: string[] = [];
    const look = async () => {
      const lists = await Promise.all(this.clients.map(checksums));
      seen = lists.map((list) => JSON.stringify(list));
      return new Set(seen).size === 1 && !seen[0]!.includes("null") ? lists[0]! : null;
    };
    const instead = () => `${seen.join("\n")}\n${this.logs()}`;
    return await eventually("the same databases on all nodes", look, { withinMs, instead });
  }

  /** The last lines of each node's log. */
  logs(lines = 25): string {
    return this.nodes.map((node) =>
      `\n--- ${node.url}\n${node.log.split("\n").slice(-lines).join("\n")}`
    ).join("");
  }

  async stop(): Promise<void> {
    for (const client of this.#clients.values()) client.close();
    this.#clients.clear();
    await Promise.all(this.nodes.map((node) => node.kill()));
  }
}

function settledAs(
  nodes: readonly NodeProcess[],
  seen: readonly (Status | null)[],
): Settled | null {
  const [first] = seen;
  const leader = nodes.find((node) => node.id === first?.leader?.id);
  if (!first || !leader) return null;
  const ids = nodes.map(({ id }) => id).sort().join();
  const agree = seen.every((status) => {
    if (status?.leader?.id !== leader.id || status.term !== first.term) return false;
    const present = status.nodes.filter(({ state }) => state === "active");
    return present.map(({ id }) => id).sort().join() === ids;
  });
  if (!agree) return null;
  return { leader, others: nodes.filter((node) => node !== leader), term: first.term };
}

/** By database: its epoch and checksum. Null where one cannot be read just now. */
async function checksums(client: Client): Promise<Record<string, string>> {
  const { databases } = must(await client.get("/v1/databases"));
  return Object.fromEntries(
    databases.map(({ name, head, checksum }: Record<string, unknown>) => [
      name,
      checksum === null ? null : `${head} ${checksum}`,
    ]),
  );
}
