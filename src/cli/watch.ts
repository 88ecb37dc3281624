/** `cluster watch`: the status at each change, from whichever node answers. */
import { isFailure } from "../base/failure.ts";
import type { ClusterStatus } from "../http/node.ts";
import type { Surroundings } from "../server/surroundings.ts";
import type { ParsedArguments } from "./arguments.ts";
import { type ClusterClient, clusterClientOf, type Seen } from "./cluster-client.ts";
import { eventData } from "./event-stream.ts";
import { statusLine, statusText } from "./status-text.ts";

/** A node writes something each 15 s; one that does not is gone. */
const SILENCE_MS = 40_000;
const AGAIN_MS = 1_000;
const CLEAR = "\x1b[H\x1b[2J";

export async function runWatch(args: ParsedArguments, around: Surroundings): Promise<number> {
  const ended = Promise.withResolvers<number>();
  // Not an error: there is no other way to end it.
  process.once("SIGINT", () => ended.resolve(0));
  process.once("SIGTERM", () => ended.resolve(0));
  const watch = new Watch(clusterClientOf(args, around), around, args.has("json"));
  return await Promise.race([watch.run(), ended.promise]);
}

class Watch {
  readonly #cluster: ClusterClient;
  readonly #around: Surroundings;
  readonly #isJson: boolean;
  #shown = "";

  constructor(cluster: ClusterClient, around: Surroundings, isJson: boolean) {
    this.#cluster = cluster;
    this.#around = around;
    this.#isJson = isJson;
  }

  /** Goes on until something is wrong that waiting does not mend. */
  async run(): Promise<never> {
    let seen = await this.#cluster.look();
    for (;;) {
      this.#show(seen.status);
      await this.#follow(seen);
      await this.#around.clock.sleep(AGAIN_MS);
      seen = await this.#again();
    }
  }

  /** Resolves when the node writes no more. */
  async #follow({ client }: Seen): Promise<void> {
    const { clock, writeError } = this.#around;
    let cancel = () => {};
    try {
      const response = await client.send({ method: "GET", path: "/v1/cluster/events" });
      const reader = response.body?.getReader();
      if (!reader) return;
      const heard = () => {
        cancel();
        cancel = clock.after(SILENCE_MS, () => void reader.cancel());
      };
      heard();
      for await (const data of eventData(reader, heard)) this.#show(JSON.parse(data));
      writeError(`${client.url} writes no more; looking for another node\n`);
    } catch (error) {
      if (isFailure(error) && !isFailure(error, "unavailable", "busy")) throw error;
      // What the runtime says of a broken connection is about itself.
      const what = isFailure(error) ? error.message : `The connection to ${client.url} broke`;
      writeError(`${what}; looking for another node\n`);
    } finally {
      cancel();
    }
  }

  async #again(): Promise<Seen> {
    for (;;) {
      try {
        return await this.#cluster.look();
      } catch (error) {
        if (!isFailure(error, "unavailable")) throw error;
        await this.#around.clock.sleep(AGAIN_MS);
      }
    }
  }

  /** A table where it can be drawn over the last one, else a line if there is news. */
  #show(status: ClusterStatus): void {
    const { write, clock, columns, outputIsTerminal } = this.#around;
    if (!this.#isJson && outputIsTerminal) {
      return write(`${CLEAR}${statusText(status, columns())}\nctrl-c ends\n`);
    }
    const line = statusLine(status);
    if (line === this.#shown) return;
    this.#shown = line;
    const at = new Date(clock.nowMs()).toISOString();
    write(`${this.#isJson ? JSON.stringify(status) : `${at} ${line}`}\n`);
  }
}
