/** Asks an address who is there: the only way, without a link, to tell a dead process from a slow one. */
import { PROBE_ADDRESS_MS } from "../base/limits.ts";

export type Presence =
  | { readonly kind: "refused" }
  | { readonly kind: "answered"; readonly node: string }
  | { readonly kind: "silent" };

/** `address` is "http://host:port". Never rejects. */
export async function probeAddress(address: string): Promise<Presence> {
  try {
    const answer = await fetch(new URL("/health/live", address), {
      signal: AbortSignal.timeout(PROBE_ADDRESS_MS),
      redirect: "manual",
    });
    await answer.body?.cancel();
    const node = answer.headers.get("headgate-node");
    return node === null ? { kind: "silent" } : { kind: "answered", node };
  } catch (error) {
    const code = error instanceof Error ? Reflect.get(error, "code") : undefined;
    const refused = code === "ConnectionRefused" || code === "ECONNREFUSED";
    return refused ? { kind: "refused" } : { kind: "silent" };
  }
}
