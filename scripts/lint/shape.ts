/** The shape of files: sizes, names, no barrels, no holes in the types, nothing left to do. */
import { isProduct, placeOf } from "./place.ts";
import { isNode, type LintContext, type Rule, type SyntaxNode } from "./syntax.ts";

const FILE_LINES_MAX = 300;
const FUNCTION_LINES_MAX = 70;

export const sizeLimits: Rule = {
  create(context) {
    if (!isProduct(placeOf(context))) return {};
    const { text } = context.sourceCode;
    const functionLines = (node: SyntaxNode) => {
      const lines = linesOf(text.slice(...node.range));
      if (lines <= FUNCTION_LINES_MAX) return;
      const message = `this function has ${lines} lines; at most ${FUNCTION_LINES_MAX}`;
      context.report({ node, message, hint: "give a part of it a name of its own" });
    };
    return {
      Program(node) {
        const lines = linesOf(text);
        if (lines <= FILE_LINES_MAX) return;
        const message = `this file has ${lines} lines; at most ${FILE_LINES_MAX}`;
        context.report({ node, message, hint: "one idea a file: find the second one" });
      },
      FunctionDeclaration: functionLines,
      FunctionExpression: functionLines,
      ArrowFunctionExpression: functionLines,
    };
  },
};

function linesOf(text: string): number {
  return text.trimEnd().split("\n").length;
}

const DRAWERS = /(^|\/)(utils?|helpers?|common|types|core|lib|misc)(\.|\/|$)/;

export const noDrawers: Rule = {
  create(context) {
    return {
      Program(node) {
        const found = DRAWERS.exec(placeOf(context))?.[2];
        if (found === undefined) return;
        const message = `${found} says nothing about what is in it`;
        context.report({ node, message, hint: "name the one idea of the file" });
      },
    };
  },
};

export const noBarrels: Rule = {
  create(context) {
    // The library's front door is the one file that exists to export others.
    if (placeOf(context) === "src/mod.ts") return {};
    return {
      Program(node) {
        const body = (node["body"] as readonly SyntaxNode[]).filter(isNode);
        if (body.length === 0 || !body.every(isForwarding)) return;
        const message = "this file only exports others";
        context.report({ node, message, hint: "import from the file that has it" });
      },
    };
  },
};

function isForwarding(node: SyntaxNode): boolean {
  if (node.type === "ExportAllDeclaration" || node.type === "ImportDeclaration") return true;
  return node.type === "ExportNamedDeclaration" && !isNode(node["declaration"]);
}

export const noHoles: Rule = {
  create(context) {
    const place = placeOf(context);
    if (place.startsWith("tests/")) return {};
    return {
      TSAnyKeyword: (node) => hole(context, node, "any", "say what it is, or unknown"),
      TSNonNullExpression: (node) =>
        hole(context, node, "a non-null !", "check it, or assert() with a sentence"),
    };
  },
};

function hole(context: LintContext, node: SyntaxNode, found: string, hint: string): void {
  context.report({ node, message: `${found} is a hole in the types`, hint });
}

export const nothingLeftToDo: Rule = {
  create(context) {
    return {
      Program(program) {
        for (const comment of context.sourceCode.getAllComments()) {
          const found = /\b(TODO|FIXME|XXX|HACK)\b/.exec(String(comment["value"]))?.[1];
          if (found === undefined) continue;
          const node = isNode(comment) ? comment : program;
          context.report({ node, message: `${found}: do it now, or open an issue` });
        }
      },
    };
  },
};
