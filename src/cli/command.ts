/** What a command is, and its help. */
import type { Surroundings } from "../server/surroundings.ts";
import type { OptionSpec, ParsedArguments } from "./arguments.ts";

export interface Command {
  /** As typed: "db query". */
  readonly name: string;
  /** After the name: "NAME [SQL]". */
  readonly operands: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** Sentences for the command's own help. */
  readonly about: string;
  readonly example: string;
  readonly options: readonly OptionSpec[];
  /** How many positionals it takes. */
  readonly count: readonly [least: number, most: number];
  /** Resolves to the exit code; throws `Failure` or `UsageError`. */
  run(args: ParsedArguments, surroundings: Surroundings): Promise<number>;
  /** Set where the command reads its arguments itself, its help included. */
  readonly raw?: (args: readonly string[], surroundings: Surroundings) => Promise<number>;
}

export const URL_OPTIONS: readonly OptionSpec[] = [
  {
    name: "url",
    value: "URL",
    help: "address of a node; else HEADGATE_URL, http://127.0.0.1:8080",
  },
  { name: "token", value: "TOKEN", help: "who you are; else HEADGATE_TOKEN" },
  {
    name: "token-file",
    value: "FILE",
    help: "file that holds the token; else HEADGATE_TOKEN_FILE",
  },
  { name: "json", help: "print JSON, for programs" },
];

const URLS_HELP = "addresses of nodes, with commas or given again; else HEADGATE_URL";

/** For commands that any of several nodes may answer: one that does not is not the only one. */
export const URLS_OPTIONS: readonly OptionSpec[] = URL_OPTIONS.map((option) =>
  option.name === "url" ? { ...option, many: true, help: URLS_HELP } : option
);

export const PARAM: OptionSpec = {
  name: "param",
  short: "p",
  value: "VALUE",
  many: true,
  help: "value of the next ?, or :name=value; JSON where it is JSON, else text",
};
export const TIMEOUT: OptionSpec = {
  name: "timeout",
  value: "MS",
  help: "give up after so many ms",
};

const HELP_OPTION: OptionSpec = { name: "help", short: "h", help: "print this" };

export function optionsOf(command: Command): readonly OptionSpec[] {
  return [...command.options, HELP_OPTION];
}

export function commandHelp(command: Command): string {
  const usage = `headgate ${command.name} ${command.operands}`.trimEnd();
  const rows = optionsOf(command).map((option) => [optionText(option), option.help] as const);
  return `${usage}\n\n${command.about}\n\nExample:\n  ${command.example}\n\nOptions:\n${
    columns(rows)
  }`;
}

export function overview(commands: readonly Command[]): string {
  const rows = commands.map((command) => [command.name, command.summary] as const);
  return "headgate: replicated SQL databases and lakes that live in one bucket\n\n" +
    `Usage: headgate COMMAND …\n\n${columns(rows)}\n` +
    "headgate COMMAND --help says more. Exit codes: 0 done, 1 failed, 2 wrong usage,\n" +
    "3 not the leader or unavailable, 4 uncertain (it may have been done).\n";
}

function optionText(option: OptionSpec): string {
  const short = option.short === undefined ? "    " : `-${option.short}, `;
  return `${short}--${option.name}${option.value === undefined ? "" : ` ${option.value}`}`;
}

function columns(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}\n`).join("");
}
