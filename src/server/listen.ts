/**
 * The public port. This file alone knows `Bun.serve`: HTTP/2 by prior knowledge and HTTP/1.1 on one
 * port, no idle timeout of its own (it would end requests at 10 s; ours have deadlines), and a body
 * limit above ours, since its own answer to a body that is too large is empty.
 */
import { Failure } from "../base/failure.ts";
import type { Clock } from "../base/clock.ts";

export interface ListenOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Largest body that the application itself refuses or takes. */
  readonly bodyBytesMax: number;
  readonly clock: Clock;
  /** Must not reject. */
  readonly fetch: (request: Request) => Response | Promise<Response>;
}

export interface Listener {
  readonly host: string;
  readonly port: number;
  /** "http://host:port". */
  readonly url: string;
  /** Requests that are being answered. */
  pending(): number;
  /**
   * Takes no new connection, tells those that stand to go away, and resolves when the requests that
   * run are answered; after `timeoutMs` they are cut off.
   */
  stop(timeoutMs: number): Promise<void>;
}

/** Bytes that a body may be over our limit before the server cuts it off without an answer. */
const BODY_SLACK_BYTES = 64 * 1024 * 1024;

/** Throws `conflict` when the port is taken, `invalid` when the address cannot be used. */
export function listen(options: ListenOptions): Listener {
  const { host, clock } = options;
  const server = serve(options);
  const port = server.port ?? options.port;
  const stop = async (timeoutMs: number): Promise<void> => {
    const cancel = clock.after(timeoutMs, () => void server.stop(true));
    try {
      await server.stop();
    } finally {
      cancel();
    }
  };
  return {
    host,
    port,
    url: `http://${host.includes(":") ? `[${host}]` : host}:${port}`,
    pending: () => server.pendingRequests,
    stop,
  };
}

function serve(options: ListenOptions): Bun.Server<undefined> {
  const { host, port } = options;
  try {
    return Bun.serve({
      hostname: host,
      port,
      http2: true,
      idleTimeout: 0,
      maxRequestBodySize: options.bodyBytesMax + BODY_SLACK_BYTES,
      development: false,
      // Outside development Bun shares a port by default: two nodes would each get half the clients.
      reusePort: false,
      fetch: (request) => options.fetch(request),
    });
  } catch (cause) {
    const code: unknown = Object(cause).code;
    if (code === "EADDRINUSE") {
      throw new Failure("conflict", `Cannot listen on ${host}:${port}: the port is taken`, {
        cause,
      });
    }
    throw new Failure("invalid", `Cannot listen on ${host}:${port}`, { cause });
  }
}
