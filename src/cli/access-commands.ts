/** The commands for tokens and users. */
import type { OptionSpec } from "./arguments.ts";
import { type Command, URL_OPTIONS } from "./command.ts";
import { CONFIG_OPTIONS } from "./settings.ts";

const SCOPES: OptionSpec = {
  name: "scopes",
  value: "LIST",
  help: "admin, or read:, write:, ingest: and a name, as in read:shop-*,write:orders",
};
const EXPIRES: OptionSpec = {
  name: "expires",
  value: "TIME",
  help: "how long it is good: 30m, 12h, 90d",
};
const PASSWORD_STDIN: OptionSpec = {
  name: "password-stdin",
  help: "read the password from the input instead of asking for it",
};

const TOKEN: readonly Command[] = [
  {
    name: "token create",
    operands: "",
    summary: "make a token",
    about:
      "Prints a new token. With --store, or --config, whoever may read the bucket makes it by\n" +
      "the secret that lies there: the first token of a cluster, and one more when all others are\n" +
      "lost. Without, an admin's token has a node make it. It is good for 30 days and has the\n" +
      "scope admin unless said otherwise.",
    example: "headgate token create --subject ci --scopes read:shop-*,write:orders --expires 90d " +
      "--store s3://my-bucket/prod",
    options: [
      { name: "subject", value: "NAME", help: "whose it is; default admin" },
      { name: "kind", value: "KIND", help: "user or node; default user" },
      SCOPES,
      EXPIRES,
      ...CONFIG_OPTIONS.filter(({ name }) => ["config", "store", "set"].includes(name)),
      ...URL_OPTIONS,
    ],
    count: [0, 0],
    run: async (args, around) => (await import("./token.ts")).runTokenCreate(args, around),
  },
  {
    name: "token login",
    operands: "NAME",
    summary: "get a token for a name and a password",
    about: "Prints a token with the scopes of a user. It is good for 12 hours unless said\n" +
      "otherwise, a day at most. The password is asked for.",
    example: "headgate token login alice --expires 2h",
    options: [PASSWORD_STDIN, EXPIRES, ...URL_OPTIONS],
    count: [1, 1],
    run: async (args, around) => (await import("./token.ts")).runTokenLogin(args, around),
  },
  {
    name: "token revoke",
    operands: "JTI",
    summary: "make a token worthless",
    about:
      "Revokes a token by its jti, which token create --json prints and the log of the node\n" +
      "that made it holds. The token itself is taken too, from the input with -. Every node\n" +
      "refuses it within seconds.",
    example: "headgate token revoke 4f1d0c2b9e8a47d6b3c5a1908e7f6d52",
    options: URL_OPTIONS,
    count: [1, 1],
    run: async (args, around) => (await import("./token.ts")).runTokenRevoke(args, around),
  },
  {
    name: "token revoked",
    operands: "",
    summary: "list what was revoked",
    about: "Lists the tokens that were revoked, and the users whose earlier tokens were.",
    example: "headgate token revoked",
    options: URL_OPTIONS,
    count: [0, 0],
    run: async (args, around) => (await import("./token.ts")).runTokenRevoked(args, around),
  },
];

const USER: readonly Command[] = [
  {
    name: "user create",
    operands: "NAME",
    summary: "create a user",
    about: "Creates a user, whose password is asked for. A user logs in for tokens with these\n" +
      "scopes.",
    example: "headgate user create alice --scopes read:*,write:orders",
    options: [SCOPES, PASSWORD_STDIN, ...URL_OPTIONS],
    count: [1, 1],
    run: async (args, around) => (await import("./user.ts")).runUserCreate(args, around),
  },
  {
    name: "user list",
    operands: "",
    summary: "list the users",
    about: "Lists the users with their scopes.",
    example: "headgate user list",
    options: URL_OPTIONS,
    count: [0, 0],
    run: async (args, around) => (await import("./user.ts")).runUserList(args, around),
  },
  {
    name: "user update",
    operands: "NAME",
    summary: "change a user's scopes or password",
    about:
      "Changes a user. Every token in this name that was made before is worthless from then\n" +
      "on.",
    example: "headgate user update alice --scopes read:*",
    options: [
      SCOPES,
      { name: "password", help: "ask for a new password" },
      PASSWORD_STDIN,
      ...URL_OPTIONS,
    ],
    count: [1, 1],
    run: async (args, around) => (await import("./user.ts")).runUserUpdate(args, around),
  },
  {
    name: "user delete",
    operands: "NAME",
    summary: "delete a user",
    about: "Deletes a user. Every token in this name is worthless from then on.",
    example: "headgate user delete alice",
    options: URL_OPTIONS,
    count: [1, 1],
    run: async (args, around) => (await import("./user.ts")).runUserDelete(args, around),
  },
];

export const ACCESS_COMMANDS: readonly Command[] = [...TOKEN, ...USER];
