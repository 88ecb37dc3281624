/**
 * Routes of the program that runs this node, on the node's own port: below a prefix, or everything
 * that is no path of ours. They are the program's; what happens before them is ours: a node that
 * drains turns them down, and where tokens are required a caller has a valid one.
 */
import { assert } from "../base/assert.ts";
import type { Caller } from "./access.ts";
import { failureAnswer } from "./answer.ts";
import type { HttpApp } from "./app.ts";
import { refuseWhileDraining } from "./draining.ts";
import { Guard } from "./guard.ts";
import type { HeadgateNode } from "./node.ts";
import { HTTP_LIMITS, type HttpOptions, type HttpParts } from "./parts.ts";

export interface Mounted {
  /** "/" for every path that is none of ours, else "/something". */
  readonly prefix: string;
  /** Lets callers without a token through: the program asks them itself, or nobody does. */
  readonly open: boolean;
  /** `caller` is null where nobody was asked who it is. */
  fetch(request: Request, caller: Caller | null): Response | Promise<Response>;
}

/** Paths below these are the node's. */
const OWN = ["v1", "health", "metrics", "console"];

/** Whether a path belongs to the program. */
export function isMounted(path: string, prefix: string): boolean {
  if (prefix !== "/") return path === prefix || path.startsWith(`${prefix}/`);
  return !OWN.includes(path.split("/", 2)[1] ?? "");
}

/** Our routes and the program's as one. `prefix` must be none of ours. */
export function mounted(
  app: HttpApp,
  mount: Mounted,
  node: HeadgateNode,
  options: HttpOptions,
): HttpApp {
  assert(isMounted(mount.prefix, "/"), "the program's prefix is none of ours");
  const parts: HttpParts = {
    node,
    clock: options.clock,
    log: options.log,
    limits: { ...HTTP_LIMITS, ...options.limits },
    onBug: options.onBug ?? (() => {}),
  };
  const guard = new Guard(node.access);
  const answer = async (request: Request): Promise<Response> => {
    try {
      if (node.isDraining) refuseWhileDraining(request.url);
      const caller = mount.open ? null : guard.callerOf(request);
      return await mount.fetch(request, caller);
    } catch (error) {
      return failureAnswer(parts, error, request);
    }
  };
  return {
    fetch: (request) =>
      isMounted(new URL(request.url).pathname, mount.prefix) ? answer(request) : app.fetch(request),
  };
}
