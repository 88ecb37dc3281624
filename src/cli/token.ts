/** `token create`, `login`, `revoke` and `revoked`. */
import { Failure } from "../base/failure.ts";
import { LOGIN_LIFE_MS_MAX, TOKEN_LIFE_MS, TOKEN_LIFE_MS_MAX } from "../base/limits.ts";
import { durationMs } from "../config/duration.ts";
import type { Revocations, RevokedToken } from "../http/access.ts";
import { parseSubject } from "../http/access-requests.ts";
import { ADMIN, parseScopes } from "../http/scope.ts";
import type { MintedToken, TokenRequest } from "../http/token.ts";
import type { Surroundings } from "../server/surroundings.ts";
import { type ParsedArguments, UsageError } from "./arguments.ts";
import { inBucket, mintIn, namesBucket } from "./bucket.ts";
import { clientOf } from "./client.ts";
import { passwordOf } from "./password.ts";
import { formatTable } from "./table.ts";

const API = "/v1/tokens";

export async function runTokenCreate(args: ParsedArguments, around: Surroundings): Promise<number> {
  const kind = args.text("kind") ?? "user";
  if (kind !== "user" && kind !== "node") {
    throw new UsageError(`--kind is ${kind}; allowed: user, node`);
  }
  const request: TokenRequest = {
    subject: usage(() => parseSubject(args.text("subject") ?? "admin", "--subject")),
    kind,
    scopes: scopesOf(args) ?? [ADMIN],
    lifeMs: lifeOf(args, TOKEN_LIFE_MS_MAX) ?? TOKEN_LIFE_MS,
  };
  const byStore = namesBucket(args);
  if (byStore && args.has("url")) throw new UsageError("Give --store or --url, not both");
  const minted = byStore
    ? await inBucket(args, around, (store, name) => mintIn(store, name, request, around))
    : await clientOf(args, around).json<MintedToken>({
      method: "POST",
      path: API,
      body: {
        subject: request.subject,
        kind: request.kind,
        scopes: request.scopes,
        expires_in_s: request.lifeMs / 1000,
      },
    });
  return printToken(minted, args, around);
}

export async function runTokenLogin(args: ParsedArguments, around: Surroundings): Promise<number> {
  const [name = ""] = args.positionals;
  const lifeMs = lifeOf(args, LOGIN_LIFE_MS_MAX);
  const client = clientOf(args, around);
  const password = await passwordOf(args, around, false);
  const minted = await client.json<MintedToken>({
    method: "POST",
    path: API,
    body: { name, password, ...(lifeMs === undefined ? {} : { expires_in_s: lifeMs / 1000 }) },
  });
  return printToken(minted, args, around);
}

export async function runTokenRevoke(args: ParsedArguments, around: Surroundings): Promise<number> {
  const [operand = ""] = args.positionals;
  const given = operand === "-" ? around.readInput().trim() : operand;
  const jti = jtiOf(given);
  const answer = await clientOf(args, around).json<RevokedToken & { epoch: number }>({
    method: "DELETE",
    path: `${API}/${encodeURIComponent(jti)}`,
  });
  around.write(
    args.has("json") ? `${JSON.stringify(answer)}\n` : `revoked ${jti} in epoch ${answer.epoch}\n`,
  );
  return 0;
}

export async function runTokenRevoked(
  args: ParsedArguments,
  around: Surroundings,
): Promise<number> {
  const { revoked } = await clientOf(args, around).json<{ revoked: Revocations }>({
    method: "GET",
    path: API,
  });
  if (args.has("json")) {
    around.write(`${JSON.stringify({ revoked })}\n`);
    return 0;
  }
  const columns = ["revoked", "made until", "remembered until"];
  const rows = [
    ...revoked.tokens.map(({ jti, until }) => [jti, null, until]),
    ...revoked.subjects.map(({ subject, issued_until, until }) => [
      `all of ${subject}`,
      issued_until,
      until,
    ]),
  ];
  around.write(formatTable({ columns, rows }, around.columns()));
  return 0;
}

/** `--scopes a,b`; an empty text is no scopes. */
export function scopesOf(args: ParsedArguments): readonly string[] | undefined {
  const text = args.text("scopes");
  if (text === undefined) return undefined;
  const scopes = text.split(",").map((scope) => scope.trim()).filter((scope) => scope !== "");
  return usage(() => parseScopes(scopes, "--scopes"));
}

/** The token alone, for a script; what is in it beside, for a person. */
function printToken(minted: MintedToken, args: ParsedArguments, around: Surroundings): number {
  if (args.has("json")) {
    around.write(`${JSON.stringify(minted)}\n`);
    return 0;
  }
  const { token, jti, subject, kind, scopes, expires_at } = minted;
  around.writeError(
    `for the ${kind} ${subject}, scopes ${scopes.join(",") || "none"}, until ${expires_at}; ` +
      `to revoke it: headgate token revoke ${jti}\n`,
  );
  around.write(`${token}\n`);
  return 0;
}

function lifeOf(args: ParsedArguments, mostMs: number): number | undefined {
  const text = args.text("expires");
  if (text === undefined) return undefined;
  const lifeMs = /^\d{1,9}[smhd]$/.test(text) ? durationMs(text) : 0;
  if (lifeMs >= 1000 && lifeMs <= mostMs) return lifeMs;
  throw new UsageError(
    `--expires is ${JSON.stringify(text)}; allowed: 1s to ${mostMs / durationMs("1d")}d, ` +
      "as in 30m, 12h, 90d",
  );
}

/** A token names itself; its signature is not ours to judge. */
function jtiOf(given: string): string {
  const [, claims] = given.split(".");
  if (claims === undefined) return given;
  try {
    const { jti } = JSON.parse(Buffer.from(claims, "base64url").toString("utf8"));
    if (typeof jti === "string") return jti;
  } catch {
    // Said below, without what was given.
  }
  throw new UsageError("What is to be revoked is neither the jti of a token nor a token");
}

/** What is wrong in the command line is wrong usage. */
function usage<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof Failure) throw new UsageError(error.message);
    throw error;
  }
}
