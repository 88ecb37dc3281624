/** What was typed into the shell, kept between its runs in the XDG state folder. */
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";

export interface History {
  readonly size: number;
  /** Newest first. */
  lines(): string[];
  /** A file that cannot be written is no reason to end a shell. */
  add(line: string): void;
}

const SIZE = 1_000;

export function openHistory(environment: Readonly<Record<string, string | undefined>>): History {
  const home = environment["HOME"] || homedir();
  const state = environment["XDG_STATE_HOME"] || join(home, ".local", "state");
  const path = join(state, "headgate", "shell_history");
  const kept = read(path);
  if (kept.length > SIZE * 2) write(path, kept.slice(-SIZE));
  let last = kept.at(-1);
  return {
    size: SIZE,
    lines: () => kept.slice(-SIZE).reverse(),
    add: (line) => {
      if (line.trim() === "" || line.includes("\n") || line === last) return;
      last = line;
      try {
        mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
        appendFileSync(path, `${line}\n`, { mode: 0o600 });
      } catch {
        // Read-only homes exist; the shell works without a history.
      }
    },
  };
}

function read(path: string): string[] {
  try {
    return readFileSync(path, "utf8").split("\n").filter((line) => line !== "");
  } catch {
    return [];
  }
}

function write(path: string, lines: readonly string[]): void {
  try {
    writeFileSync(path, `${lines.join("\n")}\n`, { mode: 0o600 });
  } catch {
    // As above.
  }
}
