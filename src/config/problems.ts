/** What the schema found wrong → lines that say where, which key, what was found, what is allowed. */
import type * as z from "zod";
import { configSchema, SECRET_KEYS } from "./schema.ts";
import { originOf, type Settings } from "./source.ts";

type Schema = z.core.$ZodType;

/** One line a problem, in the order of the places where they were written. */
export function problemLines(settings: Settings, issues: readonly z.core.$ZodIssue[]): string[] {
  const lines = new Set<string>();
  for (const issue of issues) {
    const path = issue.path.map(String);
    if (issue.code === "unrecognized_keys") {
      const allowed = allowedKeys(path).join(", ");
      for (const key of issue.keys) {
        const dotted = [...path, key].join(".");
        lines.add(`${place(settings, [...path, key])}${dotted} is not a key; allowed: ${allowed}`);
      }
      continue;
    }
    const found = path.reduce<unknown>((at, key) => Object(at)[key] as unknown, settings.tree);
    const allowed = isGroup(issue) ? `the keys ${allowedKeys(path).join(", ")}` : issue.message;
    lines.add(
      found === undefined
        ? `${place(settings, path)}${path.join(".")} is missing; allowed: ${allowed}`
        : `${place(settings, path)}${path.join(".")} is ${shown(path, found)}; allowed: ${allowed}`,
    );
  }
  return [...lines].sort(byPlace);
}

/**
 * A text from the environment or a flag, read as the type of its key. What does not fit stays a
 * text, and the schema then refuses it.
 */
export function readAs(path: readonly string[], text: string): unknown {
  const schema = schemaAt(path);
  const type = schema === null ? null : unwrap(schema)._zod.def.type;
  if (type === "boolean" && /^(true|false)$/.test(text)) return text === "true";
  if (type === "number" && /^-?\d+(\.\d+)?$/.test(text)) return Number(text);
  if (type === "array") {
    return text.split(",").map((item) => item.trim()).filter((item) => item !== "");
  }
  return text;
}

/** The keys that may stand at a path. */
export function allowedKeys(path: readonly string[]): string[] {
  const schema = schemaAt(path);
  return schema === null ? [] : Object.keys(shapeOf(schema) ?? {});
}

function schemaAt(path: readonly string[]): Schema | null {
  let schema: Schema = configSchema;
  for (const key of path) {
    const shape = shapeOf(schema);
    if (shape === null) return null;
    const next = Object.hasOwn(shape, key) ? shape[key] : undefined;
    if (next === undefined) return null;
    schema = next;
  }
  return schema;
}

function shapeOf(schema: Schema): Readonly<Record<string, Schema>> | null {
  const { def } = unwrap(schema)._zod;
  return "shape" in def ? def.shape as Readonly<Record<string, Schema>> : null;
}

/** Looks through defaults, optionals and transforms. */
function unwrap(schema: Schema): Schema {
  const { def } = schema._zod;
  if ("innerType" in def) return unwrap(def.innerType as Schema);
  if ("in" in def) return unwrap(def.in as Schema);
  return schema;
}

function isGroup(issue: z.core.$ZodIssue): boolean {
  return issue.code === "invalid_type" && issue.expected === "object";
}

function place(settings: Settings, path: readonly string[]): string {
  const origin = originOf(settings, path);
  return origin === null ? "" : `${origin}: `;
}

function shown(path: readonly string[], found: unknown): string {
  if (SECRET_KEYS.has(path.at(-1) ?? "")) return "wrong (its value is secret)";
  if (found === null) return "empty";
  const text = JSON.stringify(found) ?? String(found);
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}

/** "config.yaml:10" comes after "config.yaml:9". */
function byPlace(a: string, b: string): number {
  return a.localeCompare(b, "en", { numeric: true });
}
