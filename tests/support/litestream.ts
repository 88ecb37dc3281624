/**
 * Litestream, the judge of our objects: found on the PATH or among Go's programs, or installed by
 * Go. Older than 0.5.16 cannot read our pages, so what is found is asked for its version.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const MODULE = "github.com/benbjohnson/litestream/cmd/litestream";
const INSTALLED_VERSION = "v0.5.18";
const PATCH_MIN = 16;
const INSTALL_MS_MAX = 240_000;
const RESTORE_MS_MAX = 120_000;

export type Litestream = { readonly path: string } | { readonly missing: string };

let found: Promise<Litestream> | null = null;

/** Where it is, or why there is none. The search, and at most one installation, happen once. */
export function findLitestream(): Promise<Litestream> {
  return found ??= find();
}

async function find(): Promise<Litestream> {
  const go = Bun.which("go") ??
    (await isProgram("/usr/local/go/bin/go") ? "/usr/local/go/bin/go" : null);
  const folder = go === null ? null : await programFolder(go);
  const candidates = [Bun.which("litestream"), folder === null ? null : join(folder, "litestream")];
  for (const path of candidates) {
    if (path !== null && await isProgram(path) && await isNewEnough(path)) return { path };
  }
  if (go === null || folder === null) {
    return {
      missing: `litestream 0.5.${PATCH_MIN} or newer is not on the PATH, and Go is not there`,
    };
  }
  const install = await run([go, "install", `${MODULE}@${INSTALLED_VERSION}`], INSTALL_MS_MAX);
  if (install.code === 0) return { path: join(folder, "litestream") };
  return { missing: `go install ${MODULE} failed: ${install.output.slice(-300)}` };
}

export interface RestoreOptions {
  /** Restore as of this epoch instead of the newest. */
  readonly epoch?: number;
  /** Restore as of this moment: the newest epoch before it. */
  readonly timestamp?: string;
}

/**
 * Restores the replica at `url` (a database's folder) and answers the SQLite file's bytes. Throws
 * with Litestream's own words when it fails.
 */
export async function litestreamRestore(
  program: string,
  url: string,
  options: RestoreOptions = {},
): Promise<Uint8Array> {
  const folder = await mkdtemp(join(tmpdir(), "headgate-litestream-"));
  try {
    const path = join(folder, "restored.db");
    const command = [program, "restore", "-o", path];
    if (options.epoch !== undefined) {
      command.push("-txid", options.epoch.toString(16).padStart(16, "0"));
    }
    if (options.timestamp !== undefined) command.push("-timestamp", options.timestamp);
    const { code, output } = await run([...command, url], RESTORE_MS_MAX);
    if (code !== 0) throw new Error(`litestream restore of ${url} failed (${code}): ${output}`);
    return await Bun.file(path).bytes();
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function programFolder(go: string): Promise<string | null> {
  const { code, output } = await run([go, "env", "GOBIN", "GOPATH"], 10_000);
  const [bin = "", path = ""] = output.split("\n");
  if (code !== 0 || (bin === "" && path === "")) return null;
  return bin === "" ? join(path.split(":")[0] ?? "", "bin") : bin;
}

async function isNewEnough(path: string): Promise<boolean> {
  const { code, output } = await run([path, "version"], 10_000);
  const match = /v?(\d+)\.(\d+)\.(\d+)/.exec(output);
  if (code !== 0 || match === null) return false;
  const [major = 0, minor = 0, patch = 0] = match.slice(1).map(Number);
  if (major !== 0 || minor !== 5) return major > 0 || minor > 5;
  return patch >= PATCH_MIN;
}

function isProgram(path: string): Promise<boolean> {
  return Bun.file(path).exists();
}

async function run(
  command: string[],
  timeoutMs: number,
): Promise<{ code: number; output: string }> {
  // With AWS_CA_BUNDLE set, Litestream's S3 client refuses every plain server.
  const { AWS_CA_BUNDLE: _, ...env } = process.env;
  const child = Bun.spawn(command, {
    env,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: timeoutMs,
    killSignal: "SIGKILL",
  });
  const [out, errors] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code: child.exitCode ?? -1, output: out + errors };
}
