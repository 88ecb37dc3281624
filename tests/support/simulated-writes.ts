/**
 * I2 as the wire shows it: a writer has at most one append of a chain in flight or unresolved, and
 * repeats it with the same bytes. A writer is a claim: its random id stands in every header.
 */
import { decodeHeader } from "../../src/epoch/header.ts";
import { parseObjectKey } from "../../src/epoch/key.ts";
import type { Violated } from "./simulated-bucket.ts";
import type { SentRequest } from "./simulated-store.ts";

interface Append {
  readonly key: string;
  readonly bytes: Uint8Array;
  state: "in flight" | "unresolved" | "resolved";
}

export class WritesInFlight {
  readonly #violated: Violated;
  /** By sender and writer. */
  readonly #appends = new Map<string, Append>();

  constructor(violated: Violated) {
    this.#violated = violated;
  }

  sent(request: SentRequest): void {
    const writer = writerOf(request);
    if (writer === null || !request.bytes) return;
    const last = this.#appends.get(writer);
    const what = `${request.sender} sends ${request.key}`;
    if (last && last.state === "in flight") {
      this.#violated("I2", `${what} while ${last.key} is in flight`);
    }
    if (last && last.key !== request.key && last.state !== "resolved") {
      this.#violated("I2", `${what} while ${last.key} is unresolved`);
    }
    if (last && last.key === request.key && Buffer.compare(last.bytes, request.bytes) !== 0) {
      this.#violated("I2", `${what} again with other bytes`);
    }
    if (last && last.key > request.key) this.#violated("I2", `${what} after ${last.key}`);
    this.#appends.set(writer, { key: request.key, bytes: request.bytes, state: "in flight" });
  }

  heard(request: SentRequest, outcome: unknown): void {
    const writer = writerOf(request);
    if (writer !== null) {
      const last = this.#appends.get(writer);
      if (last) last.state = outcome === "created" ? "resolved" : "unresolved";
      return;
    }
    if (request.operation !== "get" && request.operation !== "getRange") return;
    if (outcome === "unavailable") return;
    for (const [name, append] of this.#appends) {
      if (!name.startsWith(`${request.sender} `) || append.key !== request.key) continue;
      if (append.state === "unresolved" && outcome !== null) append.state = "resolved";
    }
  }
}

function writerOf(request: SentRequest): string | null {
  if (request.operation !== "create" || !request.bytes) return null;
  const name = parseObjectKey("s3", request.key);
  if (!name || name.level !== 0) return null;
  const { nodeId } = decodeHeader(request.bytes, request.key);
  return `${request.sender} ${name.database} ${nodeId}`;
}
