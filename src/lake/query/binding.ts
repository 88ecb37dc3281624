/**
 * Where DuckDB's native binding is. Run from its sources a program finds it in `node_modules`; the
 * executable carries it as two files, which the parent unpacks and names to its children, and the
 * build has `@duckdb/node-bindings` load what is named here (`scripts/duckdb-binding.ts`).
 */
import { dlopen } from "node:process";
import { assert } from "../../base/assert.ts";

let path: string | null = null;

/** Before anything imports `@duckdb/node-api`. */
export function loadBindingFrom(file: string | null): void {
  path = file;
}

/** The binding's own exports. Called by what the build puts in place of `@duckdb/node-bindings`. */
export function loadBinding(): unknown {
  assert(path !== null, "the parent has named the file of the binding");
  const module = { exports: {} };
  dlopen(module, path);
  return module.exports;
}
