/**
 * A token → who asks. What was verified is remembered by the token's bytes, so a request costs a
 * look-up; whether the token is still good is asked each time, of the store's clock (I11).
 */
import { CLOCK_OFFSET_MS_MAX, TOKENS_CACHED_MAX } from "../base/limits.ts";
import type { Caller } from "./access.ts";
import { unknownCaller } from "./denied.ts";
import { Grants } from "./scope.ts";
import { type Claims, openToken } from "./token.ts";

export interface TokenVerifierOptions {
  readonly secret: string;
  /** The store's time. */
  nowMs(): number;
  isRevoked(claims: Claims): boolean;
  /** Defaults to `TOKENS_CACHED_MAX`. */
  readonly cachedMax?: number;
}

interface Verified {
  readonly caller: Caller;
  readonly expiresMs: number;
}

export class TokenVerifier {
  readonly #options: TokenVerifierOptions;
  readonly #halfMax: number;
  /** Two halves, the used ones and those used before: no list has to be kept in order. */
  #recent = new Map<string, Verified>();
  #older = new Map<string, Verified>();

  constructor(options: TokenVerifierOptions) {
    this.#options = options;
    this.#halfMax = Math.max(1, Math.floor((options.cachedMax ?? TOKENS_CACHED_MAX) / 2));
  }

  /** Throws `denied`. */
  verify(token: string): Caller {
    const found = this.#recent.get(token) ?? this.#older.get(token) ?? this.#open(token);
    if (this.#options.nowMs() >= found.expiresMs) {
      this.#recent.delete(token);
      this.#older.delete(token);
      throw unknownCaller("token_expired", "The token has expired; get a new one");
    }
    if (!this.#recent.has(token)) this.#keep(token, found);
    return found.caller;
  }

  /** Something was revoked: every token is verified anew. */
  forget(): void {
    this.#recent.clear();
    this.#older.clear();
  }

  get cached(): number {
    return this.#recent.size + this.#older.size;
  }

  #open(token: string): Verified {
    const claims = openToken(this.#options.secret, token);
    if (this.#options.isRevoked(claims)) {
      throw unknownCaller("token_revoked", "The token has been revoked");
    }
    // Somebody's clock is far off; until when it is good would mean nothing.
    if (claims.iat * 1000 > this.#options.nowMs() + CLOCK_OFFSET_MS_MAX) {
      throw unknownCaller("token_invalid", "The token is refused: it was made in the future");
    }
    const { sub, kind, scopes } = claims;
    return {
      caller: { subject: sub, kind, grants: new Grants(scopes) },
      expiresMs: claims.exp * 1000,
    };
  }

  #keep(token: string, verified: Verified): void {
    this.#older.delete(token);
    if (this.#recent.size >= this.#halfMax) {
      this.#older = this.#recent;
      this.#recent = new Map();
    }
    this.#recent.set(token, verified);
  }
}
