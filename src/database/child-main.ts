/**
 * What runs in a child process, whatever its role: it dies with its parent, leaves signals to it,
 * and offers itself to the kernel first when memory runs out. Imports little, since each child pays
 * for it. This is process entry code, so it reads the process it runs in.
 */
import { writeFileSync } from "node:fs";
import type { ParentPort } from "./child.ts";
import { dieWithParent } from "./parent-death.ts";

/** `oom_score_adj` of proc(5): the kernel takes children long before their parent. */
const OOM_SCORE_ADJUSTMENT = "800";

/** Roles whose code lies above this layer; whoever begins the process knows them. */
export type OtherRoles = Readonly<Record<string, () => Promise<ChildModule>>>;

export interface ChildModule {
  main(port: ParentPort): void;
}

/** Runs a child for its whole life. Arguments as `childArguments` in `child-process.ts` has them. */
export async function runChild(
  role: string | undefined,
  parent: string | undefined,
  others: OtherRoles = {},
) {
  const port = enterChild(parent);
  const other = others[role ?? ""];
  if (other) return (await other()).main(port);
  switch (role) {
    case "writer":
      return (await import("./writer-child.ts")).main(port);
    case "reader":
      return (await import("./reader-child.ts")).main(port);
    case "encoder":
      return (await import("./encoder-child.ts")).main(port);
    default:
      throw new Error(`Cannot run a child process: there is no role ${JSON.stringify(role)}`);
  }
}

/** Makes this process a child: `parent` is the number of the process that must be its parent. */
export function enterChild(parent: string | undefined): ParentPort {
  const send = process.send?.bind(process);
  if (!send) throw new Error("Cannot run a child process: it was not started by a parent");
  process.on("disconnect", () => process.exit(0));
  dieWithParent(Number(parent));
  // A terminal signals its whole process group; when children end is the parent's business.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => {});
  offerToKernel();
  return bufferedPort(send);
}

/** Keeps messages that arrive before the role's module is loaded. */
function bufferedPort(send: (message: unknown) => boolean): ParentPort {
  let early: unknown[] | null = [];
  let handler = (message: unknown): void => void early?.push(message);
  process.on("message", (message: unknown) => handler(message));
  return {
    send: (message) => void send(message),
    onMessage: (next) => {
      handler = next;
      const waiting = early ?? [];
      early = null;
      for (const message of waiting) next(message);
    },
  };
}

function offerToKernel(): void {
  if (process.platform !== "linux") return;
  try {
    writeFileSync("/proc/self/oom_score_adj", OOM_SCORE_ADJUSTMENT);
  } catch {
    // A sandbox may forbid it; then the kernel chooses as it always does.
  }
}
