/**
 * A small program on the library, for tests with real processes. It does what it is asked on its own
 * public port, says so with JSON, and ends by itself when it is told to close.
 */
import { Hono } from "hono";
import { type AppEnv, type Cluster, isFailure, joinCluster, type View } from "../../src/mod.ts";

const DATABASE = "app";
const views: View[] = [];
const app = new Hono<{ Bindings: AppEnv }>();

app.all("/who", async ({ env, req }) =>
  Response.json({
    id: cluster.id,
    leads: cluster.isLeader,
    caller: env.caller,
    method: req.method,
    body: await req.text(),
  }));
app.get("/view", () => Response.json(cluster.view()));
app.get("/views", () => Response.json(views));
app.post("/prepare", async () => {
  await cluster.ensureDatabase(DATABASE);
  const { epoch } = await cluster.transaction(DATABASE, (db) => {
    db.run("CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, n INTEGER NOT NULL)");
    db.run("INSERT OR IGNORE INTO counters VALUES ('a', 0)");
  });
  return Response.json({ epoch });
});
app.post("/increment/:times", async ({ req }) => {
  const times = Number(req.param("times"));
  const all = Array.from({ length: times }, () => cluster.transaction(DATABASE, increment));
  const values = (await Promise.all(all)).map(({ value }) => value);
  const own = await cluster.read(DATABASE, (db) => db.query(COUNTER).get());
  return Response.json({ values, ...own });
});
app.get("/counter", async ({ req }) => {
  const minEpoch = Number(req.query("min_epoch") ?? 0);
  return Response.json(
    await cluster.read(DATABASE, (db) => db.query(COUNTER).get(), { minEpoch }),
  );
});
app.post("/call-leader", async ({ req }) =>
  await cluster.callLeader(
    new Request("http://cluster/who", { method: "POST", body: await req.text() }),
  ));
app.get(
  "/call-member",
  async ({ req }) => await cluster.callMember(req.query(), new Request("http://cluster/who")),
);
app.put("/objects/:key", async ({ req }) => {
  const created = await cluster.store.create(req.param("key"), await req.raw.bytes());
  return Response.json({ created });
});
app.get("/objects", async () => {
  const { objects } = await cluster.store.list("");
  const texts = objects.map(async ({ key }) => [
    key,
    new TextDecoder().decode((await cluster.store.get(key))?.bytes),
  ]);
  return Response.json(await Promise.all(texts));
});
app.post("/step-down", async () => Response.json(await cluster.stepDown()));
app.onError((error) => {
  const kind = isFailure(error) ? error.kind : "bug";
  return Response.json({ kind, message: error.message }, { status: 500 });
});

const COUNTER = "SELECT n FROM counters WHERE name = 'a'";

function increment(db: Parameters<Parameters<Cluster["transaction"]>[1]>[0]): number {
  const { n } = db.query<{ n: number }>(COUNTER).get() ?? { n: 0 };
  db.run("UPDATE counters SET n = ? WHERE name = 'a'", n + 1);
  return n + 1;
}

const cluster = await joinCluster(JSON.parse(process.argv[2] ?? "{}"), { app });
cluster.watch((view) => views.push(view));
process.once("SIGTERM", () => void cluster.close());
console.log(`serving ${cluster.address} ${cluster.id}`);
