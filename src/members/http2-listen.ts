/**
 * The port on which other nodes call: HTTP/2 by prior knowledge, and nothing but `/peer`. It is
 * `node:http2`'s server and not Bun's own, which sleeps on what it has to send (decision 0006).
 * Whoever has not proven who he is gets a moment, one request, a small window and few neighbours.
 */
import {
  constants,
  createServer,
  type Http2Server,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo } from "node:net";
import type { Clock } from "../base/clock.ts";
import { Failure, type FailureKind } from "../base/failure.ts";
import { PEER_HELLO_MS, PEER_STRANGER_WINDOW_BYTES, PEER_STRANGERS_MAX } from "../base/limits.ts";
import type { Acceptance } from "./accept.ts";
import { failureHead } from "./failure-frame.ts";
import type { ReceivedHeaders } from "./handshake.ts";
import { Http2Pipe } from "./http2-pipe.ts";

export interface PeerListenOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly clock: Clock;
  /** Judges a request by its path and headers. */
  readonly accept: (path: string, headers: ReceivedHeaders) => Acceptance;
}

export interface PeerListener {
  readonly port: number;
  /** Takes no more connections, and ends those that stand: close the channels before. */
  close(): Promise<void>;
}

const STATUS: Readonly<Partial<Record<FailureKind, number>>> = {
  invalid: 400,
  denied: 401,
  missing: 404,
};

/** Rejects with `conflict` when the port is taken, `invalid` when the address cannot be used. */
export async function listenForPeers(options: PeerListenOptions): Promise<PeerListener> {
  const { host, port } = options;
  const server = createServer({
    settings: {
      initialWindowSize: PEER_STRANGER_WINDOW_BYTES,
      maxConcurrentStreams: 1,
      enablePush: false,
    },
  });
  const visitors = new Visitors(options);
  server.on("session", (session) => visitors.add(session));
  await listening(server, host, port);
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        visitors.end();
      }),
  };
}

function listening(server: Http2Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause: Error) => {
      const isTaken = Object(cause).code === "EADDRINUSE";
      const why = isTaken ? ": the port is taken" : "";
      const kind = isTaken ? "conflict" : "invalid";
      reject(new Failure(kind, `Cannot listen for nodes on ${host}:${port}${why}`, { cause }));
    });
    server.listen(port, host, resolve);
  });
}

/** All connections, and which of them are strangers still. */
class Visitors {
  readonly #options: PeerListenOptions;
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #strangers = new Map<ServerHttp2Session, () => void>();

  constructor(options: PeerListenOptions) {
    this.#options = options;
  }

  add(session: ServerHttp2Session): void {
    session.on("error", () => {});
    if (this.#strangers.size >= PEER_STRANGERS_MAX) return session.destroy();
    const { clock } = this.#options;
    this.#sessions.add(session);
    this.#strangers.set(session, clock.after(PEER_HELLO_MS, () => session.destroy()));
    session.on("close", () => {
      this.#isKnown(session);
      this.#sessions.delete(session);
    });
    session.once("stream", (stream, headers) => {
      this.#answer(session, stream, headers);
      session.on("stream", (another) => {
        another.on("error", () => {});
        another.close(constants.NGHTTP2_REFUSED_STREAM);
      });
    });
  }

  end(): void {
    for (const session of [...this.#sessions]) session.destroy();
  }

  #answer(
    session: ServerHttp2Session,
    stream: ServerHttp2Stream,
    headers: ReceivedHeaders,
  ): void {
    const acceptance = this.#options.accept(pathOf(headers), headers);
    if (acceptance.kind === "refused") return refuse(stream, acceptance);
    const pipe = new Http2Pipe(session, stream, () => this.#isKnown(session));
    stream.respond({ ...acceptance.headers, ":status": 200 });
    void acceptance.run(pipe);
  }

  #isKnown(session: ServerHttp2Session): void {
    this.#strangers.get(session)?.();
    this.#strangers.delete(session);
  }
}

/** Only POST is a call; anything else is at no path that there is. */
function pathOf(headers: ReceivedHeaders): string {
  return headers[":method"] === "POST" ? String(headers[":path"]) : "";
}

function refuse(
  stream: ServerHttp2Stream,
  { failure, headers }: Acceptance & { readonly kind: "refused" },
): void {
  stream.on("error", () => {});
  stream.respond({
    ...headers,
    ":status": STATUS[failure.kind] ?? 503,
    "content-type": "application/json",
  });
  stream.end(`${JSON.stringify({ error: failureHead(failure) })}\n`);
}
