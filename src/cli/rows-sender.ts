/**
 * Requests with rows on their way to a cluster: again and again with the same key until a node
 * answers, at the next address where one does not. A node that saw the key before stores nothing
 * twice, so it does not matter which of the attempts was the one.
 */
import { Failure, isFailure } from "../base/failure.ts";
import { CLI_RETRY_MS, CLI_RETRY_MS_MAX, LAKE_TIMEOUT_MS } from "../base/lake-limits.ts";
import { ANSWER_NODE_MS, TIMEOUT_MS_MAX } from "../base/limits.ts";
import type { IngestFormat } from "../lake/ingest/format.ts";
import type { RowsAck, RowsAnswer, StoredRows } from "../lake/rows-request.ts";
import type { Surroundings } from "../server/surroundings.ts";
import type { ApiClient, ApiRequest } from "./client.ts";

const CONTENT_TYPES: Readonly<Record<IngestFormat, string>> = {
  ndjson: "application/x-ndjson",
  json: "application/json",
  csv: "text/csv",
  arrow: "application/vnd.apache.arrow.stream",
};

export interface SenderOptions {
  /** From the root: "/v1/lakes/web/tables/events/rows". */
  readonly path: string;
  /** When a node is to answer. */
  readonly ack: RowsAck;
  /** How long one request is tried. */
  readonly timeoutMs: number;
}

export interface SentRows {
  readonly format: IngestFormat;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly key: string;
  /** Make the table if it is not there. */
  readonly create: boolean;
}

export class RowsSender {
  readonly #clients: readonly ApiClient[];
  readonly #around: Pick<Surroundings, "clock" | "random">;
  readonly #options: SenderOptions;
  /** Which address answered last, or is to be tried next. */
  #at = 0;

  constructor(
    clients: readonly ApiClient[],
    around: Pick<Surroundings, "clock" | "random">,
    options: SenderOptions,
  ) {
    this.#clients = clients;
    this.#around = around;
    this.#options = options;
  }

  /**
   * Rejects with what is final at once, with the last failure when the time is over, and with
   * `uncertain` then if an attempt without an answer may have stored the rows.
   */
  async send(rows: SentRows): Promise<RowsAnswer | StoredRows> {
    const { clock, random } = this.#around;
    const deadlineMs = clock.monotonicMs() + this.#options.timeoutMs;
    let doubt: Failure | null = null;
    let timeoutMs = LAKE_TIMEOUT_MS;
    for (let delayMs = CLI_RETRY_MS;; delayMs = Math.min(2 * delayMs, CLI_RETRY_MS_MAX)) {
      const at = this.#at;
      const beganMs = clock.monotonicMs();
      const allowedMs = Math.max(1, Math.floor(Math.min(timeoutMs, deadlineMs - beganMs)));
      try {
        return await this.#client(at).json<RowsAnswer | StoredRows>(this.#request(rows, allowedMs));
      } catch (error) {
        if (!isFailure(error, "busy", "unavailable", "uncertain", "elsewhere")) throw error;
        if (error.kind === "uncertain") doubt = error;
        // Sending the body counts: a slow connection may need longer, a node that hangs need not.
        if (clock.monotonicMs() - beganMs >= allowedMs) {
          timeoutMs = Math.min(2 * timeoutMs, TIMEOUT_MS_MAX);
        }
        // Others that were sent there meanwhile may have moved on already.
        if (error.kind !== "busy" && at === this.#at) this.#at += 1;
        const waitMs = Math.max(error.retryAfterMs ?? 0, delayMs / 2 + random.below(delayMs / 2));
        if (clock.monotonicMs() + waitMs >= deadlineMs) throw doubt ?? error;
        await clock.sleep(waitMs);
      }
    }
  }

  #client(at: number): ApiClient {
    const client = this.#clients[at % this.#clients.length];
    if (client === undefined) throw new Failure("invalid", "There is no address to send rows to");
    return client;
  }

  #request({ format, bytes, key, create }: SentRows, timeoutMs: number): ApiRequest {
    const query = new URLSearchParams({
      timeout_ms: String(timeoutMs),
      ...(create && { create: "true" }),
      ...(this.#options.ack === "stored" && { ack: "stored" }),
    });
    return {
      method: "POST",
      path: `${this.#options.path}?${query}`,
      bytes,
      headers: { "content-type": CONTENT_TYPES[format], "idempotency-key": key },
      answerMs: timeoutMs + ANSWER_NODE_MS,
    };
  }
}
