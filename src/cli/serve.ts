/** `serve`: one node, from its configuration to its end. */
import { describe } from "../base/failure.ts";
import { createLog, type Log } from "../base/log.ts";
import { COMMIT, VERSION } from "../base/version.ts";
import { isLoopback } from "../config/address.ts";
import type { Config } from "../config/config.ts";
import { configText } from "../config/print.ts";
import type { HeadgateNode } from "../http/node.ts";
import { hostNode } from "../server/hosting.ts";
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
  const { clock, environment } = around;
  const log = createLog({
    ...config.log,
    nowMs: () => clock.nowMs(),
    write: (line) => around.writeError(`${line}\n`),
  });
  const end = endOfServing(log);
  const manager = serviceManager(environment["NOTIFY_SOCKET"], log);
  manager.status("starting");
  const hosted = await hostNode(config, {
    ...around,
    log,
    exit: (code) => process.exit(code),
    shutDown: end.inOrder,
  });
  const { node, listener } = hosted;
  try {
    const ended = await Promise.race([hosted.start().then(() => null), end.reached]);
    if (ended !== null) return ended;
    log.info("listening", { url: listener.url, node: node.id, version: VERSION, commit: COMMIT });
    sayWhoMay(config, log);
    tellStatus(manager, node);
    manager.ready();
    await Promise.race([onServing({ node, listener }, log), end.reached]);
    return await end.reached;
  } finally {
    manager.stopping();
    await hosted.end();
    log.info("stopped");
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
