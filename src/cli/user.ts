/** `user create`, `list`, `update` and `delete`. */
import type { User, Written } from "../http/access.ts";
import type { Surroundings } from "../server/surroundings.ts";
import { type ParsedArguments, UsageError } from "./arguments.ts";
import { clientOf } from "./client.ts";
import { passwordOf } from "./password.ts";
import { formatTable } from "./table.ts";
import { scopesOf } from "./token.ts";

const API = "/v1/users";

export async function runUserCreate(args: ParsedArguments, around: Surroundings): Promise<number> {
  const [name = ""] = args.positionals;
  const scopes = scopesOf(args);
  if (scopes === undefined) throw new UsageError("Say what the user may do: --scopes LIST");
  const client = clientOf(args, around);
  const password = await passwordOf(args, around, true);
  const user = await client.json<User & Written>({
    method: "POST",
    path: API,
    body: { name, password, scopes },
  });
  const text = `created the user ${user.name} in epoch ${user.epoch}\n`;
  around.write(args.has("json") ? `${JSON.stringify(user)}\n` : text);
  return 0;
}

export async function runUserList(args: ParsedArguments, around: Surroundings): Promise<number> {
  const { users } = await clientOf(args, around).json<{ users: User[] }>({
    method: "GET",
    path: API,
  });
  if (args.has("json")) {
    around.write(`${JSON.stringify({ users })}\n`);
    return 0;
  }
  const rows = users.map(({ name, scopes, created_at }) => [name, scopes.join(","), created_at]);
  around.write(formatTable({ columns: ["name", "scopes", "created"], rows }, around.columns()));
  return 0;
}

export async function runUserUpdate(args: ParsedArguments, around: Surroundings): Promise<number> {
  const [name = ""] = args.positionals;
  const scopes = scopesOf(args);
  const client = clientOf(args, around);
  const hasPassword = args.has("password") || args.has("password-stdin");
  if (scopes === undefined && !hasPassword) {
    throw new UsageError("Say what to change: --scopes LIST, --password or both");
  }
  const user = await client.json<User & Written>({
    method: "PATCH",
    path: userPath(name),
    body: {
      ...(scopes === undefined ? {} : { scopes }),
      ...(hasPassword ? { password: await passwordOf(args, around, true) } : {}),
    },
  });
  const text = `changed the user ${name} in epoch ${user.epoch}; tokens made before are refused\n`;
  around.write(args.has("json") ? `${JSON.stringify(user)}\n` : text);
  return 0;
}

export async function runUserDelete(args: ParsedArguments, around: Surroundings): Promise<number> {
  const [name = ""] = args.positionals;
  const answer = await clientOf(args, around).json<Written>({
    method: "DELETE",
    path: userPath(name),
  });
  const text = `deleted the user ${name} in epoch ${answer.epoch}; tokens of ${name} are refused\n`;
  around.write(args.has("json") ? `${JSON.stringify(answer)}\n` : text);
  return 0;
}

function userPath(name: string): string {
  return `${API}/${encodeURIComponent(name)}`;
}
