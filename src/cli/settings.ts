/** Command line and environment → the `Config` of a node. */
import { existsSync, readFileSync } from "node:fs";
import { Failure } from "../base/failure.ts";
import { type Config, type ConfigSources, loadConfig } from "../config/config.ts";
import type { Setting } from "../config/source.ts";
import type { Surroundings } from "../server/surroundings.ts";
import { parseStoreUrl } from "../store/url.ts";
import { type OptionSpec, type ParsedArguments, UsageError } from "./arguments.ts";

const DEFAULT_FILE = "config.yaml";

/** Options that are keys of the configuration. */
const KEYS: readonly { readonly option: OptionSpec; readonly path: readonly string[] }[] = [
  {
    option: {
      name: "listen",
      value: "HOST:PORT",
      help: "address to serve; default 127.0.0.1:8080",
    },
    path: ["listen"],
  },
  {
    option: { name: "node-id-path", value: "FILE", help: "file with this node's id; ./node_id" },
    path: ["cluster_mode", "node_id_path"],
  },
  {
    option: {
      name: "advertised-host",
      value: "HOST",
      help: "host under which others reach this node",
    },
    path: ["cluster_mode", "advertised_host"],
  },
  {
    option: {
      name: "memory-dir",
      value: "DIR",
      help: "folder of images; /dev/shm where it has room",
    },
    path: ["memory_dir"],
  },
  {
    option: { name: "zone", value: "ZONE", help: "availability zone of this node" },
    path: ["zone"],
  },
  {
    option: { name: "log-level", value: "LEVEL", help: "debug, info, warn or error" },
    path: ["log", "level"],
  },
  {
    option: { name: "log-format", value: "FORMAT", help: "text or json" },
    path: ["log", "format"],
  },
];

export const CONFIG_OPTIONS: readonly OptionSpec[] = [
  { name: "config", value: "FILE", help: "YAML file; ./config.yaml where there is one" },
  { name: "store", value: "URL", help: "s3://bucket/prefix?endpoint=…&region=… or file:///path" },
  ...KEYS.map(({ option }) => option),
  { name: "set", value: "KEY=VALUE", many: true, help: "any key: --set limits.readers_max=4" },
  { name: "print-config", help: "print the effective configuration, secrets masked, and end" },
];

/** Throws `invalid` with one line a problem. */
export function configOf(args: ParsedArguments, { environment }: Surroundings): Config {
  const url = args.text("store") ?? environment["HEADGATE_STORE"];
  const origin = args.text("store") === undefined ? "HEADGATE_STORE" : "--store";
  const file = configFile(args.text("config") ?? environment["HEADGATE_CONFIG"]);
  const sources: ConfigSources = {
    environment,
    ...(file === null ? {} : { file }),
    ...(url === undefined || url === "" ? {} : { store: { origin, settings: store(origin, url) } }),
    flags: [
      ...KEYS.flatMap(({ option, path }): Setting[] => {
        const value = args.text(option.name);
        return value === undefined ? [] : [{ origin: `--${option.name}`, path, value }];
      }),
      ...args.all("set").map(setting),
    ],
  };
  return loadConfig(sources);
}

function store(origin: string, url: string) {
  try {
    return parseStoreUrl(url);
  } catch (cause) {
    if (!(cause instanceof Failure)) throw cause;
    throw new Failure(cause.kind, `${origin}: ${cause.message}`, { cause });
  }
}

function configFile(named: string | undefined): { name: string; text: string } | null {
  if (named === undefined && !existsSync(DEFAULT_FILE)) return null;
  const name = named ?? DEFAULT_FILE;
  try {
    return { name, text: readFileSync(name, "utf8") };
  } catch (cause) {
    const code = String(Object(cause).code ?? cause);
    throw new Failure("invalid", `Cannot read the configuration ${name}: ${code}`, { cause });
  }
}

function setting(text: string): Setting {
  const equals = text.indexOf("=");
  if (equals < 1) throw new UsageError(`--set ${text}: write --set KEY=VALUE`);
  const key = text.slice(0, equals);
  return { origin: `--set ${key}`, path: key.split("."), value: text.slice(equals + 1) };
}
