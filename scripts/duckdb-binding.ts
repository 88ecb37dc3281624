/**
 * How the build takes DuckDB along. Its native binding is two files that the system's loader must
 * find side by side on a disk, so they are embedded as files, and `@duckdb/node-bindings`, which
 * would look for them in `node_modules`, becomes a call that loads the copy which the program has
 * unpacked (`src/lake/query/native-binding.ts`). A target whose binding is not installed here gets
 * an executable without it.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { BunPlugin } from "bun";

/** The files of a binding that are loaded; the others are its licence and its description. */
const LOADED = /\.(node|so|dylib|dll)$/;

/** `target` is one of build.ts, `linux-x64-musl` for one; `root` has `node_modules`. */
export function duckdbBinding(root: string, target: string): BunPlugin {
  const files = bindingFiles(root, target);
  return {
    name: "duckdb-binding",
    setup(build) {
      build.onLoad({ filter: /[/\\]@duckdb[/\\]node-bindings[/\\]duckdb\.js$/ }, () => ({
        contents: `const { loadBinding } = require(${
          JSON.stringify(join(root, "src/lake/query/binding.ts"))
        });\nmodule.exports = loadBinding();\n`,
        loader: "js",
      }));
      build.onLoad({ filter: /[/\\]lake[/\\]query[/\\]embedded\.ts$/ }, () => ({
        contents: embedding(files),
        loader: "ts",
      }));
    },
  };
}

/** Absolute paths; none when the target's package is not installed. */
export function bindingFiles(root: string, target: string): string[] {
  const folder = join(root, "node_modules/@duckdb", `node-bindings-${bindingTarget(target)}`);
  try {
    return readdirSync(folder).filter((name) => LOADED.test(name)).map((name) =>
      join(folder, name)
    );
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  }
}

/** DuckDB has one binding for all x64 processors. */
function bindingTarget(target: string): string {
  return target.replace("-baseline", "");
}

function embedding(files: readonly string[]): string {
  const imports = files.map((file, at) =>
    `import file${at} from ${JSON.stringify(file)} with { type: "file" };`
  );
  const list = files.map((file, at) =>
    `{ name: ${JSON.stringify(file.slice(file.search(/[^/\\]+$/)))}, path: file${at} }`
  );
  return `${imports.join("\n")}\nexport const embeddedFiles = [${list.join(", ")}];\n`;
}
