/**
 * `doctor`: does the store keep the promises that a cluster needs, is this machine fit for it, and do
 * the nodes reach each other?
 */
import { readFileSync, statfsSync } from "node:fs";
import { availableParallelism, totalmem } from "node:os";
import { describe, isFailure } from "../base/failure.ts";
import { CLOCK_SKEW_MS_MAX, MEMORY_DIR_BYTES_MIN, OPEN_FILES_MIN } from "../base/limits.ts";
import { silentLog } from "../base/log.ts";
import type { Config } from "../config/config.ts";
import { defaultMemoryDir } from "../server/memory-folder.ts";
import type { Surroundings } from "../server/surroundings.ts";
import { READ_USD, type StoreOperation, WRITE_USD } from "../store/meter.ts";
import { openStore } from "../store/open.ts";
import { type ProbeReport, probeStore } from "../store/probe.ts";
import { storeUrl } from "../store/url.ts";
import type { ParsedArguments } from "./arguments.ts";
import { sizeText } from "./database.ts";
import { peerFindings } from "./peers.ts";
import { configOf } from "./settings.ts";
import { formatTable } from "./table.ts";

export interface Finding {
  readonly verdict: "good" | "warning" | "wrong";
  readonly what: string;
}

/** Dollars for a million requests at S3 Standard prices. */
const MILLION_USD: Readonly<Record<StoreOperation, number>> = {
  create: WRITE_USD * 1e6,
  replace: WRITE_USD * 1e6,
  list: WRITE_USD * 1e6,
  get: READ_USD * 1e6,
  get_range: READ_USD * 1e6,
  head: READ_USD * 1e6,
  remove: 0,
};

export async function runDoctor(args: ParsedArguments, around: Surroundings): Promise<number> {
  const config = configOf(args, around);
  const { report, finding } = await tryStore(config, around);
  const findings = [
    finding,
    ...(report === null ? [] : [...storeFindings(report), ...await lifecycle(config, around)]),
    ...machine(config),
    ...(report === null ? [] : await peerFindings(config, around)),
  ];
  if (args.has("json")) {
    around.write(`${JSON.stringify({ findings, probe: report })}\n`);
  } else {
    if (report !== null) around.write(`${stepTable(report, config, around.columns())}\n`);
    around.write(findings.map(({ verdict, what }) => `${verdict.padEnd(8)} ${what}\n`).join(""));
  }
  return findings.some(({ verdict }) => verdict === "wrong") ? 1 : 0;
}

async function tryStore(
  config: Config,
  { clock, random }: Surroundings,
): Promise<{ report: ProbeReport | null; finding: Finding }> {
  const backend = config.storage.primary_backend;
  const url = storeUrl(backend);
  try {
    const store = await openStore(backend, { clock, random, log: silentLog });
    try {
      const report = await probeStore(store, { clock, random });
      const what = `${url} creates an object only once, reads back what was written, and lists it`;
      return { report, finding: { verdict: "good", what } };
    } finally {
      await store.close();
    }
  } catch (error) {
    if (!isFailure(error)) throw error;
    return { report: null, finding: { verdict: "wrong", what: error.message } };
  }
}

export function storeFindings(report: ProbeReport): Finding[] {
  const skewMs = Math.round(report.clockOffsetMs);
  const skewed = Math.abs(skewMs) > CLOCK_SKEW_MS_MAX;
  const clock: Finding = {
    verdict: skewed ? "wrong" : "good",
    what: `the store's clock is ${Math.abs(skewMs)} ms ${skewMs < 0 ? "behind" : "ahead of"} ours` +
      (skewed ? `; nothing is deleted while it is more than ${CLOCK_SKEW_MS_MAX} ms` : ""),
  };
  if (report.conditionalReplace === "honoured") return [clock];
  const what = `conditional replaces are ${report.conditionalReplace}; only hints need them`;
  return [clock, { verdict: "warning", what }];
}

/** Rules of a bucket that would remove objects from under a cluster. */
async function lifecycle(config: Config, { clock }: Surroundings): Promise<Finding[]> {
  const backend = config.storage.primary_backend;
  if (backend.type !== "s3") return [];
  const { s3Lifecycle } = await import("../store/s3-lifecycle.ts");
  try {
    const { state, reasons } = await s3Lifecycle(backend, clock);
    if (state === "harmless") {
      return [{ verdict: "good", what: "no lifecycle rule of the bucket touches the prefix" }];
    }
    return reasons.map((what) => ({ verdict: state === "harmful" ? "wrong" : "warning", what }));
  } catch (error) {
    if (!isFailure(error)) throw error;
    return [{ verdict: "warning", what: describe(error) }];
  }
}

function machine(config: Config): Finding[] {
  const findings: Finding[] = [];
  const directory = config.memory_dir ?? defaultMemoryDir();
  try {
    const { bavail, bsize } = statfsSync(directory);
    const free = bavail * bsize;
    findings.push({
      verdict: free < MEMORY_DIR_BYTES_MIN ? "warning" : "good",
      what: `${directory} has room for ${
        sizeText(free)
      } of databases (an owner needs theirs twice)`,
    });
  } catch (error) {
    const code = String(Object(error).code ?? error);
    findings.push({
      verdict: "wrong",
      what: `the memory_dir ${directory} cannot be used: ${code}`,
    });
  }
  const files = openFilesMax();
  if (files !== null) {
    const few = files < OPEN_FILES_MIN;
    const what = `a process may open ${files} files (ulimit -n)`;
    findings.push({
      verdict: few ? "warning" : "good",
      what: few ? `${what}; each client takes one: raise it to ${OPEN_FILES_MIN} or more` : what,
    });
  }
  const cores = availableParallelism();
  findings.push({
    verdict: "good",
    what: `this machine has ${sizeText(totalmem())} of memory and ${cores} core${
      cores === 1 ? "" : "s"
    }`,
  });
  return findings;
}

function stepTable(report: ProbeReport, config: Config, width: number | null): string {
  const s3 = config.storage.primary_backend.type === "s3";
  const columns = ["request", "ms", ...(s3 ? ["$ per million"] : [])];
  const rows = report.steps.map(({ operation, what, ms }) => [
    what,
    { real: ms.toFixed(2) },
    ...(s3 ? [{ real: MILLION_USD[operation].toFixed(2) }] : []),
  ]);
  return formatTable({ columns, rows }, width);
}

/** The soft limit, proc(5); null where there is no /proc or no limit. */
function openFilesMax(): number | null {
  try {
    const limits = readFileSync("/proc/self/limits", "utf8");
    const [, soft] = /^Max open files\s+(\d+)/m.exec(limits) ?? [];
    return soft === undefined ? null : Number(soft);
  } catch {
    return null;
  }
}
