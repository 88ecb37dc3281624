/** What a process and its children use, from Linux's /proc. */
import { readdirSync, readFileSync } from "node:fs";

/** The process and everything under it. */
export function processTree(pid: number): readonly number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync("/proc")) {
    const stat = /^\d+$/.test(name) ? statOf(Number(name)) : null;
    if (stat === null) continue;
    const siblings = children.get(stat.parent);
    if (siblings) siblings.push(Number(name));
    else children.set(stat.parent, [Number(name)]);
  }
  const tree = [pid];
  for (const member of tree) tree.push(...(children.get(member) ?? []));
  return tree;
}

/** Memory with each shared page divided among its users, summed over `pids`, in bytes. */
export function pssBytes(pids: readonly number[]): number {
  let sum = 0;
  for (const pid of pids) {
    const text = read(`/proc/${pid}/smaps_rollup`);
    sum += 1024 * Number(text?.match(/^Pss:\s+(\d+) kB$/m)?.[1] ?? 0);
  }
  return sum;
}

/** CPU time of `pids` so far, children that they have waited for included. */
export function cpuMs(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + (statOf(pid)?.cpuMs ?? 0), 0);
}

/** Linux counts CPU time in hundredths of a second for programs, whatever its own clock. */
const TICK_MS = 10;

function statOf(pid: number): { parent: number; cpuMs: number } | null {
  const text = read(`/proc/${pid}/stat`);
  if (text === null) return null;
  // The name in parentheses may hold spaces; the fields after it are fixed (proc(5)): state is the
  // third of all, the parent the fourth, utime, stime, cutime and cstime 14 to 17.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ").map(Number);
  const ticks = [11, 12, 13, 14].reduce((sum, index) => sum + (fields[index] ?? 0), 0);
  return { parent: fields[1] ?? 0, cpuMs: ticks * TICK_MS };
}

/** Null for a process that is gone. */
function read(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}
