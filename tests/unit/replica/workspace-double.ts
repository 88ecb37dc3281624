/**
 * A workspace that executes words instead of SQL: "write" changes a page, "read" changes none,
 * "fail" fails, "large" is put off unless it is alone. What it takes are bytes of its own.
 */
import { type Deferred, deferred } from "../../../src/base/deferred.ts";
import type {
  Answer,
  AnswerFailure,
  BatchRequest,
  RewriteOptions,
  Rewritten,
  Taken,
  TakeOptions,
  Workspace,
} from "../../../src/database/workspace.ts";

export class WorkspaceDouble implements Workspace {
  /** Words of each batch that was taken. */
  readonly batches: string[][] = [];
  isClosed = false;
  /** Set by a test: the next take waits for it, and rejects when it does. */
  hold: Deferred<void> | null = null;
  executing: string[] = [];
  #after: number;
  #requests: BatchRequest[] = [];
  #onEnded: (id: number, failure: AnswerFailure) => void = () => {};
  readonly #closed = deferred<never>();

  constructor(after: number) {
    this.#after = after;
    this.#closed.promise.catch(() => {});
  }

  execute(requests: readonly BatchRequest[]): void {
    this.#requests.push(...requests);
    this.executing.push(...requests.map(word));
  }

  settled(): Promise<void> {
    return Promise.resolve();
  }

  onEnded(listener: (id: number, failure: AnswerFailure) => void): void {
    this.#onEnded = listener;
  }

  /** Ends the running request with this word, as at its deadline. */
  end(text: string): void {
    const found = this.#requests.find((request) => word(request) === text);
    if (found) this.#onEnded(found.id, { kind: "unavailable", message: `${text} was ended` });
  }

  async take(options: TakeOptions): Promise<Taken> {
    if (this.isClosed) throw new Error("the workspace is closed");
    const { hold } = this;
    if (hold) await Promise.race([hold.promise, this.#closed.promise]);
    this.hold = null;
    const requests = this.#requests.splice(0);
    this.executing = [];
    this.batches.push(requests.map(word));
    const isPutOff = (one: BatchRequest) => word(one) === "large" && requests.length > 1;
    const kept = requests.filter((one) => !isPutOff(one));
    const changes = kept.some((one) => ["write", "large"].includes(word(one)));
    if (changes) this.#after++;
    const number = this.#after;
    return {
      putOff: requests.filter(isPutOff).map(({ id }) => id),
      answers: kept.map(answer),
      epoch: !changes ? null : {
        number,
        bytes: new TextEncoder().encode(`epoch ${number}: ${kept.map(word)}`),
        fileChecksum: BigInt(number),
        databaseChecksum: 0n,
        timestampMs: options.timestampMs,
      },
    };
  }

  rewrite(_: RewriteOptions): Promise<Rewritten> {
    throw new Error("this one executes words only");
  }

  close(): Promise<void> {
    this.isClosed = true;
    this.#closed.reject(new Error("the workspace was closed"));
    return Promise.resolve();
  }
}

function word({ request }: BatchRequest): string {
  return request.statements[0]?.sql ?? "";
}

function answer(one: BatchRequest): Answer {
  const { id } = one;
  if (word(one) !== "fail") return { id, kind: "done", result: `"results":["${word(one)}"]` };
  return { id, kind: "failed", failure: { kind: "invalid", message: "told to fail" } };
}
