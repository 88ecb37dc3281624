/**
 * Some nodes as a command sees them, by the addresses that it was given: the first that takes a
 * request answers it. A request goes on to the next address only where nothing was done: nobody was
 * reached, or the node said so itself. What may have been done is `uncertain`, and ends it.
 */
import { Failure, isFailure } from "../base/failure.ts";
import { ANSWER_NODE_MS } from "../base/limits.ts";
import type { Surroundings } from "../server/surroundings.ts";
import type { ParsedArguments } from "./arguments.ts";
import { type ApiClient, type ApiRequest, clientsOf, isSilence } from "./client.ts";

export class NodesClient {
  readonly #clients: readonly ApiClient[];

  constructor(clients: readonly ApiClient[]) {
    this.#clients = clients;
  }

  /** As `ApiClient.json`. */
  json<T>(request: ApiRequest): Promise<T> {
    return this.#first((client) => client.json<T>(request));
  }

  /** As `ApiClient.send`. A body that breaks off is not asked for again. */
  send(request: ApiRequest): Promise<Response> {
    return this.#first((client) => client.send(request));
  }

  async #first<T>(ask: (client: ApiClient) => Promise<T>): Promise<T> {
    const last = this.#clients.at(-1);
    const failures: Failure[] = [];
    for (const client of this.#clients) {
      try {
        // One that hangs would have a change hang for minutes, and be uncertain then.
        if (client !== last) await look(client);
        return await ask(client);
      } catch (error) {
        if (!isFailure(error, "busy", "elsewhere", "unavailable")) throw error;
        failures.push(error);
      }
    }
    throw this.#failure(failures);
  }

  /** What a node said tells more than that others were not reached. */
  #failure(failures: readonly Failure[]): Failure {
    const [first, second] = failures;
    const said = failures.find((failure) => !isSilence(failure));
    if (said !== undefined) return said;
    if (first !== undefined && second === undefined) return first;
    const urls = this.#clients.map(({ url }) => url).join(", ");
    const message = `Cannot reach any of ${urls}: is a node running there?`;
    return new Failure("unavailable", message, { cause: first });
  }
}

/** Rejects with `unavailable` where nobody answers soon. */
async function look(client: ApiClient): Promise<void> {
  const request = { method: "GET", path: "/health/live", answerMs: ANSWER_NODE_MS } as const;
  try {
    await client.text(request);
  } catch (error) {
    // Whatever stands before a node may keep its health to itself: an answer is one.
    if (!isFailure(error) || isSilence(error)) throw error;
  }
}

/** Of the addresses that `--url`, again and again or with commas, or HEADGATE_URL name. */
export function nodesClientOf(args: ParsedArguments, around: Surroundings): NodesClient {
  return new NodesClient(clientsOf(args, around));
}
