/** The little of deno's syntax tree and lint interface that our rules touch. */

export interface SyntaxNode {
  readonly type: string;
  /** UTF-16 units into the text. */
  readonly range: readonly [number, number];
  readonly parent?: SyntaxNode;
  readonly [property: string]: unknown;
}

export interface LintContext {
  readonly filename: string;
  readonly sourceCode: {
    readonly text: string;
    getText(node: SyntaxNode): string;
    getAllComments(): readonly SyntaxNode[];
  };
  report(finding: {
    readonly node: SyntaxNode;
    readonly message: string;
    readonly hint?: string;
  }): void;
}

export type Visitor = Readonly<Record<string, (node: SyntaxNode) => void>>;

export interface Rule {
  create(context: LintContext): Visitor;
}

export function isNode(value: unknown): value is SyntaxNode {
  return typeof value === "object" && value !== null && "type" in value && "range" in value;
}

/** The name, when the node is an identifier; else "". */
export function nameOf(value: unknown): string {
  return isNode(value) && value.type === "Identifier" ? String(value["name"]) : "";
}

/** `object.property` of a member expression without brackets; else "". */
export function memberOf(node: SyntaxNode): string {
  if (node.type !== "MemberExpression" || node["computed"] === true) return "";
  const object = nameOf(node["object"]);
  return object === "" ? "" : `${object}.${nameOf(node["property"])}`;
}

/** True where an identifier is a key, a member's name or a declaration's, and stands for no value. */
export function isOnlyName(node: SyntaxNode): boolean {
  const parent = node.parent;
  if (parent === undefined) return false;
  if (parent["computed"] === true) return false;
  const { type } = parent;
  return (type === "MemberExpression" && parent["property"] === node) ||
    (type === "Property" && parent["key"] === node) ||
    type === "ImportSpecifier" || type === "MethodDefinition" || type === "PropertyDefinition" ||
    type.startsWith("TS");
}
