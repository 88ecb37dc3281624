/**
 * A node in a process of its own: the compiled binary when HEADGATE_BINARY names one, else the
 * sources. It keeps its port, its node id and its store through any number of kills and starts.
 *
 *   const nodes = new NodeFolder();
 *   afterAll(() => nodes.remove());
 *   const node = await nodes.node({ store: nodes.fileStore() }).start();
 *   await node.kill();          // as a power cut would
 *   await node.start();
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { S3Settings } from "../../src/store/url.ts";
import { Client } from "./client.ts";
import type { Host } from "./hosts.ts";

const root = join(import.meta.dir, "../..");

export interface NodeOptions {
  readonly store: string | S3Settings;
  /** File of the node id; one of its own if absent. */
  readonly nodeIdPath?: string;
  readonly memoryDir?: string;
  /** Runs the sources even where there is a binary: only they have crash points. */
  readonly fromSource?: boolean;
  /** A binary to run, whatever the environment says. */
  readonly binary?: string;
  /** A host of its own to run on; this machine's loopback if absent. */
  readonly host?: Host;
  /** Further `--set KEY=VALUE`. */
  readonly set?: Readonly<Record<string, string | number>>;
}

export interface Ended {
  readonly code: number | null;
  readonly signal: string | number | null;
}

const READY_MS = 30_000;

/** A temporary directory and the nodes that live in it. */
export class NodeFolder {
  readonly path = mkdtempSync(join(tmpdir(), "headgate-cluster-"));
  readonly #nodes: NodeProcess[] = [];
  #stores = 0;

  fileStore(): string {
    return `file://${join(this.path, `store-${++this.#stores}`)}`;
  }

  node(options: NodeOptions): NodeProcess {
    const directory = join(this.path, `node-${this.#nodes.length + 1}`);
    const node = new NodeProcess(directory, options);
    this.#nodes.push(node);
    return node;
  }

  async remove(): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node.kill()));
    rmSync(this.path, { recursive: true, force: true });
  }
}

export class NodeProcess {
  readonly directory: string;
  readonly nodeIdPath: string;
  readonly memoryDir: string;
  readonly #options: NodeOptions;
  #port = 0;
  #process: Bun.ReadableSubprocess | null = null;
  #log = "";
  #watchers = new Set<() => void>();

  constructor(directory: string, options: NodeOptions) {
    this.directory = directory;
    this.#options = options;
    this.nodeIdPath = options.nodeIdPath ?? join(directory, "node_id");
    this.memoryDir = options.memoryDir ?? join(directory, "memory");
  }

  /** As `--store` takes it; the keys of a bucket are left out. */
  get store(): string {
    return storeOf(this.#options.store).url;
  }

  get url(): string {
    return `http://${this.#address}:${this.#port}`;
  }

  get #address(): string {
    return this.#options.host?.address ?? "127.0.0.1";
  }

  /** The id in its file; there after its first start. */
  get id(): string {
    return readFileSync(this.nodeIdPath, "utf8").trim();
  }

