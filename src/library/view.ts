/** Who is in the cluster and who leads it, as a program sees it, and being told of its changes. */
import type { Cluster as NodeCluster, NodeStatus } from "../http/node.ts";

export interface Member {
  /** Of the node; the same after a restart. */
  readonly id: string;
  /** Where clients reach it, "http://host:port". */
  readonly address: string;
  readonly zone: string;
  readonly roles: readonly string[];
  readonly isLeader: boolean;
  /** `active` takes work; `suspect` was not heard for 5 s; the others are being taken out. */
  readonly state: string;
  readonly version: string;
}

/** As this node knows it: newest from its link to the leader, else the last it heard. */
export interface View {
  /** Null while a leader has stepped down and none has followed. */
  readonly leader: { readonly id: string; readonly address: string } | null;
  /** Counts the leaders that there were; 1 is the first. */
  readonly term: number;
  /** By id. */
  readonly members: readonly Member[];
}

export class Views {
  readonly #cluster: Pick<NodeCluster, "status" | "watch">;
  readonly #end: Promise<void>;

  /** Watching ends with `end`. */
  constructor(cluster: Pick<NodeCluster, "status" | "watch">, end: Promise<void>) {
    this.#cluster = cluster;
    this.#end = end;
  }

  now(): View {
    const { leader, term, nodes } = this.#cluster.status();
    return { leader, term, members: nodes.map((node) => memberOf(node, leader?.id)) };
  }

  /** Calls back at once and after each change, until the function is called or the node ends. */
  watch(onView: (view: View) => void): () => void {
    let last = "";
    const look = () => {
      const view = this.now();
      const text = JSON.stringify(view);
      // Heads and times change all the time, and nobody is told of them here.
      if (text === last) return;
      last = text;
      onView(view);
    };
    const stop = this.#cluster.watch(look);
    void this.#end.then(stop);
    look();
    return stop;
  }

  /** The view now, and after each change. Who is slow gets the newest, and not all between. */
  async *changes(): AsyncGenerator<View, void, void> {
    let newest: View | null = null;
    let wake = Promise.withResolvers<void>();
    let isOver = false;
    const stop = this.watch((view) => {
      newest = view;
      wake.resolve();
    });
    void this.#end.then(() => {
      isOver = true;
      wake.resolve();
    });
    try {
      for (;;) {
        await wake.promise;
        if (isOver) return;
        wake = Promise.withResolvers();
        const view = newest;
        newest = null;
        if (view !== null) yield view;
      }
    } finally {
      stop();
    }
  }
}

function memberOf(node: NodeStatus, leader: string | undefined): Member {
  const { id, address, zone, roles, state, version } = node;
  return { id, address, zone, roles, isLeader: id === leader, state, version };
}
