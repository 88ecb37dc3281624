/**
 * What the parent sees of a process from outside: its private memory and whether it works. SQLite
 * has no limit on memory that holds, so the parent looks and kills. Pages of files (the image that
 * a reader maps, the program itself) do not count: they are not the child's.
 */
import { readdirSync, readFileSync } from "node:fs";

export interface ProcessSample {
  /** Anonymous resident memory on Linux; all resident memory elsewhere. */
  readonly residentBytes: number;
  /** True when its main thread was on a processor, or waited for one. */
  readonly running: boolean;
}

/** The samples of the processes that still are; a process that has gone is left out. */
export type SampleProcesses = (
  pids: readonly number[],
) => Map<number, ProcessSample> | Promise<Map<number, ProcessSample>>;

/** How to look on this platform, and how often that is cheap. */
export function processSampler(platform: string): {
  readonly sample: SampleProcesses;
  readonly intervalMs: number;
} {
  if (platform === "linux") return { sample: sampleProc, intervalMs: 100 };
  return { sample: samplePs, intervalMs: 1_000 };
}

/** proc(5): `RssAnon` in kB and the state's letter, one small file a process (about 20 µs). */
function sampleProc(pids: readonly number[]): Map<number, ProcessSample> {
  const samples = new Map<number, ProcessSample>();
  for (const pid of pids) {
    const text = readOrNull(`/proc/${pid}/status`);
    if (text === null) continue;
    const anonymous = /^RssAnon:\s+(\d+) kB$/m.exec(text) ?? /^VmRSS:\s+(\d+) kB$/m.exec(text);
    const state = /^State:\s+(\w)/m.exec(text);
    samples.set(pid, {
      residentBytes: Number(anonymous?.[1] ?? 0) * 1024,
      running: state?.[1] === "R" || state?.[1] === "D",
    });
  }
  return samples;
}

async function samplePs(pids: readonly number[]): Promise<Map<number, ProcessSample>> {
  const samples = new Map<number, ProcessSample>();
  if (pids.length === 0) return samples;
  const ps = Bun.spawn(["ps", "-o", "pid=,rss=,state=", "-p", pids.join(",")], {
    stdin: "ignore",
    stderr: "ignore",
  });
  for (const line of (await ps.stdout.text()).split("\n")) {
    const found = /^\s*(\d+)\s+(\d+)\s+(\w)/.exec(line);
    if (!found) continue;
    samples.set(Number(found[1]), {
      residentBytes: Number(found[2]) * 1024,
      running: found[3] === "R" || found[3] === "U",
    });
  }
  return samples;
}

/**
 * What tells a process from a later one with the same number: when it started and its command line.
 * Null when there is none, or when it cannot be told on this platform.
 */
export function processIdentity(pid: number): { startedAt: string; command: string } | null {
  const stat = readOrNull(`/proc/${pid}/stat`);
  const command = readOrNull(`/proc/${pid}/cmdline`);
  if (stat !== null && command !== null) {
    // The second field is the name in parentheses, which may hold anything; field 22 is the start.
    const startedAt = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
    return startedAt === undefined ? null : { startedAt, command: command.replaceAll("\0", " ") };
  }
  if (processFilesExist()) return null;
  const ps = Bun.spawnSync(["ps", "-o", "lstart=,command=", "-p", String(pid)]);
  const found = /^\s*(\w+ \w+ +\d+ [\d:]+ \d+) +(.*)/.exec(ps.stdout.toString());
  return found ? { startedAt: found[1] ?? "", command: found[2] ?? "" } : null;
}

function processFilesExist(): boolean {
  try {
    return readdirSync("/proc").length > 0;
  } catch {
    return false;
  }
}

function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return null;
  }
}
