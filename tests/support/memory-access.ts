/** Users and tokens in memory, for tests of routes: real signatures, made-up users, time by hand. */
import { Failure } from "../../src/base/failure.ts";
import { seededRandom } from "../../src/base/random.ts";
import type {
  Access,
  Caller,
  Revocations,
  RevokedToken,
  User,
  UserChange,
  Written,
} from "../../src/http/access.ts";
import { unknownCaller } from "../../src/http/denied.ts";
import { type MintedToken, mintToken, type TokenRequest } from "../../src/http/token.ts";
import { TokenVerifier } from "../../src/http/token-verifier.ts";

const UNTIL = "2027-01-01T00:00:00.000Z";

interface Kept extends User {
  readonly password: string;
}

export class MemoryAccess implements Access {
  required = false;
  readonly secret = "5ec7e75ec7e7".repeat(5) + "5ec7";
  nowMs = Date.UTC(2026, 6, 1);
  readonly revoked = new Set<string>();
  readonly kept = new Map<string, Kept>();
  readonly verifier = new TokenVerifier({
    secret: this.secret,
    nowMs: () => this.nowMs,
    isRevoked: ({ jti }) => this.revoked.has(jti),
  });
  readonly #random = seededRandom(7);

  /** A token for a test's caller. */
  token(scopes: readonly string[], more: Partial<TokenRequest> = {}): string {
    const request = { subject: "alice", kind: "user", lifeMs: 60_000, ...more } as const;
    return this.#mint({ ...request, scopes }).token;
  }

  verify(token: string): Caller {
    return this.verifier.verify(token);
  }

  mint(request: TokenRequest): Promise<MintedToken> {
    return Promise.resolve(this.#mint(request));
  }

  login(name: string, password: string, lifeMs: number): Promise<MintedToken> {
    const user = this.kept.get(name);
    if (user?.password !== password) {
      return Promise.reject(unknownCaller("password_wrong", "Cannot log in"));
    }
    return this.mint({ subject: name, kind: "user", scopes: user.scopes, lifeMs });
  }

  revoke(jti: string): Promise<RevokedToken & Written> {
    this.revoked.add(jti);
    this.verifier.forget();
    return Promise.resolve({ jti, until: UNTIL, epoch: 6 });
  }

  revocations(): Promise<Revocations> {
    return Promise.resolve({
      tokens: [...this.revoked].map((jti) => ({ jti, until: UNTIL })),
      subjects: [],
    });
  }

  users(): Promise<readonly User[]> {
    return Promise.resolve([...this.kept.values()].map(shown));
  }

  // deno-lint-ignore require-await -- what it throws is to be a rejection
  async user(name: string): Promise<User> {
    return shown(this.#existing(name));
  }

  // deno-lint-ignore require-await -- as above
  async createUser(
    name: string,
    password: string,
    scopes: readonly string[],
  ): Promise<User & Written> {
    if (this.kept.has(name)) throw new Failure("conflict", `There is a user ${name} already`);
    const user = { name, password, scopes, created_at: "2026-01-01T00:00:00.000Z" };
    this.kept.set(name, user);
    return { ...shown(user), epoch: 6 };
  }

  // deno-lint-ignore require-await -- as above
  async changeUser(name: string, change: UserChange): Promise<User & Written> {
    const user = { ...this.#existing(name), ...change };
    this.kept.set(name, user);
    return { ...shown(user), epoch: 7 };
  }

  // deno-lint-ignore require-await -- as above
  async removeUser(name: string): Promise<Written> {
    this.#existing(name);
    this.kept.delete(name);
    return { epoch: 8 };
  }

  #mint(request: TokenRequest): MintedToken {
    return mintToken(this.secret, request, { issuedAtMs: this.nowMs, random: this.#random });
  }

  #existing(name: string): Kept {
    const user = this.kept.get(name);
    if (!user) throw new Failure("missing", `There is no user ${name}`);
    return user;
  }
}

function shown({ name, scopes, created_at }: User): User {
  return { name, scopes, created_at };
}
