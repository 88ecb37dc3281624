/**
 * A cluster application in a file. Its nodes share a directory and nothing else; they laugh, count
 * that in a replicated database, and print who is there, at the start and whenever it changes.
 *
 *     bun examples/lol_cluster.ts init -p ./lol        # once
 *     bun examples/lol_cluster.ts leader -p ./lol      # in two terminals: one leads
 *     bun examples/lol_cluster.ts follower -p ./lol    # as many as you like: they never lead
 *
 * Press Ctrl-C in the leader's terminal, or kill -9 it, and look at the others. Ask any of them with
 * `curl ADDRESS/lol`: the leader answers.
 */
import { parseArgs } from "node:util";
import { Hono } from "hono";
import { type AppEnv, type Cluster, joinCluster, type View } from "../src/mod.ts";

const DATABASE = "lol";
const ROLES = { init: "init", leader: "laughing", follower: "listening" } as const;

const { values, positionals: [command = ""] } = parseArgs({
  allowPositionals: true,
  options: { path: { type: "string", short: "p", default: "./lol" } },
});
if (command !== "init" && command !== "leader" && command !== "follower") {
  console.error("usage: lol_cluster.ts init|leader|follower [-p DIRECTORY]");
  process.exit(2);
}

const app = new Hono<{ Bindings: AppEnv }>();
app.get("/lol", async ({ env, req }) => {
  // A client asks any node; that node asks the leader, which counts.
  if (env.caller.kind === "client") return await cluster.callLeader(req.raw);
  const { value } = await cluster.read(DATABASE, (db) => db.query(COUNT).get());
  return Response.json({ ...value, counted_by: cluster.id });
});

const cluster: Cluster = await joinCluster({
  storage: { primary_backend: { type: "filesystem", path: `${values.path}/store` } },
  cluster_mode: {
    node_id_path: `${values.path}/ids/${command}-${process.pid}`,
    internal_api_port: 0,
  },
  listen: "127.0.0.1:0",
  roles: [ROLES[command]],
  eligible: command !== "follower",
  log: { level: "error" },
}, { app });

const COUNT = "SELECT coalesce(sum(laughs), 0) AS laughs, count(*) AS nodes FROM lol";

if (command === "init") {
  await cluster.ensureDatabase(DATABASE);
  await cluster.transaction(DATABASE, (db) => {
    db.run("CREATE TABLE IF NOT EXISTS lol (node TEXT PRIMARY KEY, laughs INTEGER NOT NULL)");
  });
  show(cluster.view());
  await cluster.close();
  console.log(`The cluster is in ${values.path}. Now: lol_cluster.ts leader -p ${values.path}`);
  process.exit(0);
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => void cluster.close());
}
if (command === "leader") setInterval(() => void laugh().catch(report), 1_000);
for await (const view of cluster.changes()) show(view);
process.exit((await cluster.ended) === "replaced" ? 1 : 0);

/** Reads and decides in plain SQL and TypeScript; who else writes meanwhile makes it run again. */
async function laugh(): Promise<void> {
  await cluster.transaction(DATABASE, (db) => {
    const own = db.query<{ laughs: number }>("SELECT laughs FROM lol WHERE node = ?")
      .get(cluster.id);
    db.run("REPLACE INTO lol VALUES (?, ?)", cluster.id, (own?.laughs ?? 0) + 1);
  });
}

function show({ leader, term, members }: View): void {
  console.log(`\nterm ${term}, leader ${leader?.id ?? "none"}, ${members.length} members`);
  console.table(members.map(({ id, address, roles, state, isLeader }) => ({
    id: id === cluster.id ? `${id} (this one)` : id,
    address,
    role: isLeader ? "leader" : "member",
    does: roles.join(", "),
    state,
  })));
}

function report(error: unknown): void {
  console.error(`could not laugh: ${error instanceof Error ? error.message : error}`);
}
