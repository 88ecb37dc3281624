/**
 * Who may do what, on one node: tokens are verified here, by the cluster's secret and by what this
 * node's `system` says was revoked. Changes need the leader, and are in force on it when they are
 * answered; on other nodes as soon as they follow.
 */
import type { Clock } from "../base/clock.ts";
import { withDeadline } from "../base/deadline.ts";
import { describe, Failure } from "../base/failure.ts";
import {
  CLOCK_OFFSET_MS_MAX,
  READ_TIMEOUT_MS,
  REVOCATIONS_LOOK_MS,
  TOKEN_LIFE_MS_MAX,
} from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import type {
  Access,
  Caller,
  Revocations,
  RevokedToken,
  User,
  UserChange,
  Written,
} from "../http/access.ts";
import { unknownCaller } from "../http/denied.ts";
import { type Claims, type MintedToken, mintToken, type TokenRequest } from "../http/token.ts";
import { TokenVerifier } from "../http/token-verifier.ts";
import { AccessRows, type Revoked, type Revoking } from "./access-rows.ts";
import type { Passwords } from "./passwords.ts";
import { notLeading, type SystemDatabase } from "./system-database.ts";

export interface NodeAccessOptions {
  readonly required: boolean;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly passwords: Passwords;
  /** Time of the store minus own clock (I11). */
  clockOffsetMs(): number;
  leads(): boolean;
}

/** What is there once `system` is open. */
interface Opened {
  readonly secret: string;
  readonly system: SystemDatabase;
  readonly rows: AccessRows;
  readonly verifier: TokenVerifier;
}

const NOTHING_REVOKED: Revoked = { epoch: 0, tokens: new Map(), subjects: new Map() };

export class NodeAccess implements Access {
  readonly required: boolean;
  readonly #options: NodeAccessOptions;
  #opened: Opened | null = null;
  #revoked = NOTHING_REVOKED;
  #stopLooking = () => {};
  #isClosed = false;

  constructor(options: NodeAccessOptions) {
    this.required = options.required;
    this.#options = options;
  }

  /** Nothing is verified before this has read what was revoked. */
  async start(secret: string, system: SystemDatabase): Promise<void> {
    const rows = new AccessRows(system);
    this.#revoked = await rows.revoked();
    const verifier = new TokenVerifier({
      secret,
      nowMs: () => this.#storeNowMs(),
      isRevoked: (claims) => this.#isRevoked(claims),
    });
    this.#opened = { secret, system, rows, verifier };
    this.#lookLater();
  }

  close(): void {
    this.#isClosed = true;
    this.#stopLooking();
  }

  verify(token: string): Caller {
    return this.#open.verifier.verify(token);
  }

  async mint(request: TokenRequest): Promise<MintedToken> {
    const { secret } = this.#leading();
    await this.#prove();
    return this.#mintAt(secret, request, this.#storeNowMs());
  }

