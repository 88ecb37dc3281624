/**
 * Makes `dist/headgate`: one executable with the runtime, our code as bytecode and nothing beside it.
 * Runtimes of other targets come from the npm registry on first use (Bun fetches and keeps them).
 *
 *   bun scripts/build.ts [--target linux-x64] [--out dist/headgate] [--crash-points]
 */
import { mkdirSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import manifest from "../package.json" with { type: "json" };

/** Our names to Bun's. Plain x64 asks for AVX2; `baseline` runs on older processors too. */
const TARGETS: Readonly<Record<string, string>> = {
  "linux-x64": "bun-linux-x64",
  "linux-x64-baseline": "bun-linux-x64-baseline",
  "linux-x64-musl": "bun-linux-x64-musl",
  "linux-arm64": "bun-linux-arm64",
  "linux-arm64-musl": "bun-linux-arm64-musl",
  "darwin-x64": "bun-darwin-x64",
  "darwin-arm64": "bun-darwin-arm64",
};

const root = join(import.meta.dirname, "..");

function main(): number {
  const { values } = parseArgs({
    options: {
      target: { type: "string" },
      out: { type: "string" },
      /** Keeps the places at which tests end the process; never for a release. */
      "crash-points": { type: "boolean", default: false },
      entry: { type: "string", default: "main.ts" },
    },
  });
  const { target } = values;
  const bunTarget = target === undefined ? undefined : TARGETS[target];
  if (target !== undefined && bunTarget === undefined) {
    console.error(`unknown target ${target}; allowed: ${Object.keys(TARGETS).join(", ")}`);
    return 2;
  }
  const name = target === undefined ? "headgate" : `headgate-${target}`;
  const out = resolve(root, values.out ?? join("dist", name));
  mkdirSync(dirname(out), { recursive: true });
  const defines: Record<string, unknown> = {
    HEADGATE_COMPILED: true,
    HEADGATE_RELEASE: !values["crash-points"],
    HEADGATE_VERSION: manifest.version,
    HEADGATE_COMMIT: commit(),
  };
  const command = [
    ...[process.execPath, "build", "--compile", "--minify", "--bytecode", "--format=esm"],
    // What lies in the folder that it is started in must not change what it does.
    ...["--no-compile-autoload-dotenv", "--no-compile-autoload-bunfig"],
    ...(bunTarget === undefined ? [] : [`--target=${bunTarget}`]),
    ...Object.entries(defines).map(([key, value]) => `--define=${key}=${JSON.stringify(value)}`),
    `--outfile=${out}`,
    join(root, values.entry),
  ];
  const { exitCode } = Bun.spawnSync(command, {
    cwd: root,
    stdio: ["ignore", "ignore", "inherit"],
  });
  if (exitCode !== 0) {
    console.error(`the build of ${name} failed`);
    return 1;
  }
  const megabytes = (statSync(out).size / 1e6).toFixed(1);
  console.log(
    `${out} ${megabytes} MB, version ${manifest.version} (${defines["HEADGATE_COMMIT"]})`,
  );
  return 0;
}

/** The commit, with a + behind it when files differ from it; "unknown" without git. */
function commit(): string {
  const git = (...args: string[]): string | undefined => {
    try {
      const { exitCode, stdout } = Bun.spawnSync(["git", ...args], { cwd: root });
      return exitCode === 0 ? stdout.toString().trim() : undefined;
    } catch {
      return undefined;
    }
  };
  const hash = git("rev-parse", "--short=12", "HEAD");
  if (hash === undefined) return "unknown";
  return git("status", "--porcelain") === "" ? hash : `${hash}+`;
}

process.exit(main());
