/** One node with its public port: in a process of its own, or in the program that embeds it. */
import { hostname } from "node:os";
import type { Clock } from "../base/clock.ts";
import { Failure } from "../base/failure.ts";
import { STOP_TIMEOUT_MS } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import { VERSION } from "../base/version.ts";
import { hostOf, portOf } from "../config/address.ts";
import type { Config } from "../config/config.ts";
import { failureText } from "../http/answer.ts";
import { createApp, type HttpApp } from "../http/app.ts";
import { type Mounted, mounted } from "../http/mounted.ts";
import type { HttpOptions } from "../http/parts.ts";
import { ClientPort } from "./client-port.ts";
import type { Listener } from "./listen.ts";
import type { NodeHandle } from "./node-handle.ts";
import type { PeerProgram } from "./peer-calls.ts";

export interface HostOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The argv that starts child processes; see `NodeParts`. */
  readonly command: readonly string[];
  /** Ends the process at once: another one runs with this node's id. */
  exit(code: number): void;
  /** An operator has ended this node: it is to stop in order. */
  shutDown(): void;
  /** Of the program that embeds the node. */
  readonly mount?: Mounted;
  readonly program?: PeerProgram;
}

export interface Hosted extends NodeHandle {
  readonly listener: Listener;
  /** Where clients reach it, "http://host:port". */
  readonly address: string;
  /** Hands the lead over, lets requests end, and stops. */
  end(): Promise<void>;
}

/** Takes the port, the id and the folder of memory; `start` of what it resolves to does the rest. */
export async function hostNode(config: Config, options: HostOptions): Promise<Hosted> {
  const { clock, random, log, environment, command, exit, shutDown, program } = options;
  let app: HttpApp | null = null;
  // The port comes first, since the node publishes the address that others reach it by.
  const port = new ClientPort({
    host: hostOf(config.listen),
    port: portOf(config.listen),
    bodyBytesMax: config.limits.body_bytes_max,
    clock,
    fetch: (request) => app?.fetch(request) ?? notYet(),
  });
  try {
    const { createNode } = await import("./node.ts");
    const address = addressOf(config, port.listener.port);
    const handle = await createNode(config, address, {
      clock,
      random,
      log,
      environment,
      version: VERSION,
      childCommand: command,
      running: () => port.running,
      onState: (state) => {
        if (state === "active") port.resume();
        else port.drain();
      },
      exit,
      shutDown,
      ...(program && { program }),
    });
    app = appOf(config, handle, options);
    return hosted(handle, port, address);
  } catch (error) {
    await port.stop(0);
    throw error;
  }
}

function hosted(handle: NodeHandle, port: ClientPort, address: string): Hosted {
  return {
    node: handle.node,
    inside: handle.inside,
    address,
    get listener() {
      return port.listener;
    },
    start: () => handle.start(),
    leave: () => handle.leave(),
    stop: () => handle.stop(),
    end: async () => {
      // Clients' requests go on until the lead is handed over, and then are told to go elsewhere.
      await handle.leave();
      await port.stop(STOP_TIMEOUT_MS);
      await handle.stop();
    },
  };
}

function appOf(config: Config, { node }: NodeHandle, options: HostOptions): HttpApp {
  const { clock, log, mount } = options;
  const { limits } = config;
  const http: HttpOptions = {
    clock,
    log,
    limits: {
      bodyBytesMax: limits.body_bytes_max,
      resultBytesMax: limits.result_bytes_max,
      readTimeoutMs: limits.read_timeout_ms,
      writeTimeoutMs: limits.write_timeout_ms,
    },
  };
  const app = createApp(node, http);
  return mount ? mounted(app, mount, node, http) : app;
}

/** Where clients reach this node: as advertised, else where it listens, else by the machine's name. */
export function addressOf(config: Config, port: number): string {
  const listened = hostOf(config.listen);
  const everywhere = listened === "0.0.0.0" || listened === "::";
  const host = config.cluster_mode.advertised_host ?? (everywhere ? hostname() : listened);
  return `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

function notYet(): Response {
  const failure = new Failure("unavailable", "This node is starting", { retryAfterMs: 1000 });
  return new Response(failureText(failure), {
    status: 503,
    headers: { "content-type": "application/json", "retry-after": "1" },
  });
}
