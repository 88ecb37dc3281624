import { expect, test } from "bun:test";
import { createLog } from "../../../src/base/log.ts";
import { masked } from "../../../src/base/masked.ts";
import { signToken } from "../../../src/http/token.ts";

const SECRET = "0123456789abcdef".repeat(4);
const TOKEN = signToken(SECRET, {
  sub: "alice",
  kind: "user",
  jti: "0123456789abcdef",
  iat: 1,
  exp: 2,
  scopes: ["admin"],
});

test("a token is masked whole, and any beginning of it", () => {
  expect(masked(`no such column: ${TOKEN}.`)).toBe("no such column: [token].");
  for (let length = 12; length < TOKEN.length; length++) {
    expect(masked(`"${TOKEN.slice(0, length)}…"`)).toBe('"[token]…"');
  }
});

test("a token's signature is masked alone, as a parser of SQL shows it", () => {
  const signature = TOKEN.split(".")[2];
  expect(masked(`unrecognized token: "${signature}"`)).toBe('unrecognized token: "[token]"');
  const long = "a_column_whose_name_has_forty_three_letters_";
  expect(masked(`no such column: ${long.slice(0, 43)}`)).toBe(
    `no such column: ${long.slice(0, 43)}`,
  );
});

test("a key is masked, also where a message cut it off", () => {
  expect(masked(`x=${SECRET}`)).toBe("x=[key]");
  expect(masked(`"${SECRET.slice(0, 58)}…`)).toBe('"[key]…');
});

test("what people need to read stays", () => {
  const text =
    "epoch 000000000000001a-000000000000001a.ltx of eyJ, id 0123456789abcdef0123456789abcdef";
  expect(masked(text)).toBe(text);
});

test("a log line holds neither, in its message or its fields", () => {
  for (const format of ["text", "json"] as const) {
    const lines: string[] = [];
    const log = createLog({
      level: "debug",
      format,
      nowMs: () => 0,
      write: (line) => lines.push(line),
    });
    log.debug(`met ${TOKEN}`, { path: `/v1/${TOKEN}` });
    log.with({ secret: SECRET }).error("x");
    expect(lines.join("\n")).not.toContain(TOKEN.slice(0, 20));
    expect(lines.join("\n")).not.toContain(SECRET.slice(0, 20));
    expect(lines).toHaveLength(2);
  }
});
