/** Every route of the public port: a request → a call of the node → an answer. */
import { type Context, Hono } from "hono";
import { matchedRoutes } from "hono/route";
import { Failure } from "../base/failure.ts";
import { checkDatabaseName, isCatalogName } from "../epoch/name.ts";
import { accessRoutes } from "./access-routes.ts";
import { failureAnswer, fileAnswer, jsonAnswer, pathOf, wrongMethod } from "./answer.ts";
import { BodyReader } from "./body.ts";
import { clusterRoutes } from "./cluster-routes.ts";
import { refuseWhileDraining } from "./draining.ts";
import { matchSql, SqlHandler } from "./fast.ts";
import { Guard, refuseSecretsInUrl } from "./guard.ts";
import { lakeRoutes } from "./lake-routes.ts";
import { needOf } from "./need.ts";
import type { HeadgateNode } from "./node.ts";
import { HTTP_LIMITS, type HttpOptions, type HttpParts } from "./parts.ts";
import {
  databaseName,
  parseCreate,
  parseMoment,
  parseRollback,
  writableDatabase,
} from "./requests.ts";

export interface HttpApp {
  /** Never rejects. */
  fetch(request: Request): Promise<Response>;
}

export function createApp(node: HeadgateNode, options: HttpOptions): HttpApp {
  const parts: HttpParts = {
    node,
    clock: options.clock,
    log: options.log,
    limits: { ...HTTP_LIMITS, ...options.limits },
    onBug: options.onBug ?? (() => {}),
  };
  const bodies = new BodyReader(parts);
  const guard = new Guard(node.access);
  const sql = new SqlHandler(parts, bodies, guard);
  const app = new Hono();
  guardRoutes(app, guard, node);
  statusRoutes(app, parts);
  clusterRoutes(app, parts, bodies, guard);
  databaseRoutes(app, parts, bodies, guard);
  accessRoutes(app, parts, bodies, guard);
  lakeRoutes(app, parts, bodies, guard);
  for (const action of ["execute", "query"] as const) {
    const path = `/v1/databases/:name/${action}`;
    app.post(path, (c) => sql.answer({ action, database: c.req.param("name") ?? "" }, c.req.raw));
    app.all(path, (c) => wrongMethod(parts, c.req.raw, "POST"));
  }
  app.notFound((c) => {
    const what = `${c.req.method} ${pathOf(c.req.raw)}`;
    return failureAnswer(parts, new Failure("missing", `There is no ${what}`), c.req.raw);
  });
  app.onError((error, c) => failureAnswer(parts, error, c.req.raw));
  return {
    fetch: async (request) => {
      const route = request.method === "POST" ? matchSql(request.url) : null;
      // The hot path goes around Hono, but not while the node drains.
      const isFast = route !== null && !node.isDraining;
      const answer = await (isFast ? sql.answer(route, request) : app.fetch(request));
      if (!answer.ok) await bodies.discard(request);
      return answer;
    },
  };
}

/** Before every route that comes after it; `SqlHandler` asks for itself. */
function guardRoutes(app: Hono, guard: Guard, node: HeadgateNode): void {
  app.use(async (c, next) => {
    if (node.isDraining) refuseWhileDraining(c.req.url);
    refuseSecretsInUrl(c.req.url);
    // Where nothing but this matches there is nothing to protect: a valid token hears "missing".
    const isRoute = matchedRoutes(c).length > 1;
    guard.admit(c.req.raw, isRoute ? needOf(c.req.method, c.req.path) : { kind: "token" });
    await next();
  });
}

function statusRoutes(app: Hono, parts: HttpParts): void {
  const { node } = parts;
  app.get("/health/live", () => jsonAnswer(parts, { live: true }));
  app.get("/health/ready", () => {
    const readiness = node.ready();
    return jsonAnswer(parts, readiness, { status: readiness.ready ? 200 : 503 });
  });
  app.get("/metrics", () => {
    const type = "text/plain; version=0.0.4; charset=utf-8";
    const headers = { "headgate-epoch": `${node.systemEpoch()}`, "headgate-node": node.id };
    return new Response(node.metrics(), { headers: { "content-type": type, ...headers } });
  });
  for (const path of ["/health/live", "/health/ready", "/metrics"]) {
    app.all(path, (c) => wrongMethod(parts, c.req.raw, "GET, HEAD"));
  }
}

function databaseRoutes(app: Hono, parts: HttpParts, bodies: BodyReader, guard: Guard): void {
  const { databases } = parts.node;
  const path = "/v1/databases";
  app.get(path, async (c) => {
    const { grants } = guard.callerOf(c.req.raw);
    const all = await databases.list();
    const isShown = ({ name }: { readonly name: string }) =>
      isCatalogName(name) ? grants.isAdmin : grants.allow("read", name);
    return jsonAnswer(parts, { databases: all.filter(isShown) });
  });
  app.post(path, async (c) => {
    const { name, ...create } = parseCreate(await bodies.json(c.req.raw));
    checkDatabaseName(name);
    const info = await databases.create(name, create);
    return jsonAnswer(parts, info, { status: 201, headers: { location: `${path}/${name}` } });
  });
  app.all(path, (c) => wrongMethod(parts, c.req.raw, "GET, HEAD, POST"));

  const one = `${path}/:name`;
  app.get(one, async (c) => jsonAnswer(parts, await databases.inspect(name(c, databaseName))));
  app.delete(one, async (c) => jsonAnswer(parts, await databases.drop(name(c, writableDatabase))));
  app.all(one, (c) => wrongMethod(parts, c.req.raw, "GET, HEAD, DELETE"));

  app.post(`${one}/rollback`, async (c) => {
    const database = name(c, writableDatabase);
    const moment = parseRollback(await bodies.json(c.req.raw));
    return jsonAnswer(parts, await databases.rollback(database, moment));
  });
  app.all(`${one}/rollback`, (c) => wrongMethod(parts, c.req.raw, "POST"));

  app.get(`${one}/export`, async (c) => {
    // Hono answers HEAD by GET; nobody wants a database built to be thrown away.
    if (c.req.raw.method === "HEAD") return wrongMethod(parts, c.req.raw, "GET");
    const database = name(c, databaseName);
    const moment = parseMoment(new URL(c.req.url).searchParams);
    const file = await databases.export(database, moment);
    return fileAnswer(parts, file, {
      "content-type": "application/vnd.sqlite3",
      "content-disposition": `attachment; filename="${database}-${file.epoch}.db"`,
    });
  });
  app.all(`${one}/export`, (c) => wrongMethod(parts, c.req.raw, "GET"));
}

function name(c: Context, check: (name: string) => string): string {
  return check(c.req.param("name") ?? "");
}
