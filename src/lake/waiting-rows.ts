/** One request for rows while it waits for its answer; it is answered once, whoever comes first. */
import type { RowsAnswer, RowsRequest, StoredRows } from "./rows-request.ts";

export class WaitingRows {
  readonly request: RowsRequest;
  readonly answer: Promise<RowsAnswer | StoredRows>;
  isAnswered = false;
  /** Its rows are on their way into the catalog: they may come to be there. */
  isSent = false;
  readonly #resolve: (answer: RowsAnswer | StoredRows) => void;
  readonly #reject: (error: unknown) => void;

  constructor(request: RowsRequest) {
    const { promise, resolve, reject } = Promise.withResolvers<RowsAnswer | StoredRows>();
    this.request = request;
    this.answer = promise;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  done(answer: RowsAnswer | StoredRows): void {
    this.isAnswered = true;
    this.#resolve(answer);
  }

  failed(error: unknown): void {
    this.isAnswered = true;
    this.#reject(error);
  }
}
