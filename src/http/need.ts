/**
 * What a request needs, by its method and path. What is not listed here needs `admin`: a route that
 * somebody adds and forgets here is closed, not open.
 */
import { isCatalogName, isDatabaseName } from "../epoch/name.ts";
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

/** Name, what of it, and below a table what of that. */
const LAKE = /^\/v1\/lakes\/([^/]+)(?:\/([^/]+)(?:\/[^/]+(?:\/([^/]+))?)?)?$/;
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
    case "/v1/lakes":
      // The list has what the caller may read.
      return reads ? TOKEN : NEEDS_ADMIN;
    case "/v1/tokens":
      // A name and a password are as good; the route asks for the rest.
      return method === "POST" ? NOTHING : NEEDS_ADMIN;
  }
  if (path.startsWith("/v1/lakes/")) return lakeNeed(method, reads, path);
  const [, name = "", action = ""] = DATABASE.exec(path) ?? [];
  // A name that is none is decided on by its route, which knows it decoded once more.
  if (!isDatabaseName(name) || isCatalogName(name)) return NEEDS_ADMIN;
  if (action === "execute") return { kind: "scope", action: "write", name };
  const isRead = action === "query" || (reads && (action === "" || action === "export"));
  return isRead ? { kind: "scope", action: "read", name } : NEEDS_ADMIN;
}

function lakeNeed(method: string, reads: boolean, path: string): Need {
  const [, name = "", part, rows] = LAKE.exec(path) ?? [];
  if (!isDatabaseName(name) || part === undefined) return NEEDS_ADMIN;
  if (rows === "rows") return { kind: "scope", action: "ingest", name };
  if (part === "tables" && !reads) {
    // Who may make a table may change its columns.
    const changes = method === "POST" || method === "PATCH";
    return changes ? { kind: "scope", action: "write", name } : NEEDS_ADMIN;
  }
  const isRead = reads ? READ_PARTS.has(part) : part === "query";
  return isRead ? { kind: "scope", action: "read", name } : NEEDS_ADMIN;
}

const READ_PARTS: ReadonlySet<string> = new Set(["tables", "snapshots", "catalog"]);
