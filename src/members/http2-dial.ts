/** The network as it is: HTTP/2 by prior knowledge, one connection a channel. */
import { type ClientHttp2Session, connect } from "node:http2";
import type { Clock } from "../base/clock.ts";
import { describe } from "../base/failure.ts";
import { PEER_WINDOW_BYTES } from "../base/limits.ts";
import { Http2Pipe } from "./http2-pipe.ts";
import type { Network, PeerAnswer, PeerRequest } from "./network.ts";

export function http2Network(clock: Clock): Network {
  return {
    request: (request) => {
      const { address } = request;
      if (!URL.canParse(`http://${address}`)) {
        const message = `${JSON.stringify(address)} is no address`;
        return Promise.resolve({ kind: "silent", message });
      }
      return new Attempt(request, clock).answer;
    },
  };
}

class Attempt {
  readonly answer: Promise<PeerAnswer>;
  readonly #request: PeerRequest;
  readonly #clock: Clock;
  readonly #session: ClientHttp2Session;
  #resolve: (answer: PeerAnswer) => void = () => {};
  #isSettled = false;
  #cancel: () => void;

  constructor(request: PeerRequest, clock: Clock) {
    this.#request = request;
    this.#clock = clock;
    this.answer = new Promise((resolve) => this.#resolve = resolve);
    this.#cancel = this.#failAfter(request.connectMs, "it took no connection");
    this.#session = connect(`http://${request.address}`, {
      settings: { initialWindowSize: PEER_WINDOW_BYTES, enablePush: false },
    });
    this.#session.on("connect", () => this.#send());
    this.#session.on("error", (error) => this.#fail(faultOf(error), describe(error)));
    this.#session.on("close", () => this.#fail("reset", "it ended the connection"));
  }

  #send(): void {
    const { path, headers, answerMs } = this.#request;
    this.#cancel();
    this.#cancel = this.#failAfter(answerMs, "it took the connection and did not answer");
    const stream = this.#session.request({ ...headers, ":method": "POST", ":path": path }, {
      endStream: false,
    });
    const pipe = new Http2Pipe(this.#session, stream);
    stream.on("close", () => this.#fail("reset", "it ended the stream"));
    stream.on("response", (received) => {
      if (this.#isSettled) return;
      this.#isSettled = true;
      this.#cancel();
      const status = Number(received[":status"]);
      this.#resolve({ kind: "answered", status, headers: received, pipe });
    });
  }

  #failAfter(ms: number, message: string): () => void {
    return this.#clock.after(ms, () => this.#fail("silent", `${message} within ${ms} ms`));
  }

  /** Does nothing to a request that was answered: its pipe tells of its end. */
  #fail(kind: "no_listener" | "silent" | "reset", message: string): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#cancel();
    this.#session.destroy();
    this.#resolve({ kind, message });
  }
}

function faultOf(error: unknown): "no_listener" | "silent" | "reset" {
  const code: unknown = Object(error).code;
  if (code === "ECONNREFUSED") return "no_listener";
  return code === "ECONNRESET" || code === "EPIPE" ? "reset" : "silent";
}
