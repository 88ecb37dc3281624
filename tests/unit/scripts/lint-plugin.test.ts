import { afterAll, beforeAll, expect, test } from "bun:test";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

/** Files of a small repository, to the findings that each must have: "rule: part of its message". */
const CASES: Readonly<Record<string, readonly [source: string, ...findings: string[]]>> = {
  "src/store/clean.ts": [
    'import { a } from "../base/a.ts";\nimport { b } from "./b.ts";\nimport z from "zod";\n' +
    "export const c = (clock: { setTimeout: number; now: Date }) => " +
    "[a, b, z, new Date(5), clock.setTimeout, { setTimeout: 1 }];\n",
  ],
  "src/store/up.ts": [
    'import { a } from "../replica/a.ts";\nexport const b = a;\n',
    "imports-go-down: store must not import replica",
  ],
  "src/store/up-type.ts": [
    'import type { A } from "../epoch/a.ts";\nexport type B = A | import("../lake/c.ts").C;\n',
    "imports-go-down: store must not import epoch",
    "imports-go-down: store must not import lake",
  ],
  "src/database/sibling.ts": [
    'export const a = () => import("../election/a.ts");\n',
    "imports-go-down: database must not import election",
  ],
  "src/config/sibling.ts": [
    'import { a } from "../http/a.ts";\nexport const b = a;\n',
    "imports-go-down: config must not import http",
  ],
  "src/base/out.ts": [
    'export { a } from "../../tests/support/a.ts";\nexport const b = 1;\n',
    "imports-go-down: base imports tests/support/a.ts, which is no part of the product",
  ],
  "src/drawer/a.ts": ["export const a = 1;\n", "imports-go-down: src/drawer is no layer"],
  "main.ts": [
    'import { a } from "./src/cli/a.ts";\nconsole.log(a, process.env, import("./src/server/a.ts"));\n',
  ],
  "src/epoch/impure.ts": [
    'import { readFileSync } from "node:fs";\n' +
    "export async function a(list: AsyncIterable<number>) {\n" +
    "  for await (const one of list) await one;\n  readFileSync('x');\n" +
    "  fetch('x');\n  return [Bun.file('x'), Bun.hash.xxHash64('x')];\n}\n",
    "pure-layers: node:fs in epoch",
    "pure-layers: an async function in epoch",
    "pure-layers: for await in epoch",
    "pure-layers: await in epoch",
    "pure-layers: fetch in epoch",
    "pure-layers: Bun.file in epoch",
  ],
  "src/election/impure.ts": [
    "export const a = [Math.random(), new Date(5)];\n",
    "pure-layers: Math.random in election",
    "pure-layers: Date in election",
    "no-ambient-world: Math.random",
  ],
  "src/replica/ambient.ts": [
    'import { randomUUID } from "node:crypto";\nimport { setTimeout as s } from "node:timers/promises";\n' +
    "export const a = [Date.now(), new Date(), Date(), performance.now(), Math.random(), s, randomUUID,\n" +
    "  crypto.getRandomValues, crypto.randomUUID(), process.env, Bun.env, AbortSignal.timeout(1)];\n" +
    "setTimeout(() => {}, 1);\nexport const b = { setInterval };\n",
    ...[
      "Date.now",
      "new Date()",
      "Date()",
      "performance.now",
      "Math.random",
      "node:timers/promises",
      "randomUUID",
      "crypto.getRandomValues",
      "crypto.randomUUID",
      "process.env",
      "Bun.env",
      "AbortSignal.timeout",
      "setTimeout",
      "setInterval",
    ].map((found) => `no-ambient-world: ${found} is the machine's own`),
  ],
  "src/base/clock.ts": ["export const a = () => [Date.now(), Math.random(), process.env];\n"],
  "src/database/x-child.ts": ["export const a = () => Date.now();\n"],
  "src/lake/long.ts": [
    "export const a = 1;\n".repeat(1) + "// a line\n".repeat(300),
    "size-limits: this file has 301 lines; at most 300",
  ],
  "src/lake/long-function.ts": [
    `export const a = () => {\n${"  a();\n".repeat(69)}};\n`,
    "size-limits: this function has 71 lines; at most 70",
  ],
  "src/lake/full.ts": [
    `export const a = () => {\n${"  a();\n".repeat(68)}};\n${"// a line\n".repeat(230)}`,
  ],
  "src/lake/utils.ts": ["export const a = 1;\n", "no-drawers: utils says nothing"],
  "tests/support/helpers/a.ts": ["export const a = 1;\n", "no-drawers: helpers says nothing"],
  "src/lake/barrel.ts": [
    'export * from "./full.ts";\nexport { a } from "./clean.ts";\n',
    "no-barrels: this file only exports others",
  ],
  "src/mod.ts": ['export { a } from "./lake/full.ts";\n'],
  "src/lake/holes.ts": [
    "export const a = (b: any) => b!.c;\n",
    "no-holes: any is a hole",
    "no-holes: a non-null ! is a hole",
  ],
  "tests/unit/holes.test.ts": ["export const a = (b: any) => b!.c;\n"],
  "src/lake/later.ts": [
    `// ${"TO" + "DO"}: later\nexport const a = 1;\n`,
    `nothing-left-to-do: ${"TO" + "DO"}`,
  ],
};

const repository = join(import.meta.dirname, "../../..");
let folder = "";
const found = new Map<string, string[]>();

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "headgate-lint-"));
  for (const [path, [source]] of Object.entries(CASES)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), source);
  }
  cpSync(join(repository, "scripts/lint"), join(folder, "scripts/lint"), { recursive: true });
  cpSync(join(repository, "scripts/lint-plugin.ts"), join(folder, "scripts/lint-plugin.ts"));
  cpSync(join(repository, "deno.json"), join(folder, "deno.json"));
  const deno = join(repository, "node_modules/.bin/deno");
  const { stdout } = Bun.spawnSync([deno, "lint", "--json", ...Object.keys(CASES)], {
    cwd: folder,
  });
  for (const { filename, code, message } of JSON.parse(stdout.toString()).diagnostics) {
    if (!code.startsWith("headgate/")) continue;
    const path = new URL(filename).pathname.slice(folder.length + 1);
    found.set(path, [...found.get(path) ?? [], `${code.slice("headgate/".length)}: ${message}`]);
  }
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

for (const [path, [, ...expected]] of Object.entries(CASES)) {
  test(`the rules find in ${path} exactly ${expected.length} faults`, () => {
    const findings = found.get(path) ?? [];
    for (const part of expected) {
      expect(findings.filter((finding) => finding.startsWith(part))).toHaveLength(1);
    }
    expect(findings).toHaveLength(expected.length);
  });
}
