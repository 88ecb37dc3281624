/**
 * Makes `dist/headgate`: one executable with the runtime, our code as bytecode and nothing beside it.
 * Runtimes of other targets come from the npm registry on first use (Bun fetches and keeps them).
 *
 *   bun scripts/build.ts [--target linux-x64] [--out dist/headgate] [--crash-points]
 */
import { mkdirSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { bindingFiles, duckdbBinding } from "./duckdb-binding.ts";
import manifest from "../package.json" with { type: "json" };

/** Our names to Bun's. Plain x64 asks for AVX2; `baseline` runs on older processors too. */
const TARGETS: Readonly<Record<string, Bun.Build.CompileTarget>> = {
  "linux-x64": "bun-linux-x64",
  "linux-x64-baseline": "bun-linux-x64-baseline",
  "linux-x64-musl": "bun-linux-x64-musl",
  "linux-arm64": "bun-linux-arm64",
  "linux-arm64-musl": "bun-linux-arm64-musl",
  "darwin-x64": "bun-darwin-x64",
  "darwin-arm64": "bun-darwin-arm64",
};

const root = join(import.meta.dirname, "..");

async function main(): Promise<number> {
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
  const here = `${process.platform}-${process.arch}`;
  const binding = target ??
    [here, `${here}-musl`].find((name) => bindingFiles(root, name).length > 0) ?? here;
  if (bindingFiles(root, binding).length === 0) {
    console.warn(`no DuckDB for ${binding} is installed: ${name} will not query lakes`);
  }
  const { success, logs } = await Bun.build({
    entrypoints: [join(root, values.entry)],
    minify: true,
    bytecode: true,
    format: "esm",
    define: Object.fromEntries(
      Object.entries(defines).map(([key, value]) => [key, JSON.stringify(value)]),
    ),
    plugins: [duckdbBinding(root, binding)],
    compile: {
      outfile: out,
      ...(bunTarget === undefined ? {} : { target: bunTarget }),
      // What lies in the folder that it is started in must not change what it does.
      autoloadDotenv: false,
      autoloadBunfig: false,
    },
    throw: false,
  });
  if (!success) {
    for (const log of logs) console.error(String(log));
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

process.exit(await main());
