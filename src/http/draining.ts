/**
 * A node that drains takes no new work: other nodes do it. What an operator needs to see and to end
 * the drain goes on.
 */
import { Failure } from "../base/failure.ts";

const OPEN = ["/health/", "/metrics", "/v1/cluster"];

/** Throws `unavailable` for what another node should be asked. */
export function refuseWhileDraining(url: string): void {
  const path = url.slice(url.indexOf("/", 8));
  if (OPEN.some((open) => path.startsWith(open))) return;
  throw new Failure("unavailable", "This node is being drained; ask another one", {
    details: { reason: "draining" },
    retryAfterMs: 1_000,
  });
}
