/** A password from the terminal, unseen, or from the input; never from the command line. */
import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import type { Surroundings } from "../server/surroundings.ts";
import { type ParsedArguments, UsageError } from "./arguments.ts";

/** Asks twice where a new one is set, since nobody sees what is typed. */
export async function passwordOf(
  args: ParsedArguments,
  around: Surroundings,
  isNew: boolean,
): Promise<string> {
  if (args.has("password-stdin")) {
    // One line break at the end is echo's.
    const password = around.readInput().replace(/\r?\n$/, "");
    if (password === "") throw new UsageError("There is no password in the input");
    return password;
  }
  if (!around.inputIsTerminal) {
    throw new UsageError("The input is no terminal: give the password with --password-stdin");
  }
  const password = await ask("Password: ", around);
  if (isNew && await ask("Again: ", around) !== password) {
    throw new UsageError("The passwords differ");
  }
  return password;
}

async function ask(prompt: string, around: Surroundings): Promise<string> {
  around.writeError(prompt);
  const unseen = new Writable({ write: (_chunk, _encoding, done) => done() });
  const terminal = createInterface({ input: process.stdin, output: unseen, terminal: true });
  try {
    return await new Promise<string>((resolve, reject) => {
      terminal.once("line", resolve);
      const end = () => reject(new UsageError("No password was given"));
      terminal.once("SIGINT", end);
      terminal.once("close", end);
    });
  } finally {
    terminal.close();
    around.writeError("\n");
  }
}
