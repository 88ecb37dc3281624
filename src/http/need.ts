/**
 * What a request needs, by its method and path. What is not listed here needs `admin`: a route that
 * somebody adds and forgets here is closed, not open.
 */
import { isDatabaseName } from "../epoch/name.ts";
import { type Action, ADMIN } from "./scope.ts";

export type Need =
  /** Anybody may. */
  | { readonly kind: "nothing" }
  /** A valid token, whatever its scopes. */
  | { readonly kind: "token" }
  | { readonly kind: "admin" }
  | { readonly kind: "scope"; readonly action: Action; readonly name: string };

const NOTHING: Need = { kind: "nothing" };
const TOKEN: Need = { kind: "token" };
const NEEDS_ADMIN: Need = { kind: ADMIN };

const DATABASE = /^\/v1\/databases\/([^/]+)(?:\/([^/]+))?$/;

/** `path` is the one that was routed by: escapes decoded, without the query. */
export function needOf(method: string, path: string): Need {
  const reads = method === "GET" || method === "HEAD";
  switch (path) {
    case "/health/live":
    case "/health/ready":
      return NOTHING;
    case "/metrics":
    case "/v1/cluster":
    case "/v1/cluster/events":
      return reads ? TOKEN : NEEDS_ADMIN;
    case "/v1/databases":
      // The list has what the caller may read.
      return reads ? TOKEN : NEEDS_ADMIN;
    case "/v1/tokens":
      // A name and a password are as good; the route asks for the rest.
      return method === "POST" ? NOTHING : NEEDS_ADMIN;
  }
  const [, name = "", action = ""] = DATABASE.exec(path) ?? [];
  // A name that is none is decided on by its route, which knows it decoded once more.
  if (!isDatabaseName(name)) return NEEDS_ADMIN;
  if (action === "execute") return { kind: "scope", action: "write", name };
  const isRead = action === "query" || (reads && (action === "" || action === "export"));
  return isRead ? { kind: "scope", action: "read", name } : NEEDS_ADMIN;
}
