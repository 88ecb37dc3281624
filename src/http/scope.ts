/**
 * What a token allows. A scope is `admin`, or an action with a pattern of names of databases or
 * lakes: `read:orders`, `write:shop-*`, `ingest:*`. `admin` allows everything; `system`, which holds
 * the hashes of passwords, is for `admin` alone.
 */
import { Failure } from "../base/failure.ts";
import { SCOPES_MAX } from "../base/limits.ts";
import { SYSTEM_DATABASE } from "../epoch/name.ts";

export const ADMIN = "admin";
export const ACTIONS = ["read", "write", "ingest"] as const;
export type Action = typeof ACTIONS[number];

const SHAPE = /^(?:read|write|ingest):(?:[a-z0-9][a-z0-9_-]{0,62}\*?|\*)$/;
const ALLOWED = `${ADMIN}, or read:, write: or ingest: and a name that may end with *, ` +
  'as in "read:shop-*"';

/** Each scope once. Throws `invalid`, without what was found: it may be a password. */
export function parseScopes(value: unknown, path: string): readonly string[] {
  if (!Array.isArray(value)) {
    throw new Failure("invalid", `${path} is not a list; allowed: a list of scopes`);
  }
  if (value.length > SCOPES_MAX) {
    throw new Failure("invalid", `${path} has ${value.length} scopes; at most ${SCOPES_MAX}`);
  }
  value.forEach((scope: unknown, index) => {
    if (!isScope(scope)) {
      throw new Failure("invalid", `${path}[${index}] is not a scope; allowed: ${ALLOWED}`);
    }
    if (ACTIONS.some((action) => scope === `${action}:${SYSTEM_DATABASE}`)) {
      throw new Failure(
        "invalid",
        `${path}[${index}] is ${scope}: the database ${SYSTEM_DATABASE} needs the scope ${ADMIN}`,
      );
    }
  });
  return [...new Set(value as string[])];
}

export function isScope(value: unknown): value is string {
  return value === ADMIN || (typeof value === "string" && SHAPE.test(value));
}

/** The scopes of one token, ready to be asked. */
export class Grants {
  readonly isAdmin: boolean;
  readonly #names = new Map<Action, Set<string>>();
  readonly #beginnings = new Map<Action, string[]>();

  constructor(scopes: readonly string[]) {
    this.isAdmin = scopes.includes(ADMIN);
    for (const action of ACTIONS) {
      const patterns = scopes.filter((scope) => scope.startsWith(`${action}:`))
        .map((scope) => scope.slice(action.length + 1));
      this.#names.set(action, new Set(patterns.filter((pattern) => !pattern.endsWith("*"))));
      this.#beginnings.set(
        action,
        patterns.filter((pattern) => pattern.endsWith("*")).map((pattern) => pattern.slice(0, -1)),
      );
    }
  }

  /** `name` is that of a database or lake. */
  allow(action: Action, name: string): boolean {
    if (this.isAdmin) return true;
    if (name === SYSTEM_DATABASE) return false;
    return this.#names.get(action)?.has(name) === true ||
      this.#beginnings.get(action)?.some((beginning) => name.startsWith(beginning)) === true;
  }
}
