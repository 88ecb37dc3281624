import { beforeEach, describe, expect, test } from "bun:test";
import { systemClock } from "../../../src/base/clock.ts";
import { type Deferred, deferred } from "../../../src/base/deferred.ts";
import {
  PASSWORD_PAUSE_MS,
  PASSWORDS_HASHED_MAX,
  PASSWORDS_WAITING_MAX,
} from "../../../src/base/limits.ts";
import { argon2id, type Hasher, NOBODYS_HASH, Passwords } from "../../../src/server/passwords.ts";

let nowMs: number;
const clock = { ...systemClock, monotonicMs: () => nowMs };
beforeEach(() => void (nowMs = 1_000));

/** Hashes that end when the test says so. */
class HeldHasher implements Hasher {
  readonly working: { readonly done: Deferred<boolean>; readonly hash: string }[] = [];

  hash(password: string): Promise<string> {
    return Promise.resolve(`hash of ${password}`);
  }

  verify(_password: string, hash: string): Promise<boolean> {
    const done = deferred<boolean>();
    this.working.push({ done, hash });
    return done.promise;
  }

  async end(isRight: boolean): Promise<void> {
    this.working.shift()?.done.resolve(isRight);
    await Bun.sleep(0);
  }
}

const find = (passwordHash: string | null) => () =>
  Promise.resolve(passwordHash === null ? null : { passwordHash });
const kindOf = (promise: Promise<unknown>) => promise.then(() => "done", (error) => error.kind);

describe("a password", () => {
  test("is hashed by argon2id, and only the right one fits", async () => {
    const passwords = new Passwords(systemClock);
    const hash = await passwords.hash("correct horse battery");
    expect(hash).toStartWith("$argon2id$v=19$m=19456,t=2,p=1$");
    const right = await passwords.check("a", "correct horse battery", find(hash));
    expect(right).toEqual({ owner: { passwordHash: hash }, isRight: true });
    expect((await passwords.check("a", "correct horse batterY", find(hash))).isRight).toBe(false);
  });

  test("of nobody takes as long as one of somebody, and is never right", async () => {
    const own = await argon2id.hash("x".repeat(12));
    const costOf = (hash: string) => hash.split("$").slice(0, 4);
    expect(costOf(NOBODYS_HASH)).toEqual(costOf(own));
    const hasher = new HeldHasher();
    const checked = new Passwords(clock, hasher).check("nobody", "x", find(null));
    await Bun.sleep(0);
    expect(hasher.working.map(({ hash }) => hash)).toEqual([NOBODYS_HASH]);
    await hasher.end(true);
    expect(await checked).toEqual({ owner: null, isRight: false });
  });
});

test("few are looked at at once, few wait, and the rest are told to come again", async () => {
  const hasher = new HeldHasher();
  const passwords = new Passwords(clock, hasher);
  let found = 0;
  const room = PASSWORDS_HASHED_MAX + PASSWORDS_WAITING_MAX;
  const checks = Array.from(
    { length: room },
    (_, index) =>
      passwords.check(`user-${index}`, "x", () => {
        found++;
        return Promise.resolve({ passwordHash: "h" });
      }),
  );
  await Bun.sleep(0);
  // Looking somebody up costs too, so it waits with the rest.
  expect([hasher.working.length, found]).toEqual([PASSWORDS_HASHED_MAX, PASSWORDS_HASHED_MAX]);
  await expect(passwords.check("late", "x", find("h"))).rejects.toMatchObject({
    kind: "busy",
    retryAfterMs: PASSWORD_PAUSE_MS,
  });
  expect(await kindOf(passwords.hash("x").then(() => {}))).toBe("busy");
  for (let index = 0; index < room; index++) {
    expect(hasher.working.length).toBeLessThanOrEqual(PASSWORDS_HASHED_MAX);
    await hasher.end(true);
  }
  for (const check of checks) expect(await check).toMatchObject({ isRight: true });
  expect(await passwords.hash("x")).toBe("hash of x");
});

test("a look-up that fails gives its place to the next", async () => {
  const passwords = new Passwords(clock, new HeldHasher());
  for (let index = 0; index < 3 * PASSWORDS_HASHED_MAX; index++) {
    const check = passwords.check("a", "x", () => Promise.reject(new Error("no store")));
    await expect(check).rejects.toThrow("no store");
  }
});

describe("after a wrong password", () => {
  test("the name waits, also those who asked before it was known to be wrong", async () => {
    const hasher = new HeldHasher();
    const passwords = new Passwords(clock, hasher);
    const guesses = Array.from({ length: 20 }, () => passwords.check("alice", "x", find("h")));
    const kinds = guesses.map(kindOf);
    await Bun.sleep(0);
    while (hasher.working.length > 0) await hasher.end(false);
    const outcomes = await Promise.all(kinds);
    expect(outcomes.filter((kind) => kind === "done")).toHaveLength(PASSWORDS_HASHED_MAX);
    expect(outcomes.filter((kind) => kind === "busy")).toHaveLength(20 - PASSWORDS_HASHED_MAX);

    nowMs += PASSWORD_PAUSE_MS - 1;
    expect(await kindOf(passwords.check("alice", "x", find("h")))).toBe("busy");
    nowMs += 1;
    const next = passwords.check("alice", "x", find("h"));
    await Bun.sleep(0);
    await hasher.end(true);
    expect((await next).isRight).toBe(true);
  });

  test("other names do not wait, and a right one never makes its name wait", async () => {
    const hasher = new HeldHasher();
    const passwords = new Passwords(clock, hasher);
    for (const [name, isRight] of [["a", false], ["b", true], ["b", true]] as const) {
      const check = passwords.check(name, "x", find("h"));
      await Bun.sleep(0);
      await hasher.end(isRight);
      expect((await check).isRight).toBe(isRight);
    }
  });
});
