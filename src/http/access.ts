/** What the HTTP routes need to know who may do what. `server/` provides it, tests their own. */
import type { Grants } from "./scope.ts";
import type { MintedToken, SubjectKind, TokenRequest } from "./token.ts";

/** Who asks, and what they may. */
export interface Caller {
  /** The name in the verified token; the subject of idempotency keys. */
  readonly subject: string;
  readonly kind: SubjectKind | "anonymous";
  readonly grants: Grants;
}

export interface Access {
  /** False where everybody may do everything, as `anonymous`. */
  readonly required: boolean;
  /** Throws `denied`, or `unavailable` while the node starts. The hot path: no promise. */
  verify(token: string): Caller;
  /** Needs the leader, like all changes here. */
  mint(request: TokenRequest): Promise<MintedToken>;
  /** A token with the scopes of a user. Rejects with `denied`, or with `busy`. */
  login(name: string, password: string, lifeMs: number): Promise<MintedToken>;
  revoke(jti: string): Promise<RevokedToken & Written>;
  /** As of this node's head. */
  revocations(): Promise<Revocations>;
  users(): Promise<readonly User[]>;
  user(name: string): Promise<User>;
  createUser(name: string, password: string, scopes: readonly string[]): Promise<User & Written>;
  /** Every token in this name that was made before is refused from now on. */
  changeUser(name: string, change: UserChange): Promise<User & Written>;
  removeUser(name: string): Promise<Written>;
}

/** Epoch of `system` in which it was written. */
export interface Written {
  readonly epoch: number;
}

export interface User {
  readonly name: string;
  readonly scopes: readonly string[];
  readonly created_at: string;
}

export interface UserChange {
  readonly password?: string;
  readonly scopes?: readonly string[];
}

export interface RevokedToken {
  readonly jti: string;
  /** Until when this is remembered: no token lives longer. */
  readonly until: string;
}

/** A user who was changed or deleted. */
export interface RevokedSubject {
  readonly subject: string;
  /** Tokens in this name that were made until then are refused. */
  readonly issued_until: string;
  readonly until: string;
}

export interface Revocations {
  readonly tokens: readonly RevokedToken[];
  readonly subjects: readonly RevokedSubject[];
}
