/** Where a file stands: its path from the root of the repository, and its layer. */
import type { LintContext } from "./syntax.ts";

const root = new URL("../../", import.meta.url).pathname;

/** With forward slashes, without a leading one; absolute when it lies outside the repository. */
export function placeOf(context: LintContext): string {
  return context.filename.startsWith(root) ? context.filename.slice(root.length) : context.filename;
}

/** Lower may not import higher, nor a sibling at the same height. */
const HEIGHTS: readonly (readonly string[])[] = [
  ["base"],
  ["store"],
  ["epoch"],
  ["election", "database"],
  ["replica"],
  ["members"],
  ["lake"],
  ["config", "http", "console"],
  ["server"],
  ["library"],
  // The library's front door stands beside the command line.
  ["cli", "mod.ts"],
];

const heights = new Map(HEIGHTS.flatMap((names, height) => names.map((name) => [name, height])));

/** The folder in `src`, "main.ts", or undefined for tests and scripts. */
export function layerOf(place: string): string | undefined {
  if (place === "main.ts") return "main.ts";
  return place.startsWith("src/") ? place.split("/")[1] : undefined;
}

/** Undefined for a folder that the design does not know. */
export function heightOf(layer: string): number | undefined {
  return layer === "main.ts" ? HEIGHTS.length : heights.get(layer);
}

/** The place that a relative import names; undefined for packages. */
export function resolveImport(place: string, specifier: string): string | undefined {
  if (!specifier.startsWith(".")) return undefined;
  return new URL(specifier, `file:///${place}`).pathname.slice(1);
}

export const isProduct = (place: string): boolean => layerOf(place) !== undefined;
