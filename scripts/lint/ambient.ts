/** Clock, chance, environment and outside world are passed in; the pure layers have none of them. */
import { onImports } from "./layers.ts";
import { layerOf, placeOf } from "./place.ts";
import {
  isOnlyName,
  type LintContext,
  memberOf,
  nameOf,
  type Rule,
  type SyntaxNode,
} from "./syntax.ts";

/** Layers that hand the real ones to all others. */
const REAL = ["base", "server"];

/** Files elsewhere that may use the real ones, and why. */
const EXCEPTIONS: readonly (readonly [RegExp, string])[] = [
  [/-child\.ts$|\/child-main\.ts$/, "runs alone in a child process: nobody there to pass them in"],
  [/^main\.ts$/, "is where the process begins"],
];

const CLOCK = "take a Clock (src/base/clock.ts)";
const CHANCE = "take a Random (src/base/random.ts)";
const ENVIRONMENT = "take the environment as an argument";

const MEMBERS: Readonly<Record<string, string>> = {
  "Date.now": `${CLOCK} and call clock.nowMs()`,
  "performance.now": `${CLOCK} and call clock.monotonicMs()`,
  "performance.timeOrigin": CLOCK,
  "process.hrtime": `${CLOCK} and call clock.monotonicMs()`,
  "process.uptime": CLOCK,
  "Bun.nanoseconds": `${CLOCK} and call clock.monotonicMs()`,
  "Bun.sleep": `${CLOCK} and call clock.sleep(ms)`,
  "Bun.sleepSync": CLOCK,
  "AbortSignal.timeout": `${CLOCK} and abort from clock.after(ms, …)`,
  "Math.random": CHANCE,
  "crypto.getRandomValues": CHANCE,
  "crypto.randomUUID": CHANCE,
  "Bun.randomUUIDv7": CHANCE,
  "process.env": ENVIRONMENT,
  "Bun.env": ENVIRONMENT,
};

const GLOBALS: Readonly<Record<string, string>> = {
  setTimeout: `${CLOCK} and call clock.after(ms, …)`,
  setInterval: `${CLOCK} and call clock.after(ms, …) again each time`,
  setImmediate: `${CLOCK} and call clock.after(0, …)`,
};

const MODULES: Readonly<Record<string, string>> = {
  "node:timers": CLOCK,
  "node:timers/promises": CLOCK,
  "node:perf_hooks": CLOCK,
};
const RANDOM_IMPORTS = /\b(randomBytes|randomUUID|randomInt|randomFillSync|getRandomValues)\b/;

export const noAmbientWorld: Rule = {
  create(context) {
    const place = placeOf(context);
    const layer = layerOf(place);
    if (layer === undefined || REAL.includes(layer)) return {};
    if (EXCEPTIONS.some(([pattern]) => pattern.test(place))) return {};
    return {
      MemberExpression(node) {
        const hint = MEMBERS[memberOf(node)];
        if (hint !== undefined) ambient(context, node, memberOf(node), hint);
      },
      Identifier(node) {
        const hint = GLOBALS[nameOf(node)];
        if (hint !== undefined && !isOnlyName(node)) ambient(context, node, nameOf(node), hint);
      },
      NewExpression(node) {
        const isDate = nameOf(node["callee"]) === "Date";
        if (!isDate || (node["arguments"] as readonly unknown[]).length > 0) return;
        ambient(context, node, "new Date()", `${CLOCK} and call new Date(clock.nowMs())`);
      },
      CallExpression(node) {
        if (nameOf(node["callee"]) === "Date") ambient(context, node, "Date()", CLOCK);
      },
      ...onImports(context, (node, specifier) => {
        const hint = MODULES[specifier];
        if (hint !== undefined) return ambient(context, node, specifier, hint);
        const random = RANDOM_IMPORTS.exec(context.sourceCode.getText(node))?.[1];
        if (/^(node:)?crypto$/.test(specifier) && random !== undefined) {
          ambient(context, node, random, CHANCE);
        }
      }),
    };
  },
};

function ambient(context: LintContext, node: SyntaxNode, found: string, hint: string): void {
  context.report({
    node,
    message: `${found} is the machine's own; only base and server use it`,
    hint,
  });
}

const PURE = ["epoch", "election"];
const IMPURE = new Set([
  "fetch",
  "process",
  "performance",
  "Date",
  "crypto",
  ...Object.keys(GLOBALS),
]);
/** Modules of the runtime that only compute. */
const COMPUTING_MODULES = /^node:(assert|buffer|util|zlib)$/;

export const pureLayers: Rule = {
  create(context) {
    const layer = layerOf(placeOf(context));
    if (layer === undefined || !PURE.includes(layer)) return {};
    const impure = (node: SyntaxNode, found: string) =>
      context.report({
        node,
        message: `${found} in ${layer}, which is pure`,
        hint: "let the decision be a value and carry it out in the layer above",
      });
    const mayBeAsync = (node: SyntaxNode) => {
      if (node["async"] === true) impure(node, "an async function");
    };
    return {
      AwaitExpression: (node) => impure(node, "await"),
      ForOfStatement(node) {
        if (node["await"] === true) impure(node, "for await");
      },
      FunctionDeclaration: mayBeAsync,
      FunctionExpression: mayBeAsync,
      ArrowFunctionExpression: mayBeAsync,
      Identifier(node) {
        if (IMPURE.has(nameOf(node)) && !isOnlyName(node)) impure(node, nameOf(node));
      },
      MemberExpression(node) {
        const member = memberOf(node);
        if (member === "Math.random") impure(node, member);
        if (member.startsWith("Bun.") && member !== "Bun.hash") impure(node, member);
      },
      ...onImports(context, (node, specifier) => {
        const isRuntime = /^(node|bun):|^bun$/.test(specifier);
        if (isRuntime && !COMPUTING_MODULES.test(specifier)) impure(node, specifier);
      }),
    };
  },
};