  get pid(): number {
    if (!this.#process) throw new Error("the node does not run");
    return this.#process.pid;
  }

  /** All that this start of the node has written, both streams. */
  get log(): string {
    return this.#log;
  }

  client(token?: string): Client {
    return new Client(this.url, token === undefined ? {} : { token });
  }

  /** Starts the process and resolves when it serves; rejects with its log when it ended instead. */
  async start(environment: Record<string, string> = {}): Promise<this> {
    const { ended } = await this.launch(environment);
    const serving = await Promise.race([
      this.until(/ listening url=/, READY_MS).then(() => null),
      ended,
    ]);
    if (serving === null) return this;
    throw new Error(`the node ended with ${JSON.stringify(serving)}:\n${this.#log}`);
  }

  /** Starts the process only; `ended` resolves when it is gone, its log complete. */
  async launch(
    environment: Record<string, string> = {},
  ): Promise<{ readonly ended: Promise<Ended> }> {
    if (this.#port === 0) this.#port = await listeningPort();
    this.#log = "";
    const { command, variables } = this.#command();
    const child = Bun.spawn(command, {
      cwd: this.#folder(),
      env: { ...process.env, ...variables, ...environment },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    this.#process = child;
    const reads = [child.stdout, child.stderr].map((stream) => this.#read(stream));
    const ended = child.exited.then(async () => {
      // What was written before the end belongs to the log of the end.
      await Promise.race([Promise.all(reads), Bun.sleep(1_000)]);
      if (this.#process === child) this.#process = null;
      for (const watcher of this.#watchers) watcher();
      return { code: child.exitCode, signal: child.signalCode };
    });
    return { ended };
  }

  /** Ends the process and resolves when it is gone; at once when it does not run. */
  async kill(signal: "SIGKILL" | "SIGTERM" = "SIGKILL"): Promise<Ended | null> {
    const child = this.#process;
    if (!child) return null;
    child.kill(signal);
    await child.exited;
    if (this.#process === child) this.#process = null;
    return { code: child.exitCode, signal: child.signalCode };
  }

  /** Resolves when the process that runs now is gone. */
  async ended(): Promise<Ended> {
    const child = this.#process;
    if (!child) throw new Error("the node does not run");
    await child.exited;
    return { code: child.exitCode, signal: child.signalCode };
  }

  signal(signal: "SIGSTOP" | "SIGCONT"): void {
    process.kill(this.pid, signal);
  }

  /** Resolves when the log holds `pattern`; rejects with the log when it does not in time. */
  async until(pattern: RegExp, timeoutMs: number): Promise<void> {
    const deadlineMs = performance.now() + timeoutMs;
    while (!pattern.test(this.#log)) {
      const leftMs = deadlineMs - performance.now();
      if (leftMs <= 0) throw new Error(`no ${pattern} within ${timeoutMs} ms:\n${this.#log}`);
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#watchers.add(resolve);
      await Promise.race([promise, Bun.sleep(Math.min(leftMs, 500))]);
      this.#watchers.delete(resolve);
    }
  }

  /** Its child processes that run at this moment. */
  children(): RunningProcess[] {
    return runningProcesses().filter(({ parent }) => parent === this.pid);
  }

  #folder(): string {
    // `serve` would take a config.yaml of the folder that it is started in.
    const path = join(this.directory, "empty");
    Bun.spawnSync(["mkdir", "-p", path]);
    return path;
  }

  #command(): { command: string[]; variables: Record<string, string> } {
    const named = this.#options.binary ?? process.env["HEADGATE_BINARY"];
    const binary = this.#options.fromSource ? undefined : named;
    const program = binary ? [binary] : [process.execPath, join(root, "main.ts")];
    const { url, variables } = storeOf(this.#options.store);
    const set = {
      "memory_dir": this.memoryDir,
      // Any free one: its file in the store tells the others.
      "cluster_mode.internal_api_port": 0,
      // Nobody else is on the bridge of a test.
      ...(this.#options.host && { "auth.required": "false" }),
      ...this.#options.set,
    };
    return {
      command: [
        ...(this.#options.host?.command ?? []),
        ...[...program, "serve", "--store", url, "--listen", `${this.#address}:${this.#port}`],
        ...["--node-id-path", this.nodeIdPath],
        ...Object.entries(set).flatMap(([key, value]) => ["--set", `${key}=${value}`]),
      ],
      variables,
    };
  }

  async #read(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const bytes of stream) {
      this.#log += decoder.decode(bytes, { stream: true });
      for (const watcher of this.#watchers) watcher();
    }
  }
}

/**
 * A free port below those that the kernel gives to outgoing connections (from 32768 on): such a one
 * could be taken while its node is between two lives.
 */
async function listeningPort(): Promise<number> {
  for (;;) {
    const port = 12_000 + Math.floor(Math.random() * 20_000);
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
    });
    if (isFree) return port;
  }
}

function storeOf(store: string | S3Settings): { url: string; variables: Record<string, string> } {
  if (typeof store === "string") return { url: store, variables: {} };
  const query = new URLSearchParams({
    endpoint: store.endpoint ?? "",
    region: store.region ?? "us-east-1",
    path_style: "true",
  });
  return {
    url: `s3://${store.bucket}/${store.prefix ?? ""}?${query}`,
    variables: {
      AWS_ACCESS_KEY_ID: store.access_key ?? "",
      AWS_SECRET_ACCESS_KEY: store.secret_key ?? "",
    },
  };
}

/** A process by its number and its start, since numbers are given out again. */
export interface RunningProcess {
  readonly pid: number;
  readonly parent: number;
  readonly startedAt: string;
  readonly command: string;
}

/** All processes of this machine, by /proc (proc_pid_stat(5)); zombies left out. */
export function runningProcesses(): RunningProcess[] {
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "utf8");
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      if (fields[0] === "Z") return [];
      const command = readFileSync(`/proc/${name}/cmdline`, "utf8").replaceAll("\0", " ");
      const [parent, startedAt] = [Number(fields[1]), fields[19] ?? ""];
      return [{ pid: Number(name), parent, startedAt, command }];
    } catch {
      return []; // it ended while it was looked at
    }
  });
}

/** Those of `processes` that still run after at most `waitMs`. */
export async function survivors(
  processes: readonly RunningProcess[],
  waitMs: number,
): Promise<RunningProcess[]> {
  const deadlineMs = performance.now() + waitMs;
  for (;;) {
    const running = new Map(runningProcesses().map((found) => [found.pid, found.startedAt]));
    const alive = processes.filter(({ pid, startedAt }) => running.get(pid) === startedAt);
    if (alive.length === 0 || performance.now() > deadlineMs) return alive;
    await Bun.sleep(20);
  }
}
