/** Users and tokens: who there is, and who may no longer. All but a login needs `admin`. */
import type { Context, Hono } from "hono";
import { ACCESS_BODY_BYTES_MAX } from "../base/limits.ts";
import {
  parseSubject,
  parseTokenId,
  parseTokenRequest,
  parseUser,
  parseUserChange,
} from "./access-requests.ts";
import { jsonAnswer, wrongMethod } from "./answer.ts";
import type { BodyReader } from "./body.ts";
import type { Guard } from "./guard.ts";
import type { HttpParts } from "./parts.ts";

const USERS = "/v1/users";
const TOKENS = "/v1/tokens";

/** An answer that holds a token is kept by no cache (RFC 6750, section 5.3). */
const NOT_KEPT = { "cache-control": "no-store" };

export function accessRoutes(
  app: Hono,
  parts: HttpParts,
  bodies: BodyReader,
  guard: Guard,
): void {
  userRoutes(app, parts, bodies, guard);
  tokenRoutes(app, parts, bodies, guard);
}

function userRoutes(app: Hono, parts: HttpParts, bodies: BodyReader, guard: Guard): void {
  const { access } = parts.node;
  app.get(USERS, async () => jsonAnswer(parts, { users: await access.users() }));
  app.post(USERS, async (c) => {
    const by = callerName(c, guard);
    const { name, password, scopes } = parseUser(await body(c, bodies));
    const user = await access.createUser(name, password, scopes);
    parts.log.info("created a user", { user: name, scopes: scopes.join(","), by });
    const location = `${USERS}/${encodeURIComponent(name)}`;
    return jsonAnswer(parts, user, { status: 201, headers: { location } });
  });
  app.all(USERS, (c) => wrongMethod(parts, c.req.raw, "GET, HEAD, POST"));

  const one = `${USERS}/:name`;
  app.get(one, async (c) => jsonAnswer(parts, await access.user(userName(c))));
  app.patch(one, async (c) => {
    const by = callerName(c, guard);
    const user = userName(c);
    const change = parseUserChange(await body(c, bodies));
    const changed = await access.changeUser(user, change);
    parts.log.info("changed a user", { user, changed: Object.keys(change).join(","), by });
    return jsonAnswer(parts, changed);
  });
  app.delete(one, async (c) => {
    const by = callerName(c, guard);
    const user = userName(c);
    const removed = await access.removeUser(user);
    parts.log.info("deleted a user", { user, by });
    return jsonAnswer(parts, removed);
  });
  app.all(one, (c) => wrongMethod(parts, c.req.raw, "GET, HEAD, PATCH, DELETE"));
}

function tokenRoutes(app: Hono, parts: HttpParts, bodies: BodyReader, guard: Guard): void {
  const { access } = parts.node;
  app.get(TOKENS, async () => jsonAnswer(parts, { revoked: await access.revocations() }));
  app.post(TOKENS, async (c) => {
    const request = parseTokenRequest(await body(c, bodies));
    if ("password" in request) {
      const minted = await access.login(request.name, request.password, request.lifeMs);
      return jsonAnswer(parts, minted, { status: 201, headers: NOT_KEPT });
    }
    guard.admit(c.req.raw, { kind: "admin" });
    const by = callerName(c, guard);
    const minted = await access.mint(request);
    const { subject, kind, jti } = minted;
    parts.log.info("made a token", { subject, kind, jti, scopes: minted.scopes.join(","), by });
    return jsonAnswer(parts, minted, { status: 201, headers: NOT_KEPT });
  });
  app.all(TOKENS, (c) => wrongMethod(parts, c.req.raw, "GET, HEAD, POST"));

  app.delete(`${TOKENS}/:jti`, async (c) => {
    const by = callerName(c, guard);
    const jti = parseTokenId(c.req.param("jti"));
    const revoked = await access.revoke(jti);
    parts.log.info("revoked a token", { jti, by });
    return jsonAnswer(parts, revoked);
  });
  app.all(`${TOKENS}/:jti`, (c) => wrongMethod(parts, c.req.raw, "DELETE"));
}

function body(c: Context, bodies: BodyReader): Promise<unknown> {
  return bodies.json(c.req.raw, ACCESS_BODY_BYTES_MAX);
}

function userName(c: Context): string {
  return parseSubject(c.req.param("name"), "The name in the path");
}

/** Asked for before a change, since it may be the caller's own token that the change revokes. */
function callerName(c: Context, guard: Guard): string {
  return guard.callerOf(c.req.raw).subject;
}
