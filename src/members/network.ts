/** What a dialler needs of the network; HTTP/2 is one (`http2-dial.ts`), the simulation another. */
import type { Headers, ReceivedHeaders } from "./handshake.ts";
import type { Pipe } from "./pipe.ts";

export interface PeerRequest {
  /** "host:port". */
  readonly address: string;
  readonly path: string;
  readonly headers: Headers;
  /** For the connection to stand, and then for the head of the answer to come. */
  readonly connectMs: number;
  readonly answerMs: number;
}

/**
 * - `no_listener`  the host refused the connection: nobody listens there
 * - `silent`       no connection or no answer in time, or no way there
 * - `reset`        the connection was taken and then ended without an answer
 */
export type PeerAnswer =
  | {
    readonly kind: "answered";
    readonly status: number;
    readonly headers: ReceivedHeaders;
    readonly pipe: Pipe;
  }
  | { readonly kind: "no_listener" | "silent" | "reset"; readonly message: string };

export interface Network {
  /** One request whose body and answer stay open. Never rejects. */
  request(request: PeerRequest): Promise<PeerAnswer>;
}
