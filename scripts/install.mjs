/**
 * Installs what is missing, then hands over to Bun: `node scripts/install.mjs [file arguments…]`.
 * Plain JavaScript for Node.js 20 and newer, since this runs before anything else is there.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const modules = join(root, "node_modules");
const bun = join(modules, ".bin", "bun");

/** Why node_modules has to be installed anew; empty when it does not. */
function staleness() {
  if (!existsSync(modules)) return "node_modules is absent";
  const installed = join(modules, ".package-lock.json");
  if (!existsSync(installed)) return "node_modules was not installed by npm";
  const wanted = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages;
  const found = JSON.parse(readFileSync(installed, "utf8")).packages;
  for (const [path, { version, optional }] of Object.entries(wanted)) {
    // Optional ones are for other platforms, unless they are there; then they must fit.
    if (path === "" || (optional === true && found[path] === undefined)) continue;
    if (found[path]?.version !== version) {
      return `${path} is ${found[path]?.version ?? "absent"}, not ${version}`;
    }
  }
  if (!isRunnable("bun") || !isRunnable("deno")) return "bun or deno does not run";
  return "";
}

function run(command, ...args) {
  const { status, error } = spawnSync(command, args, {
    cwd: root,
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (status === 0) return;
  console.error(`${command} ${args.join(" ")} failed${error ? `: ${error.message}` : ""}`);
  process.exit(1);
}

function isRunnable(program) {
  return spawnSync(join(modules, ".bin", program), ["--version"], { stdio: "ignore" }).status === 0;
}

function install() {
  const reason = staleness();
  if (reason !== "") {
    console.log(`installing dependencies: ${reason}`);
    const npm = process.env.npm_execpath;
    const flags = ["ci", "--include=dev", "--no-audit", "--no-fund"];
    if (npm?.endsWith(".js")) run(process.execPath, npm, ...flags);
    else run("npm", ...flags);
  }
  // Where npm runs no install scripts, these two have not put their executables in place.
  for (const [program, script] of [["bun", "install.js"], ["deno", "install.cjs"]]) {
    if (isRunnable(program)) continue;
    console.log(`installing the executable of ${program}`);
    run(process.execPath, join(modules, program, script));
  }
}

install();
const args = process.argv.slice(2);
if (args.length > 0) {
  const child = spawn(bun, args, { cwd: root, stdio: "inherit" });
  // A terminal sends Ctrl-C to both of us; the child decides when it is done.
  process.on("SIGINT", () => {});
  for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("error", (error) => {
    console.error(`cannot start ${bun}: ${error.message}`);
    process.exit(1);
  });
  child.on("exit", (code, signal) => {
    process.exit(code ?? 128 + (constants.signals[signal] ?? 0));
  });
}
