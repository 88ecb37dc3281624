/** A Bun program in a process of its own, which says where it serves. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ConfigInput } from "../../src/config/schema.ts";
import { eventually } from "./eventually.ts";
import { type RunningProcess, runningProcesses } from "./node-process.ts";

const PROGRAM = join(import.meta.dir, "library-program.ts");

/** Programs that share a directory as their store. */
export class ProgramFolder {
  readonly path = mkdtempSync(join(tmpdir(), "headgate-library-"));
  readonly #programs: ProgramProcess[] = [];

  get store(): string {
    return join(this.path, "store");
  }

  configOf(name: string, more: Partial<ConfigInput> = {}): ConfigInput {
    return {
      storage: { primary_backend: { type: "filesystem", path: this.store } },
      cluster_mode: {
        node_id_path: join(this.path, name, "node_id"),
        internal_api_port: 0,
      },
      listen: "127.0.0.1:0",
      memory_dir: join(this.path, name, "memory"),
      log: { level: "info" },
      ...more,
    };
  }

  /** The program of `library-program.ts`, serving. */
  async start(name: string, more: Partial<ConfigInput> = {}): Promise<ProgramProcess> {
    const program = this.run(PROGRAM, [JSON.stringify(this.configOf(name, more))]);
    await program.until(/^serving \S+ \S+$/m);
    return program;
  }

  run(path: string, args: readonly string[]): ProgramProcess {
    const program = new ProgramProcess([process.execPath, path, ...args], this.path);
    this.#programs.push(program);
    return program;
  }

  memoryOf(name: string): string {
    const path = join(this.path, name, "memory");
    mkdirSync(path, { recursive: true });
    return path;
  }

  async remove(): Promise<void> {
    await Promise.all(this.#programs.map((program) => program.end("SIGKILL")));
    rmSync(this.path, { recursive: true, force: true });
  }
}

export class ProgramProcess {
  readonly #process: Bun.ReadableSubprocess;
  /** Both streams. */
  log = "";

  constructor(command: string[], cwd: string) {
    this.#process = Bun.spawn(command, { cwd, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
    for (const stream of [this.#process.stdout, this.#process.stderr]) void this.#read(stream);
  }

  get pid(): number {
    return this.#process.pid;
  }

  get url(): string {
    return /^serving (\S+) /m.exec(this.log)?.[1] ?? "";
  }

  get id(): string {
    return /^serving \S+ (\S+)$/m.exec(this.log)?.[1] ?? "";
  }

  async until(pattern: RegExp): Promise<void> {
    await eventually(`${pattern} is in the log`, () => pattern.test(this.log), {
      instead: () => this.log,
    });
  }

  /** Its exit code, or the signal that ended it. */
  async end(signal: "SIGTERM" | "SIGINT" | "SIGKILL"): Promise<number | string> {
    this.#process.kill(signal);
    await this.#process.exited;
    return this.#process.signalCode ?? this.#process.exitCode ?? "";
  }

  children(): RunningProcess[] {
    return runningProcesses().filter(({ parent }) => parent === this.pid);
  }

  // deno-lint-ignore no-explicit-any -- tests look into answers freely
  async ask(method: string, path: string, body?: string): Promise<any> {
    const answer = await fetch(`${this.url}${path}`, {
      method,
      headers: { "content-type": "application/json" },
      ...(body !== undefined && { body }),
      signal: AbortSignal.timeout(60_000),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}\n${this.log}`);
    return JSON.parse(text);
  }

  async #read(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const bytes of stream) this.log += decoder.decode(bytes, { stream: true });
  }
}
