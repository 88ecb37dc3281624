/** A program becomes a node: its configuration, its routes, and the node in its own process. */
import { fileURLToPath } from "node:url";
import type { Clock } from "../base/clock.ts";
import { createLog, type Log } from "../base/log.ts";
import { Failure } from "../base/failure.ts";
import { type Config, loadConfig } from "../config/config.ts";
import type { ConfigInput } from "../config/schema.ts";
import { runChild } from "../database/child-main.ts";
import { LAKE_ROLES } from "../lake/child-roles.ts";
import { isMounted, type Mounted } from "../http/mounted.ts";
import { hostNode } from "../server/hosting.ts";
import { processSurroundings, type Surroundings } from "../server/surroundings.ts";
import { partOf } from "../store/prefixed.ts";
import { type App, type AppCaller, Calls } from "./calls.ts";
import { type Cluster, type Ended, JoinedCluster } from "./cluster.ts";
import { Transactions } from "./transactions.ts";
import { Views } from "./view.ts";

export interface JoinOptions {
  /** The program's routes. Other nodes reach them by calls, clients on the public port. */
  readonly app?: App;
  /** Where on the public port: "/" (the default) for every path that is not Headgate's own. */
  readonly prefix?: string;
  /** Lets clients without a token reach the routes where tokens are required. */
  readonly open?: boolean;
  /** Takes the lines of the node's log; they go to standard error when absent. */
  readonly log?: (line: string) => void;
}

/** How long joining waits for a leader. */
const LEADER_MS = 3_000;

/** Below it in the store are the program's own objects. */
const APP_PREFIX = "app/";

/**
 * Joins the cluster of the configured store, or founds it, and resolves when this node serves. A node
 * with `eligible: false` never leads. `config` has the keys of config.yaml, or is a `Config`.
 */
export async function joinCluster(
  config: ConfigInput | Config,
  options: JoinOptions = {},
): Promise<Cluster> {
  const around = processSurroundings();
  await becomeChildIfAsked();
  const settings = configOf(config);
  const log = logOf(settings, around, options);
  const { clock, random } = around;
  const ended = Promise.withResolvers<Ended>();
  let answer: Calls["answer"] = () => Promise.reject(starting());
  let isServing = false;
  const mount = mountOf(options, () => isServing);
  const hosted = await hostNode(settings, {
    ...around,
    command: childCommand(around),
    log,
    exit: () => void close("replaced"),
    shutDown: () => void close("shutdown"),
    program: { answer: (call, from) => answer(call, from) },
    ...(mount && { mount }),
  });
  let closing: Promise<void> | null = null;
  const close = (why: Ended) => closing ??= hosted.end().finally(() => ended.resolve(why));
  try {
    await hosted.start();
  } catch (error) {
    await close("closed");
    throw error;
  }
  const { node, inside: { databases, membership, store } } = hosted;
  const views = new Views({
    cluster: node.cluster,
    leader: () => membership.leader,
    end: ended.promise.then(() => {}),
  });
  const calls = new Calls({
    clock,
    random,
    node: node.id,
    zone: settings.zone,
    app: options.app ?? null,
    membership,
    view: () => views.now(),
  });
  answer = (call, from) => calls.answer(call, from);
  isServing = true;
  await leaderHeard(views, clock);
  const attemptMs = settings.limits.write_timeout_ms;
  return new JoinedCluster({
    clock,
    hosted,
    store: partOf(store, { prefix: APP_PREFIX, clock, random, log }),
    transactions: new Transactions({ clock, random, databases, attemptMs }),
    views,
    calls,
    ended: ended.promise,
    close: () => close("closed"),
  });
}

/** Most programs ask for the leader first; where there is none in time they join all the same. */
async function leaderHeard(views: Views, clock: Clock): Promise<void> {
  const heard = Promise.withResolvers<void>();
  const stop = views.watch(({ leader }) => leader && heard.resolve());
  const cancel = clock.after(LEADER_MS, heard.resolve);
  await heard.promise;
  cancel();
  stop();
}

/**
 * SQL from the network runs in child processes. Those of a program that runs from its sources are
 * started by our own `main.ts`; a compiled one is all there is, and starts itself.
 */
function childCommand({ command }: Surroundings): readonly string[] {
  if (command.length === 1) return command;
  return [process.execPath, fileURLToPath(new URL("../../main.ts", import.meta.url))];
}

async function becomeChildIfAsked(): Promise<void> {
  if (Bun.argv[2] !== "__child") return;
  await runChild(Bun.argv[3], Bun.argv[4], LAKE_ROLES);
  // It ends with its parent.
  await new Promise(() => {});
}

function configOf(config: ConfigInput | Config): Config {
  if (isReady(config)) return config;
  return loadConfig({
    environment: {},
    flags: Object.entries(config).map(([key, value]) => ({
      origin: "joinCluster",
      path: [key],
      value,
    })),
  });
}

/** What was validated has its durations in ms. */
function isReady(config: ConfigInput | Config): config is Config {
  return "window_ms" in Object(config.retention);
}

function logOf(settings: Config, around: Surroundings, { log }: JoinOptions): Log {
  return createLog({
    ...settings.log,
    nowMs: () => around.clock.nowMs(),
    write: log ?? ((line) => around.writeError(`${line}\n`)),
  });
}

function mountOf({ app, prefix = "/", open = false }: JoinOptions, isServing: () => boolean) {
  if (!app) return null;
  if (!/^\/$|^(\/[\w.~-]+)+$/.test(prefix) || !isMounted(prefix, "/")) {
    throw new Failure(
      "invalid",
      `Cannot mount the program at ${JSON.stringify(prefix)}: give a path like "/app" that is ` +
        "none of Headgate's own",
    );
  }
  const mount: Mounted = {
    prefix,
    open,
    fetch: (request, caller) => {
      if (!isServing()) throw starting();
      const from: AppCaller = { kind: "client", subject: caller?.subject ?? null };
      return app.fetch(request, { caller: from });
    },
  };
  return mount;
}

function starting(): Failure {
  return new Failure("unavailable", "This node is starting", { retryAfterMs: 500 });
}
