/** Users and what was revoked, as rows of `system`. */
import { Failure } from "../base/failure.ts";
import { REVOCATIONS_MAX, USERS_MAX } from "../base/limits.ts";
import type { Statement } from "../database/statement.ts";
import type { User } from "../http/access.ts";
import type { SystemDatabase } from "./system-database.ts";

export interface UserRow extends User {
  readonly passwordHash: string;
}

/** Times are seconds of the store. */
export interface Revoked {
  /** Epoch of `system` that this was read at, or before it. */
  readonly epoch: number;
  /** Until when each token's revocation is remembered, by its jti. */
  readonly tokens: ReadonlyMap<string, number>;
  readonly subjects: ReadonlyMap<string, RevokedSubjectRow>;
}

export interface RevokedSubjectRow {
  /** Tokens of the subject that were made until then are refused. */
  readonly issuedUntil: number;
  readonly until: number;
}

export interface Revoking {
  readonly now: number;
  readonly until: number;
  /** False while the own clock and the store's differ: then nothing is forgotten (I11). */
  readonly mayForget: boolean;
}

/**
 * Clocks of nodes that follow the store's differ by its resolution of a second, and then some. A
 * token that a node with a clock ahead made before a user was changed must not seem to come after.
 */
const ISSUED_AHEAD_S = 5;

export class AccessRows {
  readonly #database: SystemDatabase;

  constructor(database: SystemDatabase) {
    this.#database = database;
  }

  /** Epoch of the newest content that can be read. */
  get head(): number {
    return this.#database.replica.image.head.epoch;
  }

  async users(): Promise<UserRow[]> {
    const rows = await this.#database.rows("users", `${SELECT_USERS} ORDER BY name`);
    return rows.map(userOf);
  }

  async user(name: string): Promise<UserRow | null> {
    const [row] = await this.#database.rows("users", `${SELECT_USERS} WHERE name = ?`, [name]);
    return row === undefined ? null : userOf(row);
  }

  /** Throws `conflict` where there is one of that name. */
  async addUser({ name, passwordHash, scopes, created_at }: UserRow): Promise<number> {
    const { epoch, rowsAffected } = await this.#database.change([{
      sql: "INSERT OR IGNORE INTO users (name, password_hash, scopes, created_at) " +
        "SELECT ?, ?, ?, ? WHERE (SELECT count(*) FROM users) < ?",
      params: [name, passwordHash, JSON.stringify(scopes), created_at, USERS_MAX],
    }]);
    if (rowsAffected[0] === 1) return epoch;
    if (await this.user(name) !== null) {
      throw new Failure("conflict", `Cannot create the user ${name}: there is one of that name`);
    }
    throw new Failure(
      "too_large",
      `Cannot create the user ${name}: there are ${USERS_MAX} already`,
    );
  }

  /** Throws `missing`. */
  async changeUser(
    name: string,
    change: { readonly passwordHash?: string; readonly scopes?: readonly string[] },
    revoking: Revoking,
  ): Promise<number> {
    const scopes = change.scopes === undefined ? null : JSON.stringify(change.scopes);
    return await this.#withTokens(name, revoking, {
      sql: "UPDATE users SET password_hash = coalesce(?, password_hash), " +
        "scopes = coalesce(?, scopes) WHERE name = ?",
      params: [change.passwordHash ?? null, scopes, name],
    });
  }

  /** Throws `missing`. */
  async removeUser(name: string, revoking: Revoking): Promise<number> {
    return await this.#withTokens(name, revoking, {
      sql: "DELETE FROM users WHERE name = ?",
      params: [name],
    });
  }

  /** Throws `too_large` where too many are remembered. */
  async revoke(jti: string, revoking: Revoking): Promise<number> {
    const { epoch, rowsAffected } = await this.#database.change([
      ...forgetting(revoking),
      {
        sql: "INSERT INTO revocations (jti, until) " +
          "SELECT ?1, ?2 WHERE (SELECT count(*) FROM revocations) < ?3 " +
          "OR EXISTS (SELECT 1 FROM revocations WHERE jti = ?1) " +
          "ON CONFLICT (jti) DO UPDATE SET until = max(until, excluded.until)",
        params: [jti, revoking.until, REVOCATIONS_MAX],
      },
    ]);
    if (rowsAffected.at(-1) === 1) return epoch;
    throw new Failure(
      "too_large",
      `Cannot revoke the token ${jti}: ${REVOCATIONS_MAX} revoked tokens are remembered already`,
    );
  }

  async revoked(): Promise<Revoked> {
    const epoch = this.head;
    const tokens = await this.#database.rows("revocations", "SELECT jti, until FROM revocations");
    const subjects = await this.#database.rows(
      "revoked_subjects",
      "SELECT subject, issued_until, until FROM revoked_subjects",
    );
    return {
      epoch,
      tokens: new Map(tokens.map(([jti, until]) => [String(jti), Number(until)])),
      subjects: new Map(subjects.map(([subject, issuedUntil, until]) => [
        String(subject),
        { issuedUntil: Number(issuedUntil), until: Number(until) },
      ])),
    };
  }

  /** A change of a user, which ends every token in the user's name. */
  async #withTokens(name: string, revoking: Revoking, statement: Statement): Promise<number> {
    const { epoch, rowsAffected } = await this.#database.change([
      ...forgetting(revoking),
      {
        // A token of somebody who comes back is dated after this, so the next end lies later still.
        sql: "INSERT INTO revoked_subjects (subject, issued_until, until) " +
          "SELECT name, ?, ? FROM users WHERE name = ? ON CONFLICT (subject) DO UPDATE SET " +
          "issued_until = max(excluded.issued_until, issued_until + 1), until = excluded.until",
        params: [revoking.now + ISSUED_AHEAD_S, revoking.until, name],
      },
      statement,
    ]);
    if (rowsAffected.at(-1) === 1) return epoch;
    throw new Failure("missing", `There is no user ${name}`);
  }
}

const SELECT_USERS = "SELECT name, password_hash, scopes, created_at FROM users";

function userOf([name, passwordHash, scopes, createdAt]: readonly unknown[]): UserRow {
  return {
    name: String(name),
    passwordHash: String(passwordHash),
    scopes: JSON.parse(String(scopes)) as string[],
    created_at: String(createdAt),
  };
}

/** No token outlives `until`, so what it says is then of no use. */
function forgetting({ now, mayForget }: Revoking): Statement[] {
  if (!mayForget) return [];
  return ["revocations", "revoked_subjects"].map((table) => ({
    sql: `DELETE FROM ${table} WHERE until < ?`,
    params: [now],
  }));
}
