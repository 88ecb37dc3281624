/**
 * A batch as the workspace's parent side sees it: its requests, how many were sent to the child, and
 * what came back. When the child ends, everything but what was decided for good is undone.
 */
import { assert } from "../base/assert.ts";
import type { WriteRequest } from "./statement.ts";
import type { Answer, AnswerFailure, BatchRequest } from "./workspace.ts";
import type { WriterAnswer } from "./writer-message.ts";

export interface PendingRequest {
  readonly id: number;
  readonly request: WriteRequest;
  /** When it was given to the workspace, on the monotonic clock. */
  readonly receivedMs: number;
  /** Of its last sending, 0 before. */
  serial: number;
  /** It runs again through no fault of its own. */
  isAgain: boolean;
  /** Children that ended unexplained while it ran. */
  deaths: number;
  /** Decided by the parent: no child is asked any more. */
  isEnded: boolean;
  outcome: Answer | "putOff" | null;
}

/** Requests to be sent in one message: serials count on from the first. */
export interface Sending {
  readonly serial: number;
  readonly requests: readonly WriteRequest[];
  /** The soonest of their deadlines, ms on the monotonic clock. */
  readonly deadlineMs: number;
}

export class PendingBatch {
  readonly #requests: PendingRequest[] = [];
  #sent = 0;
  #answered = 0;
  /** Outcomes that are still being read from files. */
  #reads: Promise<void>[] = [];
  /** One transaction a request. */
  alone = false;

  get size(): number {
    return this.#requests.length;
  }

  get isSettled(): boolean {
    this.#skipEnded();
    return this.#answered === this.#requests.length;
  }

  add(requests: readonly BatchRequest[], receivedMs: number): void {
    for (const { id, request } of requests) {
      this.#requests.push({
        id,
        request,
        receivedMs,
        serial: 0,
        isAgain: false,
        deaths: 0,
        isEnded: false,
        outcome: null,
      });
    }
  }

  /** What was not sent yet, with serials from `serial` on; null when all was. */
  send(serial: number): Sending | null {
    const requests: WriteRequest[] = [];
    let deadlineMs = Infinity;
    for (; this.#sent < this.#requests.length; this.#sent++) {
      const pending = this.#requests[this.#sent];
      if (pending === undefined || pending.isEnded) continue;
      pending.serial = serial + requests.length;
      requests.push(pending.request);
      deadlineMs = Math.min(deadlineMs, pending.request.deadlineMs);
    }
    return requests.length === 0 ? null : { serial, requests, deadlineMs };
  }

  /** The next outcomes, in order. `readFile` gives the text of a result and removes its file. */
  answer(answers: readonly WriterAnswer[], readFile: (path: string) => Promise<string>): void {
    for (const answer of answers) {
      this.#skipEnded();
      const pending = this.#requests[this.#answered++];
      assert(pending !== undefined && this.#answered <= this.#sent, "an answer has a request");
      if (typeof answer === "object" && "file" in answer) {
        const { serial } = pending;
        const read = readFile(answer.file).then((result) => {
          // It may have been sent once more since.
          if (pending.serial !== serial || pending.outcome !== null) return;
          pending.outcome = { id: pending.id, kind: "done", result };
        });
        // Nobody asks for it where the batch is run again, or its workspace is gone.
        read.catch(() => {});
        this.#reads.push(read);
      } else {
        pending.outcome = outcomeOf(pending.id, answer);
      }
    }
  }

  /** The child runs the batch again from its first request. */
  again(): void {
    this.#answered = 0;
    this.#reads = [];
    for (const pending of this.#requests) {
      if (!pending.isEnded) pending.outcome = null;
    }
  }

  /** The child is gone with all it did: everything is to be sent again. */
  unsend(): void {
    this.again();
    for (const pending of this.#requests.slice(0, this.#sent)) pending.isAgain = true;
    this.#sent = 0;
  }

  /** The request with this serial, if it has no outcome yet. */
  find(serial: number): PendingRequest | null {
    return this.#requests.find((pending) => pending.serial === serial && !pending.isEnded) ?? null;
  }

  /** Decides a request for good. */
  end(pending: PendingRequest, failure: AnswerFailure): void {
    pending.isEnded = true;
    pending.outcome = { id: pending.id, kind: "failed", failure };
  }

  /** Resolves when every outcome is here. */
  async outcomes(): Promise<{ answers: Answer[]; putOff: number[] }> {
    await Promise.all(this.#reads);
    const answers: Answer[] = [];
    const putOff: number[] = [];
    for (const { id, outcome } of this.#requests) {
      assert(outcome !== null, `request ${id} has an outcome when its batch is taken`);
      if (outcome === "putOff") putOff.push(id);
      else answers.push(outcome);
    }
    return { answers, putOff };
  }

  #skipEnded(): void {
    while (this.#requests[this.#answered]?.isEnded === true) this.#answered++;
  }
}

function outcomeOf(id: number, answer: Exclude<WriterAnswer, { file: string }>): Answer | "putOff" {
  if (typeof answer === "string") return { id, kind: "done", result: answer };
  if ("replayed" in answer) return { id, kind: "replayed", answer: answer.replayed };
  if ("failed" in answer) return { id, kind: "failed", failure: answer.failed };
  return "putOff";
}
