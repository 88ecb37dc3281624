/** A node of the built binary in its own folder, started for measuring and removed afterwards. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";

export interface NodeOptions {
  readonly binary: string;
  /** Where the node's folder is made; its store lies there too. */
  readonly directory: string;
  readonly latencyMs: number;
}

export interface RunningNode {
  readonly pid: number;
  readonly url: string;
  /** From starting the process to the first 200 of /health/ready. */
  readonly readyMs: number;
  stop(): Promise<void>;
}

const READY_TIMEOUT_MS = 20_000;
const STOP_TIMEOUT_MS = 10_000;
const POLL_MS = 2;

export async function startNode(options: NodeOptions): Promise<RunningNode> {
  const folder = mkdtempSync(join(options.directory, "headgate-bench-"));
  const port = await freePort();
  const startedMs = performance.now();
  const node = Bun.spawn(
    [options.binary, "serve", "--store", `file://${folder}/store`, "--listen", `127.0.0.1:${port}`],
    {
      cwd: folder,
      env: {
        ...process.env,
        HEADGATE_STORAGE__SIMULATE_LATENCY_MS: String(options.latencyMs),
        HEADGATE_CLUSTER_MODE__NODE_ID_PATH: join(folder, "node_id"),
      },
      stdio: ["ignore", Bun.file(join(folder, "out")), Bun.file(join(folder, "log"))],
    },
  );
  const url = `http://127.0.0.1:${port}`;
  const stop = async (): Promise<void> => {
    node.kill("SIGTERM");
    const stopped = await Promise.race([node.exited, Bun.sleep(STOP_TIMEOUT_MS)]);
    if (stopped === undefined) node.kill("SIGKILL");
    await node.exited;
    rmSync(folder, { recursive: true, force: true });
  };
  while (!await isReady(url)) {
    const late = performance.now() - startedMs > READY_TIMEOUT_MS;
    if (late || node.exitCode !== null) {
      const log = readFileSync(join(folder, "log"), "utf8").slice(-2_000);
      await stop();
      throw new Error(`the node did not become ready: ${log}`);
    }
    await Bun.sleep(POLL_MS);
  }
  return { pid: node.pid, url, readyMs: performance.now() - startedMs, stop };
}

async function isReady(url: string): Promise<boolean> {
  try {
    const answer = await fetch(`${url}/health/ready`, { keepalive: false });
    await answer.bytes();
    return answer.status === 200;
  } catch {
    return false; // not listening yet
  }
}

function freePort(): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const server = createServer();
  server.on("error", reject);
  server.listen(0, "127.0.0.1", () => {
    const address = server.address();
    server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
  });
  return promise;
}
