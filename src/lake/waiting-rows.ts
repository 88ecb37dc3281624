/** One request for rows while it waits for its answer; it is answered once, whoever comes first. */
import type { RowsAnswer, RowsRequest } from "./rows-request.ts";

export class WaitingRows {
  readonly request: RowsRequest;
  readonly answer: Promise<RowsAnswer>;
  isAnswered = false;
  /** Its rows are on their way into the catalog: they may come to be there. */
  isSent = false;
  readonly #resolve: (answer: RowsAnswer) => void;
  readonly #reject: (error: unknown) => void;

  constructor(request: RowsRequest) {
    const { promise, resolve, reject } = Promise.withResolvers<RowsAnswer>();
    this.request = request;
    this.answer = promise;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  done(answer: RowsAnswer): void {
    this.isAnswered = true;
    this.#resolve(answer);
  }

  failed(error: unknown): void {
    this.isAnswered = true;
    this.#reject(error);
  }
}
