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
  /** Null while this node hears none. */
  readonly leader: { readonly id: string; readonly address: string } | null;
  /** Counts the leaders that there were; 1 is the first. */
  readonly term: number;
  /** By id. */
  readonly members: readonly Member[];
}

export interface ViewsOptions {
  readonly cluster: Pick<NodeCluster, "status" | "watch">;
  /** The id of the leader that this node hears, which may be its own. */
  leader(): string | null;
  /** Watching ends then. */
  readonly end: Promise<void>;
}

export class Views {
  readonly #options: ViewsOptions;

  constructor(options: ViewsOptions) {
    this.#options = options;
  }

  now(): View {
    const heard = this.#options.leader();
    const { term, nodes } = this.#options.cluster.status();
    const members = nodes.map((node) => memberOf(node, heard));
    const leader = members.find(({ isLeader }) => isLeader);
    return { leader: leader ? { id: leader.id, address: leader.address } : null, term, members };
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
      try {
        onView(view);
      } catch (error) {
        // The program's bug is for the program, not for whoever told us of the change.
        queueMicrotask(() => {
          throw error;
        });
      }
    };
    const stop = this.#options.cluster.watch(look);
    void this.#options.end.then(stop);
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
    void this.#options.end.then(() => {
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

function memberOf(node: NodeStatus, leader: string | null): Member {
  const { id, address, zone, roles, state, version } = node;
  return { id, address, zone, roles, isLeader: id === leader, state, version };
}
