/**
 * `db shell`: statements as they are typed, tables as they come back. A terminal gets a prompt and a
 * history; anything else is read as a script, line by line.
 */
import { createInterface, type Interface } from "node:readline";
import { isFailure } from "../base/failure.ts";
import type { Surroundings } from "../server/surroundings.ts";
import { type ParsedArguments, UsageError } from "./arguments.ts";
import { clientOf, exitCode } from "./client.ts";
import { openHistory } from "./history.ts";
import { Session } from "./session.ts";
import { splitStatements } from "./split.ts";
import { isTableMode, TABLE_MODES } from "./table.ts";

export async function runShell(args: ParsedArguments, around: Surroundings): Promise<number> {
  const [database = ""] = args.positionals;
  const mode = args.text("mode") ?? "table";
  if (!isTableMode(mode)) {
    throw new UsageError(`--mode is ${mode}; allowed: ${TABLE_MODES.join(", ")}`);
  }
  const session = new Session(clientOf(args, around), around, database, mode);
  await session.check();
  return around.inputIsTerminal ? await prompt(session, around) : await script(session, around);
}

/** Reads what is piped in. Goes on after an error, and says by its exit code that there was one. */
async function script(session: Session, around: Surroundings): Promise<number> {
  let code = 0;
  const reader = new LineReader(session, around, (error) => code = code || exitOf(error));
  for (const line of around.readInput().split("\n")) {
    if (!(await reader.line(line))) return code;
  }
  await reader.end();
  return code;
}

async function prompt(session: Session, around: Surroundings): Promise<number> {
  const history = openHistory(around.environment);
  const terminal = createInterface({
    input: process.stdin,
    output: process.stdout,
    terminal: true,
    history: history.lines(),
    historySize: history.size,
    removeHistoryDuplicates: true,
  });
  around.write(`Connected to ${session.database} at ${session.url}. .help says what there is.\n`);
  const reader = new LineReader(session, around, () => {});
  terminal.on("SIGINT", () => {
    if (session.stopWaiting()) return around.write("^C\n");
    if (!reader.isOpen && terminal.line === "") return terminal.close();
    reader.forget();
    around.write("^C\n");
    terminal.setPrompt(promptOf(session, reader));
    terminal.write(null, { ctrl: true, name: "u" });
    terminal.prompt();
  });
  for await (const line of prompted(terminal, session, reader)) {
    const before = reader.isOpen;
    if (!(await reader.line(line))) break;
    if (!before && !reader.isOpen) history.add(line);
    else if (!reader.isOpen) history.add(reader.lastText);
  }
  terminal.close();
  return 0;
}

/** The lines of a terminal, with the prompt before each. */
async function* prompted(
  terminal: Interface,
  session: Session,
  reader: LineReader,
): AsyncGenerator<string> {
  const lines = terminal[Symbol.asyncIterator]();
  for (;;) {
    terminal.setPrompt(promptOf(session, reader));
    terminal.prompt();
    const next = await lines.next();
    if (next.done) return;
    yield next.value;
  }
}

function promptOf(session: Session, reader: LineReader): string {
  return reader.isOpen ? `${"…".padStart(session.database.length)}> ` : `${session.database}> `;
}

/** Gathers lines into statements and runs each that is complete. */
class LineReader {
  readonly #session: Session;
  readonly #around: Surroundings;
  readonly #onError: (error: unknown) => void;
  #open = "";
  /** The statements that ran last, on one line. */
  lastText = "";

  constructor(session: Session, around: Surroundings, onError: (error: unknown) => void) {
    this.#session = session;
    this.#around = around;
    this.#onError = onError;
  }

  /** True in the middle of a statement. */
  get isOpen(): boolean {
    return this.#open.trim() !== "";
  }

  forget(): void {
    this.#open = "";
  }

  /** False when the shell is to end. */
  async line(line: string): Promise<boolean> {
    if (!this.isOpen && line.trimStart().startsWith(".")) {
      return await this.#guard(() => this.#session.dot(line.trim()));
    }
    const text = this.#open === "" ? line : `${this.#open}\n${line}`;
    const { complete, rest } = splitStatements(text);
    this.#open = rest.trim() === "" ? "" : rest;
    if (complete.length > 0) this.lastText = oneLine(text);
    for (const statement of complete) {
      await this.#guard(() => this.#session.run(statement));
    }
    return true;
  }

  /** A script may leave out the last semicolon. */
  async end(): Promise<void> {
    const last = this.#open;
    this.#open = "";
    if (last.trim() !== "") await this.#guard(() => this.#session.run(last));
  }

  /** Errors are shown and do not end the shell. */
  async #guard(run: () => Promise<boolean>): Promise<boolean> {
    try {
      return await run();
    } catch (error) {
      if (!isFailure(error) && !(error instanceof UsageError)) throw error;
      const kind = isFailure(error) ? `${error.kind}: ` : "";
      // There is one statement, and it is in sight: its place in the request says nothing.
      const message = error.message.replace(/^(statements\[0\]|sql): /, "");
      this.#around.writeError(`${kind}${message}\n`);
      this.#onError(error);
      return true;
    }
  }
}

function exitOf(error: unknown): number {
  return isFailure(error) ? exitCode(error) : 2;
}

/** For the history. A comment to the end of its line would swallow what follows, so such text stays. */
function oneLine(text: string): string {
  return text.includes("--") ? text : text.replace(/\s*\n\s*/g, " ").trim();
}
