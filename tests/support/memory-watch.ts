/**
 * How much memory a node takes: the proportional share (PSS, proc_pid_smaps_rollup(5)) of its
 * processes, so that what they share counts once, and the bytes of its files in `memory_dir`, which
 * are memory wherever that is /dev/shm. Looks again and again and keeps the most that it saw.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { NodeProcess } from "./node-process.ts";

const LOOK_EVERY_MS = 25;

export interface MemoryUse {
  readonly processes: number;
  readonly files: number;
}

export class MemoryWatch {
  readonly #node: NodeProcess;
  readonly #watching: Promise<void>;
  #isOver = false;
  #most: MemoryUse = { processes: 0, files: 0 };
  looks = 0;

  constructor(node: NodeProcess) {
    this.#node = node;
    this.#watching = this.#watch();
  }

  /** The largest sum that was seen, in bytes. */
  get most(): MemoryUse {
    return this.#most;
  }

  async stop(): Promise<MemoryUse> {
    this.#isOver = true;
    await this.#watching;
    return this.#most;
  }

  async #watch(): Promise<void> {
    while (!this.#isOver) {
      const use = memoryUse(this.#node);
      if (total(use) > total(this.#most)) this.#most = use;
      this.looks++;
      await Bun.sleep(LOOK_EVERY_MS);
    }
  }
}

export function total({ processes, files }: MemoryUse): number {
  return processes + files;
}

function memoryUse(node: NodeProcess): MemoryUse {
  const pids = [node.pid, ...node.children().map(({ pid }) => pid)];
  return {
    processes: pids.reduce((sum, pid) => sum + proportionalBytes(pid), 0),
    files: fileBytes(node.memoryDir),
  };
}

function proportionalBytes(pid: number): number {
  const rollup = ifThere(() => readFileSync(`/proc/${pid}/smaps_rollup`, "utf8")) ?? "";
  return Number(/^Pss:\s+(\d+) kB/m.exec(rollup)?.[1] ?? 0) * 1024;
}

/** Bytes that are taken, holes left out. */
function fileBytes(directory: string): number {
  const entries = ifThere(() => readdirSync(directory, { withFileTypes: true })) ?? [];
  return entries.reduce((sum, entry) => {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) return sum + fileBytes(path);
    return sum + (ifThere(() => statSync(path).blocks * 512) ?? 0);
  }, 0);
}

/** Processes end and files go while they are looked at. */
function ifThere<T>(look: () => T): T | null {
  try {
    return look();
  } catch (error) {
    if (error instanceof Error && "code" in error) return null;
    throw error;
  }
}
