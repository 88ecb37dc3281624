/**
 * A client as we ask others to write theirs: it has the addresses of all nodes, and moves on to the
 * next when one says so: 503 with Retry-After, GOAWAY, or a connection that is refused. All of these
 * prove that nothing was done. Anything else that is no answer is a failure, and is counted.
 */
import { type ClientHttp2Session, connect, constants } from "node:http2";
import type { Answer } from "./client.ts";

/** A request that was turned away by every node for so long has failed. */
const GIVE_UP_MS = 15_000;
const PAUSE_MS = 20;

type Outcome = Answer | "moved on" | { readonly failure: string };

interface Connection {
  readonly session: ClientHttp2Session;
  /** Streams above it were not processed (RFC 9113, 6.8); Infinity before a GOAWAY. */
  lastStream: number;
  /** It was there once, so an error of it may be one of a request that was sent. */
  isConnected: boolean;
}

export class MovingClient {
  readonly #urls: readonly string[];
  #at: number;
  #connection: Connection | null = null;
  readonly failures: string[] = [];
  /** How often it moved on. */
  moves = 0;
  answered = 0;

  constructor(urls: readonly string[], first: number) {
    this.#urls = urls;
    this.#at = first % urls.length;
  }

  /** Null for one that has failed; `failures` says why. */
  async post(path: string, body: unknown): Promise<Answer | null> {
    const untilMs = performance.now() + GIVE_UP_MS;
    while (performance.now() < untilMs) {
      const outcome = await this.#try(path, JSON.stringify(body));
      if (outcome === "moved on") {
        this.#moveOn();
        await Bun.sleep(PAUSE_MS);
        continue;
      }
      if ("failure" in outcome) return this.#fail(outcome.failure);
      if (outcome.status >= 300) return this.#fail(JSON.stringify(outcome.body));
      this.answered++;
      return outcome;
    }
    return this.#fail(`every node turned it away for ${GIVE_UP_MS} ms`);
  }

  close(): void {
    this.#connection?.session.destroy();
    this.#connection = null;
  }

  #fail(why: string): null {
    this.failures.push(why);
    this.#moveOn();
    return null;
  }

  #moveOn(): void {
    this.moves++;
    this.#connection?.session.close();
    this.#connection = null;
    this.#at = (this.#at + 1) % this.#urls.length;
  }

  #connect(): Connection {
    const session = connect(this.#urls[this.#at]!);
    const connection = { session, lastStream: Infinity, isConnected: false };
    session.on("connect", () => connection.isConnected = true);
    session.on("goaway", (_code, last) => {
      connection.lastStream = last ?? 0;
      // The next request goes elsewhere.
      if (this.#connection === connection) this.#moveOn();
    });
    // Each stream says it too.
    session.on("error", () => {});
    return connection;
  }

  #try(path: string, body: string): Promise<Outcome> {
    const connection = this.#connection ??= this.#connect();
    const { promise, resolve } = Promise.withResolvers<Outcome>();
    let stream: ReturnType<ClientHttp2Session["request"]>;
    try {
      stream = connection.session.request({
        ":method": "POST",
        ":path": path,
        "content-type": "application/json",
      });
    } catch {
      // Nothing was sent.
      return Promise.resolve("moved on");
    }
    let headers: Answer["headers"] = {};
    let text = "";
    stream.setEncoding("utf8");
    stream.on("response", (found) => headers = found as Answer["headers"]);
    stream.on("data", (chunk: string) => text += chunk);
    stream.on("end", () => {
      const status = Number(headers[":status"] ?? 0);
      if (status === 0) return;
      const isTurnedAway = status === 503 && headers["retry-after"] !== undefined;
      resolve(isTurnedAway ? "moved on" : { status, headers, body: JSON.parse(text) });
    });
    const broken = (why: string) => {
      const isUnprocessed = !connection.isConnected || (stream.id ?? 0) > connection.lastStream ||
        stream.rstCode === constants.NGHTTP2_REFUSED_STREAM;
      resolve(isUnprocessed ? "moved on" : { failure: why });
    };
    stream.on("error", (error) => broken(String(error)));
    stream.on("close", () => broken("the stream was closed without an answer"));
    stream.end(body);
    return promise;
  }
}
