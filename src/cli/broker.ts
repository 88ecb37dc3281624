/** `cluster broker update`: sets what a node is to do, and waits until it is done. */
import { Failure, isFailure } from "../base/failure.ts";
import { ANSWER_ORDER_MS } from "../base/limits.ts";
import type { BrokerState, NodeStatus } from "../http/node.ts";
import type { Surroundings } from "../server/surroundings.ts";
import { type ParsedArguments, UsageError } from "./arguments.ts";
import { type ClusterClient, clusterClientOf, nodeNamed } from "./cluster-client.ts";
import { nodeText } from "./status-text.ts";

const STATES: readonly BrokerState[] = ["active", "draining", "retiring", "shutdown"];
const WAIT_MS = 120_000;
const LOOK_MS = 500;

interface Updated {
  readonly id: string;
  readonly state: BrokerState;
  readonly epoch: number;
}

export async function runBrokerUpdate(
  args: ParsedArguments,
  around: Surroundings,
): Promise<number> {
  const [name = ""] = args.positionals;
  const state = stateOf(args.text("state"));
  const waitMs = args.whole("timeout", 1) ?? WAIT_MS;
  if (args.has("timeout") && !args.has("wait")) throw new UsageError("--timeout goes with --wait");
  const cluster = clusterClientOf(args, around);
  const { status, client } = await cluster.look();
  const id = nodeNamed(name, status.nodes);
  const answer = await client.json<Updated>({
    method: "PATCH",
    path: `/v1/cluster/brokers/${encodeURIComponent(id)}`,
    body: { state },
    answerMs: ANSWER_ORDER_MS,
  });
  const isListed = status.nodes.some((one) => one.id === id);
  const isOnly = isListed && status.nodes.length === 1;
  const waits = args.has("wait") && (isListed || state !== "shutdown");
  if (waits) await reached(cluster, { ...answer, isOnly }, waitMs, around);
  else if (args.has("wait")) around.writeError(`${id} is in no roster: nobody sees when it ends\n`);
  const done = waits ? DONE[state] : `is told to be ${state}`;
  around.write(
    args.has("json") ? `${JSON.stringify(answer)}\n` : `${id} ${done}, in epoch ${answer.epoch}\n`,
  );
  return 0;
}

const DONE: Readonly<Record<BrokerState, string>> = {
  active: "is active",
  draining: "is drained",
  retiring: "has left the roster",
  shutdown: "is shut down",
};

function stateOf(text: string | undefined): BrokerState {
  const state = STATES.find((one) => one === text);
  if (state) return state;
  const found = text === undefined ? "missing" : JSON.stringify(text);
  throw new UsageError(`--state is ${found}; allowed: ${STATES.join(", ")}`);
}

/** Says what still runs, each time that it changes. Throws `uncertain` when the time is over. */
async function reached(
  cluster: ClusterClient,
  { id, state, isOnly }: Updated & { readonly isOnly: boolean },
  waitMs: number,
  around: Surroundings,
): Promise<void> {
  const { clock } = around;
  const untilMs = clock.monotonicMs() + waitMs;
  const judge = new Judge(state);
  let said = "";
  let unanswered = 0;
  for (;;) {
    const text = await cluster.look().then(({ status }) => {
      unanswered = 0;
      const node = status.nodes.find((one) => one.id === id);
      if (judge.isReached(node)) return null;
      return node ? nodeText(node) : `${id} is in no roster`;
    }, (error) => {
      // The leader that was asked may be the node that goes, and the next one is being elected.
      if (!isFailure(error, "unavailable")) throw error;
      unanswered++;
      return "no node answers";
    });
    // Where it was the only one, nobody is left to say so.
    if (text === null || (isOnly && state === "shutdown" && unanswered > 1)) return;
    if (text !== said) around.writeError(`waiting: ${text}\n`);
    said = text;
    if (clock.monotonicMs() >= untilMs) {
      throw new Failure(
        "uncertain",
        `${id} is told to be ${state}, but was not after ${waitMs} ms: ${text}`,
      );
    }
    await clock.sleep(LOOK_MS);
  }
}

class Judge {
  readonly #state: BrokerState;
  #wasEnding = false;

  constructor(state: BrokerState) {
    this.#state = state;
  }

  /** `node` as the roster has it; undefined when it is not in it. */
  isReached(node: NodeStatus | undefined): boolean {
    switch (this.#state) {
      case "active":
        return node?.state === "active";
      case "draining":
        return node?.state === "draining" && node.running === 0;
      case "retiring":
        return node === undefined;
      case "shutdown":
        // Whoever starts it again at once gets it back as a node that drains.
        if (node === undefined || (this.#wasEnding && node.state === "draining")) return true;
        this.#wasEnding ||= node.state === "shutdown";
        return false;
    }
  }
}
