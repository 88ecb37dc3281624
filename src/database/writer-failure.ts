/** What a client is told whose request was ended by the parent: why, and that nothing was kept. */
import { CHILD_BYTES_MAX, WORKSPACE_LOG_BYTES_MAX } from "../base/limits.ts";
import type { AnswerFailure } from "./workspace.ts";
import type { Excess } from "./writer-watch.ts";

const MIB = 1024 * 1024;

/** `afterMs`: how long the request had been given to the workspace. */
export function excessFailure(excess: Excess, name: string, afterMs: number): AnswerFailure {
  const action = `Cannot execute on ${name}`;
  switch (excess) {
    case "deadline":
      return {
        kind: "unavailable",
        message: `${action}: the request was ended at its deadline of ${
          Math.round(afterMs)
        } ms; nothing of it was kept`,
        details: { reason: "deadline" },
      };
    case "memory":
      return {
        kind: "too_large",
        message: `${action}: the request needs more than ${
          CHILD_BYTES_MAX / MIB
        } MiB of memory; nothing of it was kept`,
        details: { reason: "memory", limit_bytes: CHILD_BYTES_MAX },
      };
    case "log":
      return {
        kind: "too_large",
        message: `${action}: the request writes more than ${
          WORKSPACE_LOG_BYTES_MAX / MIB
        } MiB; nothing of it was kept`,
        details: { reason: "log", limit_bytes: WORKSPACE_LOG_BYTES_MAX },
      };
  }
}

/** The request alone changes more pages than an epoch holds. */
export function overflowFailure(
  name: string,
  pagesBytes: number,
  epochBytesMax: number,
): AnswerFailure {
  return {
    kind: "too_large",
    message: `Cannot execute on ${name}: the transaction changes ${pagesBytes} bytes of pages; ` +
      `an epoch holds ${epochBytesMax}; nothing of it was kept`,
    details: { reason: "epoch", limit_bytes: epochBytesMax },
  };
}

/** The child died while it ran this request, twice. */
export function endedFailure(name: string): AnswerFailure {
  return {
    kind: "unavailable",
    message: `Cannot execute on ${name}: the process that executed the request ended twice; ` +
      "nothing of it was kept",
    details: { reason: "process" },
  };
}

/**
 * SQLite says the same of a full disk and of a database that would grow by more than an epoch holds.
 * `freeBytes` is the room left where the database is.
 */
export function fullFailure(
  { message, details }: AnswerFailure,
  epochBytesMax: number,
  freeBytes: number,
): AnswerFailure {
  if (freeBytes < epochBytesMax) {
    return {
      kind: "unavailable",
      message: `${message}: the memory folder of this node is full; nothing of it was kept`,
      details: { ...details, reason: "disk" },
    };
  }
  return {
    kind: "too_large",
    message: `${message}: the transaction would add more than the ${epochBytesMax} bytes of ` +
      "pages that an epoch holds; nothing of it was kept",
    details: { ...details, reason: "epoch", limit_bytes: epochBytesMax },
  };
}
