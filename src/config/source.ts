/**
 * Where settings come from. Every value remembers its origin ("config.yaml:4", "HEADGATE_ZONE",
 * "--listen"), so that a wrong one can be named where a person wrote it.
 */
import { isMap, isPair, isScalar, LineCounter, parseDocument } from "yaml";
import type { Document, Node } from "yaml";
import { Failure } from "../base/failure.ts";

/** One value given outside the file: by the environment or by a flag. */
export interface Setting {
  /** As a person would look for it: "--listen", "HEADGATE_LISTEN". */
  readonly origin: string;
  /** The key's path, ["cluster_mode", "node_id_path"]. */
  readonly path: readonly string[];
  /** A text is read as the key's type; anything else is taken as it is. */
  readonly value: unknown;
}

export interface ConfigFile {
  /** As it is to appear in messages. */
  readonly name: string;
  readonly text: string;
}

/** A tree of settings, and the origin of each key by its dotted path. */
export interface Settings {
  readonly tree: Record<string, unknown>;
  readonly origins: Map<string, string>;
}

/** Variables of the command line client, and what tests use; not settings of a node. */
const FOREIGN = /^HEADGATE_(URL|TOKEN|TOKEN_FILE|STORE|CONFIG|BINARY|CRASH_AT|TEST_.*)$/;

/** Reads a YAML file. Throws `invalid` with the line for anything that is not a map of settings. */
export function readFileSettings(file: ConfigFile): Settings {
  const lines = new LineCounter();
  const document = parseDocument(file.text, { lineCounter: lines, prettyErrors: false });
  const [error] = document.errors;
  if (error) {
    const line = lines.linePos(error.pos[0]).line;
    throw new Failure("invalid", `${file.name}:${line}: not YAML: ${firstLine(error.message)}`);
  }
  const origins = new Map<string, string>();
  if (document.contents === null) return { tree: {}, origins };
  if (!isMap(document.contents)) {
    throw new Failure("invalid", `${file.name}:1: expected keys and values, as in "listen: …"`);
  }
  note(document.contents, [], (path, offset) => {
    origins.set(path.join("."), `${file.name}:${lines.linePos(offset).line}`);
  });
  return { tree: plain(document, file.name), origins };
}

/** The variables that are settings: HEADGATE_, then the key's path, nested by two underscores. */
export function environmentSettings(
  environment: Readonly<Record<string, string | undefined>>,
): Setting[] {
  return Object.keys(environment).sort()
    .filter((name) => name.startsWith("HEADGATE_") && !FOREIGN.test(name))
    .map((name) => ({
      origin: name,
      path: name.slice("HEADGATE_".length).toLowerCase().split("__"),
      value: environment[name],
    }));
}

/** Puts one setting over what is there. */
export function applySetting(settings: Settings, setting: Setting): void {
  let at = settings.tree;
  setting.path.forEach((key, index) => {
    const path = setting.path.slice(0, index + 1).join(".");
    if (index === setting.path.length - 1) {
      define(at, key, setting.value);
      settings.origins.set(path, setting.origin);
      return;
    }
    const next = Object.hasOwn(at, key) ? at[key] : undefined;
    if (!isTree(next)) {
      if (next !== undefined && next !== null) {
        const origin = settings.origins.get(path) ?? setting.origin;
        throw new Failure("invalid", `${origin}: ${path} is not a map of keys`);
      }
      define(at, key, {});
      if (!settings.origins.has(path)) settings.origins.set(path, setting.origin);
    }
    at = at[key] as Record<string, unknown>;
  });
}

/** The origin of a key, or of the nearest key above it; null when nobody wrote any of them. */
export function originOf(settings: Settings, path: readonly string[]): string | null {
  for (let length = path.length; length > 0; length -= 1) {
    const origin = settings.origins.get(path.slice(0, length).join("."));
    if (origin !== undefined) return origin;
  }
  return null;
}

export function isTree(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function note(
  node: Node,
  path: readonly string[],
  seen: (path: readonly string[], offset: number) => void,
): void {
  if (!isMap(node)) return;
  for (const pair of node.items) {
    if (!isPair(pair) || !isScalar(pair.key)) continue;
    const inner = [...path, String(pair.key.value)];
    seen(inner, pair.key.range?.[0] ?? 0);
    if (isMap(pair.value)) note(pair.value, inner, seen);
  }
}

function plain(document: Document, name: string): Record<string, unknown> {
  try {
    return document.toJS({ maxAliasCount: 100 }) as Record<string, unknown>;
  } catch (cause) {
    const reason = cause instanceof Error ? firstLine(cause.message) : String(cause);
    throw new Failure("invalid", `${name}:1: not YAML: ${reason}`, { cause });
  }
}

/** Plain assignment would set the prototype for the key `__proto__`. */
function define(tree: Record<string, unknown>, key: string, value: unknown): void {
  Object.defineProperty(tree, key, {
    value,
    writable: true,
    enumerable: true,
    configurable: true,
  });
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0] ?? "";
}
