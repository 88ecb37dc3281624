/**
 * The process that runs queries over lakes, one at a time, each in a DuckDB of its own. It works in
 * a folder of its own, which holds links to the files of its query and nothing else. DuckDB is
 * loaded when the parent has said where its binding is, so it is imported here and nowhere above.
 */
import { readdirSync } from "node:fs";
import { constants, setPriority } from "node:os";
import { chdir } from "node:process";
import { assert } from "../../base/assert.ts";
import { LAKE_QUERY_PIECES_AHEAD_MAX } from "../../base/lake-limits.ts";
import type { ParentPort } from "../../database/child.ts";
import { loadBindingFrom } from "./binding.ts";
import type { ChildFailure, FromQueryChild, QueryOrder, ToQueryChild } from "./message.ts";
import type { SendPiece, Session } from "./session.ts";

export function main(port: ParentPort): void {
  yieldToOthers();
  const child = new QueryChild((message) => port.send(message));
  port.onMessage((message) => child.received(message as ToQueryChild));
}

/**
 * A query may keep every processor busy for minutes, and commits beside it must not wait for one.
 * On Linux a priority is a thread's own, and threads begin with that of the one that starts them:
 * once those that there are have it, all have it.
 */
function yieldToOthers(): void {
  try {
    for (const thread of threads()) setPriority(thread, constants.priority.PRIORITY_LOW);
  } catch {
    // A sandbox may forbid it; then queries compete like everybody.
  }
}

function threads(): number[] {
  return process.platform === "linux" ? readdirSync("/proc/self/task").map(Number) : [process.pid];
}

class QueryChild {
  readonly #send: (message: FromQueryChild) => void;
  #module: Promise<typeof import("./session.ts")> | null = null;
  #number = 0;
  #session: Session | null = null;
  /** Pieces that may still be sent before one is taken. */
  #ahead = 0;
  #wake: (() => void) | null = null;

  constructor(send: (message: FromQueryChild) => void) {
    this.#send = send;
  }

  received(message: ToQueryChild): void {
    switch (message[0]) {
      case "open":
        chdir(message[1]);
        loadBindingFrom(message[2]);
        this.#module = import("./session.ts");
        // The first query says why there is none.
        this.#module.catch(() => {});
        return;
      case "run":
        return void this.#run(message[1], message[2]);
      case "inspect":
        return void this.#inspect(message[1], message[2]);
      case "taken":
        this.#ahead++;
        return this.#wake?.();
      case "interrupt":
        if (message[1] !== this.#number) return;
        this.#session?.interrupt();
        return this.#wake?.();
    }
  }

  async #run(number: number, order: QueryOrder): Promise<void> {
    this.#ahead = LAKE_QUERY_PIECES_AHEAD_MAX;
    const failure = await this.#inSession(
      number,
      (session) => session.run(order, this.#piecesOf(number)),
    );
    this.#send(failure === null ? ["done", number] : ["failure", number, failure]);
  }

  async #inspect(number: number, sql: string): Promise<void> {
    const found = await this.#inSession(number, (session) => session.inspect(sql));
    const isFailed = found !== null && "kind" in found;
    this.#send(isFailed ? ["failure", number, found] : ["tables", number, found]);
  }

  /** A binding that cannot be loaded is no fault of the query. */
  async #inSession<T>(
    number: number,
    work: (session: Session) => Promise<T>,
  ): Promise<T | ChildFailure> {
    assert(this.#module !== null, "a query's child is opened first");
    this.#number = number;
    let module;
    try {
      module = await this.#module;
    } catch (error) {
      return {
        kind: "unavailable",
        message: `Cannot run this query: DuckDB cannot be loaded here: ${String(error)}`,
      };
    }
    const session = this.#session = new module.Session();
    try {
      return await work(session);
    } finally {
      this.#session = null;
    }
  }

  #piecesOf(number: number): SendPiece {
    return async (piece) => {
      if (typeof piece === "string") this.#send(["text", number, piece]);
      else this.#send(["bytes", number, piece.toBase64()]);
      this.#ahead--;
      if (this.#ahead > 0) return;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
      this.#wake = null;
    };
  }
}
