/**
 * Passwords and their hashes (argon2id). A hash takes memory and 40 ms of a core on purpose, so few
 * are worked on at once and few wait; a name that had a wrong password waits a moment before the
 * next, so that guessing is slow however many connections do it.
 */
import type { Clock } from "../base/clock.ts";
import { type Deferred, deferred } from "../base/deferred.ts";
import { Failure } from "../base/failure.ts";
import {
  PASSWORD_MEMORY_KIB,
  PASSWORD_NAMES_MAX,
  PASSWORD_PASSES,
  PASSWORD_PAUSE_MS,
  PASSWORDS_HASHED_MAX,
  PASSWORDS_WAITING_MAX,
} from "../base/limits.ts";

export interface Hasher {
  hash(password: string): Promise<string>;
  verify(password: string, hash: string): Promise<boolean>;
}

/** Works in threads of the runtime. */
export const argon2id: Hasher = {
  hash: (password) =>
    Bun.password.hash(password, {
      algorithm: "argon2id",
      memoryCost: PASSWORD_MEMORY_KIB,
      timeCost: PASSWORD_PASSES,
    }),
  verify: (password, hash) => Bun.password.verify(password, hash),
};

/** Of a password that nobody has: a name that does not exist takes as long as one that does. */
export const NOBODYS_HASH = "$argon2id$v=19$m=19456,t=2,p=1$" +
  "NAICzJpf52DVjn1cHW8CeWZ4/6PoD/uRA6+QFTJ6T/4$wwsGxMUSKLX6vrxKhE1j5UZ2TNt72anM+/BsAx0vgB4";

export class Passwords {
  readonly #clock: Clock;
  readonly #hasher: Hasher;
  readonly #waiting: Deferred<void>[] = [];
  #hashing = 0;
  /** When the next password of a name is looked at, monotonic ms. Oldest first. */
  readonly #pauses = new Map<string, number>();

  constructor(clock: Clock, hasher: Hasher = argon2id) {
    this.#clock = clock;
    this.#hasher = hasher;
  }

  /** Rejects with `busy` when too many wait. */
  hash(password: string): Promise<string> {
    return this.#inTurn(() => this.#hasher.hash(password));
  }

  /**
   * `find` looks up who has the name; it is called when it is this one's turn, so that what it costs
   * is bounded too. Rejects with `busy`.
   */
  async check<Owner extends { readonly passwordHash: string }>(
    name: string,
    password: string,
    find: () => Promise<Owner | null>,
  ): Promise<{ readonly owner: Owner | null; readonly isRight: boolean }> {
    this.#checkPause(name);
    return await this.#inTurn(async () => {
      // One that it waited behind may have been wrong.
      this.#checkPause(name);
      const owner = await find();
      const hash = owner?.passwordHash ?? NOBODYS_HASH;
      const isRight = (await this.#hasher.verify(password, hash)) && owner !== null;
      if (!isRight) this.#pause(name);
      return { owner, isRight };
    });
  }

  #checkPause(name: string): void {
    const leftMs = (this.#pauses.get(name) ?? 0) - this.#clock.monotonicMs();
    if (leftMs > 0) throw busy("one for this name was tried just now", leftMs);
  }

  #pause(name: string): void {
    this.#pauses.delete(name);
    if (this.#pauses.size >= PASSWORD_NAMES_MAX) {
      for (const oldest of this.#pauses.keys()) {
        this.#pauses.delete(oldest);
        break;
      }
    }
    this.#pauses.set(name, this.#clock.monotonicMs() + PASSWORD_PAUSE_MS);
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#hashing >= PASSWORDS_HASHED_MAX) {
      if (this.#waiting.length >= PASSWORDS_WAITING_MAX) {
        throw busy(`${PASSWORDS_WAITING_MAX} wait already`, PASSWORD_PAUSE_MS);
      }
      const turn = deferred<void>();
      this.#waiting.push(turn);
      await turn.promise;
    } else this.#hashing++;
    try {
      return await work();
    } finally {
      // Whoever waited longest takes over the place.
      const next = this.#waiting.shift();
      if (next) next.resolve();
      else this.#hashing--;
    }
  }
}

function busy(why: string, retryAfterMs: number): Failure {
  return new Failure("busy", `Cannot look at the password now: ${why}`, {
    retryAfterMs: Math.ceil(retryAfterMs),
  });
}