  async login(name: string, password: string, lifeMs: number): Promise<MintedToken> {
    const { rows, secret } = this.#open;
    // The token is dated before the user is read: a change that comes between ends it.
    const issuedAtMs = this.#storeNowMs();
    const { owner, isRight } = await this.#options.passwords.check(name, password, async () => {
      await this.#prove();
      return await rows.user(name);
    });
    if (owner === null || !isRight) {
      // A name that nobody has is not repeated: people type their password there.
      if (owner !== null) this.#options.log.info("a wrong password", { user: name });
      throw unknownCaller("password_wrong", "Cannot log in: the name or the password is wrong");
    }
    const request = { subject: name, kind: "user", scopes: owner.scopes, lifeMs } as const;
    return this.#mintAt(secret, request, issuedAtMs);
  }

  async revoke(jti: string): Promise<RevokedToken & Written> {
    const { rows } = this.#leading();
    const revoking = this.#revoking();
    const epoch = await rows.revoke(jti, revoking);
    await this.#readRevoked();
    return { jti, until: timeText(revoking.until), epoch };
  }

  async revocations(): Promise<Revocations> {
    const { tokens, subjects } = await this.#open.rows.revoked();
    return {
      tokens: [...tokens].map(([jti, until]) => ({ jti, until: timeText(until) })),
      subjects: [...subjects].map(([subject, { issuedUntil, until }]) => ({
        subject,
        issued_until: timeText(issuedUntil),
        until: timeText(until),
      })),
    };
  }

  async users(): Promise<readonly User[]> {
    return (await this.#open.rows.users()).map(shown);
  }

  async user(name: string): Promise<User> {
    const user = await this.#open.rows.user(name);
    if (user) return shown(user);
    throw new Failure("missing", `There is no user ${name}`);
  }

  async createUser(
    name: string,
    password: string,
    scopes: readonly string[],
  ): Promise<User & Written> {
    const { rows } = this.#leading();
    const passwordHash = await this.#options.passwords.hash(password);
    const created_at = new Date(this.#options.clock.nowMs()).toISOString();
    const user = { name, passwordHash, scopes, created_at };
    const epoch = await rows.addUser(user);
    return { ...shown(user), epoch };
  }

  async changeUser(name: string, change: UserChange): Promise<User & Written> {
    const { rows } = this.#leading();
    const { password, scopes } = change;
    const passwordHash = password === undefined
      ? undefined
      : await this.#options.passwords.hash(password);
    const epoch = await rows.changeUser(name, {
      ...(passwordHash === undefined ? {} : { passwordHash }),
      ...(scopes === undefined ? {} : { scopes }),
    }, this.#revoking());
    await this.#readRevoked();
    return { ...await this.user(name), epoch };
  }

  async removeUser(name: string): Promise<Written> {
    const { rows } = this.#leading();
    const epoch = await rows.removeUser(name, this.#revoking());
    await this.#readRevoked();
    return { epoch };
  }

  /** Throws `unavailable` before `system` is open. */
  get #open(): Opened {
    if (this.#opened) return this.#opened;
    throw new Failure("unavailable", "The node is starting: it knows no users and tokens yet", {
      retryAfterMs: 500,
    });
  }

  #leading(): Opened {
    const opened = this.#open;
    if (this.#options.leads()) return opened;
    throw notLeading(opened.system.replica.ownership?.claim);
  }

  /** What is given out rests on what is true now, and not on what this node last heard. */
  async #prove(): Promise<void> {
    const { clock } = this.#options;
    const { replica } = this.#open.system;
    const deadlineMs = clock.monotonicMs() + READ_TIMEOUT_MS;
    const what = "prove that system is current";
    const tip = await withDeadline(clock, deadlineMs, replica.prove(), what);
    await replica.image.reached(tip, deadlineMs);
    await this.#readRevoked();
  }

  #mintAt(secret: string, request: TokenRequest, atMs: number): MintedToken {
    const ended = request.kind === "user" ? this.#revoked.subjects.get(request.subject) : undefined;
    // Of a user who was changed just now, and whose earlier tokens are refused.
    const issuedAtMs = Math.max(atMs, ((ended?.issuedUntil ?? -1) + 1) * 1000);
    return mintToken(secret, request, { issuedAtMs, random: this.#options.random });
  }

  #isRevoked({ sub, kind, jti, iat }: Claims): boolean {
    if (this.#revoked.tokens.has(jti)) return true;
    const ended = kind === "user" ? this.#revoked.subjects.get(sub) : undefined;
    return ended !== undefined && iat <= ended.issuedUntil;
  }

  #revoking(): Revoking {
    const offsetMs = this.#options.clockOffsetMs();
    const nowMs = this.#storeNowMs();
    return {
      now: Math.floor(nowMs / 1000),
      // A token may be dated ahead by so much.
      until: Math.ceil((nowMs + TOKEN_LIFE_MS_MAX + CLOCK_OFFSET_MS_MAX) / 1000),
      mayForget: Math.abs(offsetMs) <= CLOCK_OFFSET_MS_MAX,
    };
  }

  #storeNowMs(): number {
    return this.#options.clock.nowMs() + this.#options.clockOffsetMs();
  }

  /** What others revoked comes with the epochs of `system`. */
  #lookLater(): void {
    if (this.#isClosed) return;
    this.#stopLooking = this.#options.clock.after(REVOCATIONS_LOOK_MS, async () => {
      try {
        if (this.#open.rows.head !== this.#revoked.epoch) await this.#readRevoked();
      } catch (error) {
        this.#options.log.warn("cannot read what was revoked; what was read before still holds", {
          cause: describe(error),
        });
      }
      this.#lookLater();
    });
  }

  async #readRevoked(): Promise<void> {
    const { rows, verifier } = this.#open;
    if (rows.head === this.#revoked.epoch) return;
    const revoked = await rows.revoked();
    // Another reading, begun later, may have ended before.
    if (revoked.epoch < this.#revoked.epoch) return;
    this.#revoked = revoked;
    verifier.forget();
  }
}

function shown({ name, scopes, created_at }: User): User {
  return { name, scopes, created_at };
}

function timeText(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}
