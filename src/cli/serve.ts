/** `serve`: one node, from its configuration to its end. */
import { hostname } from "node:os";
import { describe, Failure } from "../base/failure.ts";
import { STOP_TIMEOUT_MS } from "../base/limits.ts";
import { createLog, type Log } from "../base/log.ts";
import { COMMIT, VERSION } from "../base/version.ts";
import { hostOf, isLoopback, portOf } from "../config/address.ts";
import type { Config } from "../config/config.ts";
import { configText } from "../config/print.ts";
import { failureText } from "../http/answer.ts";
import { createApp, type HttpApp } from "../http/app.ts";
import type { HeadgateNode } from "../http/node.ts";
import { ClientPort } from "../server/client-port.ts";
import type { Listener } from "../server/listen.ts";
import { type ServiceManager, serviceManager } from "../server/service-manager.ts";
import type { Surroundings } from "../server/surroundings.ts";
import type { ParsedArguments } from "./arguments.ts";
import { configOf } from "./settings.ts";

export interface Serving {
  readonly node: HeadgateNode;
  readonly listener: Listener;
}

export async function runServe(args: ParsedArguments, around: Surroundings): Promise<number> {
  const config = configOf(args, around);
  if (args.has("print-config")) {
    around.write(configText(config));
    return 0;
  }
  return await serve(config, around);
}

/** Serves until a signal or the node itself ends it. Resolves to the exit code. */
export async function serve(
  config: Config,
  around: Surroundings,
  onServing: (serving: Serving, log: Log) => Promise<void> = async () => {},
): Promise<number> {
  const { clock, random, environment } = around;
  const log = createLog({
    ...config.log,
    nowMs: () => clock.nowMs(),
    write: (line) => around.writeError(`${line}\n`),
  });
  const end = endOfServing(log);
  const manager = serviceManager(environment["NOTIFY_SOCKET"], log);
  manager.status("starting");
  let app: HttpApp | null = null;
  // The port comes first, since the node publishes the address that others reach it by.
  const port = new ClientPort({
    host: hostOf(config.listen),
    port: portOf(config.listen),
    bodyBytesMax: config.limits.body_bytes_max,
    clock,
    fetch: (request) => app?.fetch(request) ?? notYet(),
  });
  const { listener } = port;
  try {
    const { createNode } = await import("../server/node.ts");
    const handle = await createNode(config, addressOf(config, listener.port), {
      clock,
      random,
      log,
      environment,
      version: VERSION,
      childCommand: around.command,
      running: () => port.running,
      onState: (state) => {
        if (state === "active") port.resume();
        else port.drain();
      },
      exit: (code) => process.exit(code),
      shutDown: end.inOrder,
    });
    app = appOf(config, handle.node, around, log);
    try {
      const ended = await Promise.race([handle.start().then(() => null), end.reached]);
      if (ended !== null) return ended;
      log.info("listening", {
        url: listener.url,
        node: handle.node.id,
        version: VERSION,
        commit: COMMIT,
      });
      sayWhoMay(config, log);
      tellStatus(manager, handle.node);
      manager.ready();
      await Promise.race([onServing({ node: handle.node, listener }, log), end.reached]);
      return await end.reached;
    } finally {
      manager.stopping();
      // Clients' requests go on until the lead is handed over, and then are told to go elsewhere.
      await handle.leave();
      await port.stop(STOP_TIMEOUT_MS);
      await handle.stop();
      log.info("stopped");
    }
  } finally {
    await port.stop(0);
  }
}

/** In a line, at each change. */
function tellStatus(manager: ServiceManager, node: HeadgateNode): void {
  const tell = () => {
    const { role, state } = node.ready();
    const { leader, term, nodes } = node.cluster.status();
    const who = leader?.id ?? "nobody";
    manager.status(`${role}, ${state}; ${who} leads in term ${term}; ${nodes.length} nodes`);
  };
  tell();
  node.cluster.watch(tell);
}

function appOf(config: Config, node: HeadgateNode, { clock }: Surroundings, log: Log): HttpApp {
  const { limits } = config;
  return createApp(node, {
    clock,
    log,
    limits: {
      bodyBytesMax: limits.body_bytes_max,
      resultBytesMax: limits.result_bytes_max,
      readTimeoutMs: limits.read_timeout_ms,
      writeTimeoutMs: limits.write_timeout_ms,
    },
  });
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

function sayWhoMay(config: Config, log: Log): void {
  if (config.auth.required) {
    log.info("requests need a token; headgate token create --store URL makes one");
  } else if (isLoopback(config.listen)) {
    log.info("anybody on this machine may use it: no tokens needed");
  } else log.warn("anybody who reaches the port may use it: auth.required is false");
}

interface EndOfServing {
  /** Resolves to the exit code. */
  readonly reached: Promise<number>;
  /** As a signal does; the node's own way out. */
  inOrder(): void;
}

/** The first signal stops in order, the second at once. */
function endOfServing(log: Log): EndOfServing {
  const { promise, resolve } = Promise.withResolvers<number>();
  let stopping = false;
  const stop = (why: object) => {
    stopping = true;
    log.info("stopping", { ...why });
    resolve(0);
  };
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      if (stopping) process.exit(130);
      stop({ signal });
    });
  }
  process.on("unhandledRejection", (error) => {
    log.error("a bug: a rejection that nobody handled", { error: describe(error) });
    throw error;
  });
  return { reached: promise, inOrder: () => stop({ order: "shutdown" }) };
}
