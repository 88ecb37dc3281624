/** The single measurements; `run.ts` says which, in which order, and what they must reach. */
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import { systemRandom } from "../../src/base/random.ts";
import { Histogram } from "../../src/cli/bench/histogram.ts";
import type { BenchReport } from "../../src/cli/bench/report.ts";
import { delayed } from "../../src/store/delay.ts";
import { openStore } from "../../src/store/open.ts";
import { startNode } from "./node.ts";
import { cpuMs, processTree, pssBytes } from "./processes.ts";

export interface Place {
  readonly binary: string;
  readonly directory: string;
}

/** Median, over `rounds` empty stores, of the time from the start of the process to ready. */
export async function coldStartMs(place: Place, rounds: number): Promise<readonly number[]> {
  const times: number[] = [];
  // One more, first, so that the binary is in the page cache for all that count.
  for (let round = 0; round <= rounds; round++) {
    const node = await startNode({ ...place, latencyMs: 0 });
    await node.stop();
    if (round > 0) times.push(node.readyMs);
  }
  return times.sort((a, b) => a - b);
}

export interface Idle {
  readonly pssBytes: number;
  readonly processes: number;
  /** Of one core. */
  readonly cpuShare: number;
}

/** A freshly started node that nobody talks to. */
export async function idle(place: Place, seconds: number): Promise<Idle> {
  const node = await startNode({ ...place, latencyMs: 0 });
  try {
    await Bun.sleep(2_000);
    const before = cpuMs(processTree(node.pid));
    await Bun.sleep(seconds * 1000);
    const pids = processTree(node.pid);
    return {
      pssBytes: pssBytes(pids),
      processes: pids.length,
      cpuShare: (cpuMs(pids) - before) / (seconds * 1000),
    };
  } finally {
    await node.stop();
  }
}

/** PUTs of 4 KiB, one at a time, through the store that the node uses. */
export async function putLatency(
  directory: string,
  latencyMs: number,
  seconds: number,
): Promise<Histogram> {
  const folder = mkdtempSync(join(directory, "headgate-bench-put-"));
  try {
    const parts = { clock: systemClock, random: systemRandom, log: silentLog };
    const store = delayed(await openStore(`file://${folder}`, parts), latencyMs, systemClock);
    const histogram = new Histogram();
    const endMs = performance.now() + seconds * 1000;
    for (let index = 0; performance.now() < endMs; index++) {
      const startMs = performance.now();
      await store.create(`probe/${index}`, systemRandom.bytes(4096));
      histogram.record(performance.now() - startMs);
    }
    await store.close();
    return histogram;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Runs the binary's own `bench` and returns what it measured. */
export async function bench(place: Place, url: string, args: readonly string[]) {
  const child = Bun.spawn([place.binary, "bench", ...args, "--url", url, "--json"], {
    cwd: place.directory,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const text = await new Response(child.stdout).text();
  const code = await child.exited;
  if (text === "") throw new Error(`headgate bench ${args.join(" ")} ended with ${code}`);
  const report: BenchReport = JSON.parse(text);
  return report;
}
