/** A command line → a call → an exit code. */
import { isFailure } from "../base/failure.ts";
import { masked } from "../base/masked.ts";
import { processSurroundings, type Surroundings } from "../server/surroundings.ts";
import { nearest, parseArguments, UsageError } from "./arguments.ts";
import { exitCode } from "./client.ts";
import { type Command, commandHelp, optionsOf, overview } from "./command.ts";
import { COMMANDS } from "./commands.ts";

/** Runs one command in this process. Resolves to its exit code. */
export function runCli(args: readonly string[]): Promise<number> {
  return runCommand(args, processSurroundings());
}

export async function runCommand(
  args: readonly string[],
  surroundings: Surroundings,
): Promise<number> {
  let command: Command | null = null;
  try {
    const found = findCommand(args);
    if (typeof found === "string") {
      surroundings.write(found);
      return 0;
    }
    command = found.command;
    return await run(command, found.rest, surroundings);
  } catch (error) {
    if (error instanceof UsageError) {
      const more = command === null ? "headgate help" : `headgate ${command.name} --help`;
      surroundings.writeError(masked(`${error.message}\nSee: ${more}\n`));
      return 2;
    }
    if (!isFailure(error)) throw error;
    const leader = error.leader === undefined ? "" : `\nThe leader is ${error.leader}`;
    surroundings.writeError(masked(`${error.kind}: ${error.message}${leader}\n`));
    return exitCode(error);
  }
}

async function run(
  command: Command,
  rest: readonly string[],
  surroundings: Surroundings,
): Promise<number> {
  if (command.raw) return await command.raw(rest, surroundings);
  const parsed = parseArguments(rest, optionsOf(command));
  if (parsed.has("help")) {
    surroundings.write(commandHelp(command));
    return 0;
  }
  const [least, most] = command.count;
  const given = parsed.positionals.length;
  if (given < least || given > most) {
    // What is too much is not shown: it may be a password.
    const wrong = given > most ? "Something is too much" : "Something is missing";
    throw new UsageError(
      `${wrong}: headgate ${command.name} ${command.operands}`.trimEnd(),
    );
  }
  return await command.run(parsed, surroundings);
}

/** A command with what follows its name, or a text to print. Throws `UsageError`. */
function findCommand(
  args: readonly string[],
): { command: Command; rest: readonly string[] } | string {
  const [first] = args;
  if (first === undefined || first === "help" || first === "--help" || first === "-h") {
    const wanted = args.slice(1).join(" ");
    const named = COMMANDS.find(({ name }) => name === wanted);
    const group = groupOf(wanted);
    return named ? commandHelp(named) : overview(group.length > 0 ? group : COMMANDS);
  }
  if (first === "--version" || first === "-v") return findCommand(["version", ...args.slice(1)]);
  for (const words of [3, 2, 1]) {
    const name = args.slice(0, words).join(" ");
    const command = COMMANDS.find((candidate) => candidate.name === name);
    if (command && args.length >= words) return { command, rest: args.slice(words) };
  }
  const words = args.findIndex((word) => word.startsWith("-"));
  const typed = words < 0 ? args : args.slice(0, words);
  const group = groupOf(typed.join(" "));
  if (group.length > 0) return overview(group);
  // What follows may be a secret: no more is shown than could be a name.
  const known = typed.findLastIndex((_, at) => groupOf(typed.slice(0, at).join(" ")).length > 0);
  const wanted = typed.slice(0, Math.max(1, known + 1)).join(" ") || first;
  const names = COMMANDS.map(({ name }) => name);
  const byLastWord = nearest(wanted, names.map((name) => name.split(" ").at(-1) ?? name));
  const near = nearest(wanted, names) ??
    names.find((name) => name.split(" ").at(-1) === byLastWord);
  const hint = near === undefined ? "" : `; did you mean headgate ${near}?`;
  throw new UsageError(`There is no command headgate ${wanted}${hint}`);
}

/** The commands whose names begin with these words and go on. */
function groupOf(words: string): readonly Command[] {
  return COMMANDS.filter(({ name }) => name.startsWith(`${words} `));
}
