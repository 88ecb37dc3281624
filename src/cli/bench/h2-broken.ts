/** A peer that breaks the protocol: the connection cannot go on. */
import { Failure } from "../../base/failure.ts";

export function broken(what: string): Failure {
  return new Failure("invalid", `Cannot go on with an HTTP/2 connection: ${what}`);
}
