/** An HTTP/2 connection over a socket: prior knowledge over TCP, or ALPN over TLS. */
import type { Clock } from "../../base/clock.ts";
import { Failure } from "../../base/failure.ts";
import { H2Connection, type H2Handlers, type H2Options } from "./h2-connection.ts";

export interface H2ClientOptions extends Omit<H2Options, "write" | "handlers"> {
  readonly clock: Clock;
  readonly handlers: Omit<H2Handlers, "onReady" | "onFinished">;
  readonly connectTimeoutMs?: number;
  /** PEM of the authority that signed the server's certificate, where the system has none. */
  readonly ca?: string;
}

const CONNECT_TIMEOUT_MS = 5_000;

/**
 * Resolves when requests can be sent. Throws `unavailable` when nobody answers within the
 * deadline or the answer is not HTTP/2.
 */
export function connectH2(url: URL, options: H2ClientOptions): Promise<H2Connection> {
  const { clock, handlers, connectTimeoutMs = CONNECT_TIMEOUT_MS, ca, ...rest } = options;
  const { promise, resolve, reject } = Promise.withResolvers<H2Connection>();
  const refuse = (cause: unknown): void =>
    reject(new Failure("unavailable", `Cannot connect to ${url.origin} over HTTP/2`, { cause }));
  let socket: Bun.Socket<undefined> | null = null;
  let ready = false;
  const cancel = clock.after(connectTimeoutMs, () => {
    connection.end(`no answer within ${connectTimeoutMs} ms`);
  });
  const connection = new H2Connection({
    ...rest,
    write: (bytes) => socket?.write(bytes) ?? -1,
    handlers: {
      onAnswer: handlers.onAnswer,
      onFailure: handlers.onFailure,
      onReady: () => {
        ready = true;
        cancel();
        resolve(connection);
      },
      onGone: (reason) => {
        cancel();
        if (ready) handlers.onGone(reason);
        else refuse(new Error(reason));
      },
      onFinished: () => socket?.end(),
    },
  });
  const secure = url.protocol === "https:";
  Bun.connect<undefined>({
    hostname: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: Number(url.port || (secure ? 443 : 80)),
    ...(secure ? { tls: tlsOf(url, ca) } : {}),
    socket: {
      open: (opened) => {
        // The deadline may have passed while the socket was being opened.
        if (connection.isFinished) return void opened.end();
        socket = opened;
        opened.setNoDelay(true);
        connection.start();
      },
      data: (_, bytes) => connection.receive(bytes),
      drain: () => connection.flush(),
      close: (_, error) => connection.end(error?.message ?? "connection closed"),
      error: (_, error) => connection.end(error.message),
      connectError: (_, error) => connection.end(error.message),
    },
  }).catch((error: unknown) => connection.end(error instanceof Error ? error.message : `${error}`));
  return promise;
}

/** ALPN names are given with their length before them (RFC 7301, section 3.1). */
const ALPN_H2 = Uint8Array.of(2, 0x68, 0x32);

function tlsOf(url: URL, ca: string | undefined): Bun.TLSOptions {
  return {
    ALPNProtocols: ALPN_H2,
    serverName: url.hostname,
    rejectUnauthorized: true,
    ...(ca === undefined ? {} : { ca }),
  };
}
