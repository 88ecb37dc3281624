/** Imports go down: each layer knows only those below it, and `import type` counts. */
import { heightOf, layerOf, placeOf, resolveImport } from "./place.ts";
import { isNode, type LintContext, type Rule, type SyntaxNode } from "./syntax.ts";

export const importsGoDown: Rule = {
  create(context) {
    const place = placeOf(context);
    const layer = layerOf(place);
    if (layer === undefined) return {};
    const height = heightOf(layer);
    return {
      Program(node) {
        if (height !== undefined) return;
        context.report({ node, message: `src/${layer} is no layer of the design`, hint: HINT });
      },
      ...onImports(context, (node, specifier) => {
        const target = resolveImport(place, specifier);
        if (target === undefined || height === undefined) return;
        const below = layerOf(target);
        if (below === undefined) {
          const message = `${layer} imports ${target}, which is no part of the product`;
          return context.report({ node, message });
        }
        const other = heightOf(below);
        if (below === layer || (other !== undefined && other < height)) return;
        const message = `${layer} must not import ${below}: imports go down`;
        context.report({ node, message, hint: HINT });
      }),
    };
  },
};

const HINT = "declare a port where it is needed and let the layer above pass its implementation in";

/** Calls back for each import, export from, import type and import(). */
export function onImports(
  context: LintContext,
  report: (node: SyntaxNode, specifier: string) => void,
): Record<string, (node: SyntaxNode) => void> {
  const visit = (property: string) => (node: SyntaxNode) => {
    const source = node[property];
    if (!isNode(source)) return;
    const text = context.sourceCode.getText(source);
    if (/^["'`]/.test(text)) report(node, text.slice(1, -1));
  };
  return {
    ImportDeclaration: visit("source"),
    ExportNamedDeclaration: visit("source"),
    ExportAllDeclaration: visit("source"),
    ImportExpression: visit("source"),
    TSImportType: visit("argument"),
  };
}
