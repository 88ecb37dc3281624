/**
 * The real DuckLake: DuckDB with its own signed extensions, which come from PyPI and are kept below node_modules. Where they cannot be had,
 * `judge` says why, and its tests are skipped.
 */
import { type DuckDBConnection, DuckDBInstance, type DuckDBValue } from "@duckdb/node-api";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const VERSION = "1.5.5";
const CACHE = join(import.meta.dirname, "../../node_modules/.cache/duckdb-extensions", VERSION);
/** Package of PyPI behind `duckdb-extension-`, and the name under which DuckDB loads it. */
const EXTENSIONS = [["sqlite", "sqlite_scanner"], ["ducklake", "ducklake"], [
  "httpfs",
  "httpfs",
]] as const;
const FETCH_MS = 120_000;

/** Why the real DuckLake cannot be had here, or null when it can. */
export const missing: string | null = await fetchExtensions();
if (missing !== null) console.log(`skipped: ${missing}`);

export class Judge {
  readonly directory: string;
  readonly #connection: DuckDBConnection;
  readonly #instance: DuckDBInstance;

  private constructor(directory: string, instance: DuckDBInstance, connection: DuckDBConnection) {
    this.directory = directory;
    this.#instance = instance;
    this.#connection = connection;
  }

  static async open(): Promise<Judge> {
    const instance = await DuckDBInstance.create(":memory:", { threads: "1" });
    const connection = await instance.connect();
    const judge = new Judge(
      mkdtempSync(join(tmpdir(), "headgate-ducklake-")),
      instance,
      connection,
    );
    for (const [, name] of EXTENSIONS) await judge.run(`LOAD '${extensionPath(name)}'`);
    await judge.run("SET TimeZone = 'UTC'");
    return judge;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.resolve();
    this.#connection.closeSync();
    this.#instance.closeSync();
    rmSync(this.directory, { recursive: true });
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  /** Attaches a catalog as `lake` for the time of `use`. */
  async attached<T>(catalog: string, options: string, use: () => Promise<T>): Promise<T> {
    const clause = options === "" ? "" : ` (${options})`;
    await this.run(`ATTACH 'ducklake:sqlite:${this.path(catalog)}' AS lake${clause}`);
    try {
      return await use();
    } finally {
      await this.run("DETACH lake");
    }
  }

  async run(sql: string): Promise<void> {
    await this.#connection.run(sql);
  }

  async rows(sql: string): Promise<DuckDBValue[][]> {
    return (await this.#connection.runAndReadAll(sql)).getRows();
  }

  async objects(sql: string): Promise<Record<string, DuckDBValue>[]> {
    return (await this.#connection.runAndReadAll(sql)).getRowObjects();
  }
}

function extensionPath(name: string): string {
  return join(CACHE, `${name}.duckdb_extension`);
}

async function fetchExtensions(): Promise<string | null> {
  if (EXTENSIONS.every(([, name]) => existsSync(extensionPath(name)))) return null;
  const directory = mkdtempSync(join(tmpdir(), "headgate-extensions-"));
  try {
    mkdirSync(CACHE, { recursive: true });
    for (const [part, name] of EXTENSIONS) {
      const wanted = `duckdb-extension-${part}==${VERSION}`;
      const loaded = ["-m", "pip", "download", "--no-deps", "--quiet", "--dest", directory, wanted];
      if (!await python(loaded)) return `${wanted} cannot be had from PyPI`;
      const wheel = readdirSync(directory).find((file) =>
        file.startsWith(`duckdb_extension_${part}-`)
      );
      if (wheel === undefined) return `pip gave no wheel for ${wanted}`;
      if (!await python(["-m", "zipfile", "-e", join(directory, wheel), directory])) {
        return `${wheel} cannot be unpacked`;
      }
      const folder = join(directory, `duckdb_extension_${part}/extensions/v${VERSION}`);
      copyFileSync(join(folder, `${part}.duckdb_extension`), `${extensionPath(name)}.new`);
      renameSync(`${extensionPath(name)}.new`, extensionPath(name));
    }
    return null;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Whether it succeeded; no Python is a failure like any other. */
async function python(args: readonly string[]): Promise<boolean> {
  try {
    const child = Bun.spawn(["python3", ...args], { stdio: ["ignore", "ignore", "ignore"] });
    const timer = setTimeout(() => child.kill("SIGKILL"), FETCH_MS);
    const code = await child.exited;
    clearTimeout(timer);
    return code === 0;
  } catch {
    return false;
  }
}
