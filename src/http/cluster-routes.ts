/** The cluster as a whole: its status, once or as it changes, and what operators do with its nodes. */
import type { Hono } from "hono";
import { checkNodeId } from "../epoch/name.ts";
import { jsonAnswer, wrongMethod } from "./answer.ts";
import type { BodyReader } from "./body.ts";
import { ClusterEvents } from "./cluster-events.ts";
import type { Guard } from "./guard.ts";
import type { HttpParts } from "./parts.ts";
import { parseBroker, parseStepDown } from "./requests.ts";

export function clusterRoutes(
  app: Hono,
  parts: HttpParts,
  bodies: BodyReader,
  guard: Guard,
): void {
  const { cluster } = parts.node;
  const path = "/v1/cluster";
  app.get(path, () => jsonAnswer(parts, cluster.status()));
  app.all(path, (c) => wrongMethod(parts, c.req.raw, "GET, HEAD"));

  const events = new ClusterEvents(parts);
  app.get(`${path}/events`, (c) => {
    if (c.req.raw.method === "HEAD") return wrongMethod(parts, c.req.raw, "GET");
    return events.answer(() => void guard.callerOf(c.req.raw));
  });
  app.all(`${path}/events`, (c) => wrongMethod(parts, c.req.raw, "GET"));

  app.patch(`${path}/brokers/:id`, async (c) => {
    const { state } = parseBroker(await bodies.json(c.req.raw));
    const id = c.req.param("id");
    checkNodeId(id);
    const { epoch } = await cluster.setBroker(id, state);
    return jsonAnswer(parts, { id, state, epoch });
  });
  app.all(`${path}/brokers/:id`, (c) => wrongMethod(parts, c.req.raw, "PATCH"));

  app.post(`${path}/leader/stepdown`, async (c) => {
    const { preferred } = parseStepDown(await bodies.optionalJson(c.req.raw));
    const { from, to, ms } = await cluster.stepDown(preferred);
    return jsonAnswer(parts, { from, to, duration_ms: ms });
  });
  app.all(`${path}/leader/stepdown`, (c) => wrongMethod(parts, c.req.raw, "POST"));
}
