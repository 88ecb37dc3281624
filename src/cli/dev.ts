/** `dev`: a node to try things on, on a folder, without a configuration. */
import { existsSync, mkdirSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { isFailure } from "../base/failure.ts";
import { loadConfig } from "../config/config.ts";
import type { HeadgateNode } from "../http/node.ts";
import type { Surroundings } from "../server/surroundings.ts";
import { type ParsedArguments, UsageError } from "./arguments.ts";
import { DEFAULT_URL } from "./client.ts";
import { serve } from "./serve.ts";

const DEMO = "demo";
const SETUP_TIMEOUT_MS = 30_000;

export async function runDev(args: ParsedArguments, around: Surroundings): Promise<number> {
  const port = args.whole("port", 0) ?? 8080;
  if (port > 65_535) throw new UsageError(`--port is ${port}; allowed: 0 to 65535`);
  const data = resolve(args.text("data") ?? "data");
  mkdirSync(data, { recursive: true });
  const config = loadConfig({
    environment: {},
    store: { origin: "--data", settings: { type: "filesystem", path: join(data, "store") } },
    flags: [
      { origin: "--port", path: ["listen"], value: `127.0.0.1:${port}` },
      { origin: "--data", path: ["cluster_mode", "node_id_path"], value: join(data, "node_id") },
      { origin: "--log-level", path: ["log", "level"], value: args.text("log-level") ?? "warn" },
    ],
  });
  return await serve(config, around, async ({ node, listener }) => {
    await createDemo(node, around);
    around.write(welcome(listener.url, data, around));
  });
}

/** Makes what the printed lines need, as often as it is missing: a start may be cut short. */
async function createDemo(node: HeadgateNode, { clock }: Surroundings): Promise<void> {
  try {
    await node.databases.create(DEMO, {});
  } catch (error) {
    if (!isFailure(error, "conflict")) throw error;
  }
  try {
    await node.databases.execute(DEMO, {
      subject: "anonymous",
      deadlineMs: clock.monotonicMs() + SETUP_TIMEOUT_MS,
      statements: [
        {
          sql: "CREATE TABLE IF NOT EXISTS notes " +
            "(id INTEGER PRIMARY KEY, text TEXT NOT NULL, at TEXT NOT NULL)",
        },
        {
          sql: "INSERT INTO notes (text, at) SELECT 'Hello from Headgate', datetime('now') " +
            "WHERE NOT EXISTS (SELECT 1 FROM notes)",
        },
      ],
    });
  } catch (error) {
    // Somebody made a table of that name their own.
    if (!isFailure(error, "invalid", "conflict")) throw error;
  }
}

function welcome(url: string, data: string, around: Surroundings): string {
  const command = around.command.map((part) => shortest(linkTo(part))).join(" ");
  const option = url === DEFAULT_URL ? "" : ` --url ${url}`;
  const insert = "INSERT INTO notes (text, at) VALUES (?, datetime('now'))";
  const body = JSON.stringify({ statements: [{ sql: insert, params: ["Hello from curl"] }] })
    .replaceAll("'", "'\\''");
  return `
Headgate is ready at ${url}, with its data in ${shortest(data)}

  Write:  curl ${url}/v1/databases/${DEMO}/execute -H 'content-type: application/json' -d '${body}'
  Read:   ${command} db query ${DEMO} 'SELECT * FROM notes'${option}
  Shell:  ${command} db shell ${DEMO}${option}

No tokens are needed: anybody on this machine may use it.
Stop it with Ctrl-C. To begin anew: rm -r ${shortest(data)}
`;
}

/** npm's link to a program of a package, which is what people type. */
function linkTo(path: string): string {
  const link = path.replace(/\/bun\/bin\/bun(\.exe)?$/, "/.bin/bun");
  return existsSync(link) ? link : path;
}

/** A path as short as it can be said from here, quoted if a shell would split it. */
function shortest(path: string): string {
  const near = relative(process.cwd(), path);
  const here = near.includes("/") || !path.includes("/") ? near : `./${near}`;
  const shown = here.length < path.length && !here.startsWith("..") ? here : path;
  return /^[\w./:@%+=,-]+$/.test(shown) ? shown : `'${shown.replaceAll("'", "'\\''")}'`;
}
