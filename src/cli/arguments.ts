/** argv → options and positionals, by a command's own description of them. */

export interface OptionSpec {
  /** Without dashes: "min-epoch". */
  readonly name: string;
  /** One letter, for "-o". */
  readonly short?: string;
  /** What stands after it in the help, "FILE"; none for an option that is there or not. */
  readonly value?: string;
  readonly help: string;
  /** May be given more than once. */
  readonly many?: boolean;
}

export interface ParsedArguments {
  readonly positionals: readonly string[];
  /** True if an option without a value is there. */
  has(name: string): boolean;
  /** The option's last value. */
  text(name: string): string | undefined;
  /** The option's last value as a whole number from `least`. Throws `UsageError`. */
  whole(name: string, least: number): number | undefined;
  all(name: string): readonly string[];
}

/** Wrong usage: the process prints the message and ends with 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Throws `UsageError` for what the specs do not have, naming the nearest that they do. */
export function parseArguments(
  args: readonly string[],
  specs: readonly OptionSpec[],
): ParsedArguments {
  const positionals: string[] = [];
  const values = new Map<string, string[]>();
  for (let at = 0; at < args.length; at += 1) {
    const argument = args[at] ?? "";
    if (argument === "--") {
      positionals.push(...args.slice(at + 1));
      break;
    }
    if (argument === "-" || !argument.startsWith("-")) {
      positionals.push(argument);
      continue;
    }
    const { spec, shown, inline } = findOption(argument, specs);
    const given = values.get(spec.name) ?? [];
    if (given.length > 0 && spec.many !== true) throw new UsageError(`${shown} is given twice`);
    values.set(spec.name, given);
    if (spec.value === undefined) {
      if (inline !== undefined) throw new UsageError(`${shown} takes no value`);
      given.push("");
      continue;
    }
    const value = inline ?? args[at += 1];
    if (value === undefined) throw new UsageError(`${shown} needs a value: ${shown} ${spec.value}`);
    given.push(value);
  }
  return {
    positionals,
    has: (name) => values.has(name),
    text: (name) => values.get(name)?.at(-1),
    whole: (name, least) => wholeNumber(name, values.get(name)?.at(-1), least),
    all: (name) => values.get(name) ?? [],
  };
}

/** The word that differs least from `wanted`; null when none is near. */
export function nearest(wanted: string, words: readonly string[]): string | null {
  let best: string | null = null;
  let least = Math.max(2, Math.floor(wanted.length / 3)) + 1;
  for (const word of words) {
    const difference = distance(wanted, word);
    if (difference < least) [best, least] = [word, difference];
  }
  return best;
}

function findOption(
  argument: string,
  specs: readonly OptionSpec[],
): { spec: OptionSpec; shown: string; inline: string | undefined } {
  if (!argument.startsWith("--")) {
    const spec = specs.find(({ short }) => short === argument.slice(1));
    if (!spec) throw new UsageError(`There is no option ${argument}`);
    return { spec, shown: argument, inline: undefined };
  }
  const equals = argument.indexOf("=");
  const shown = equals < 0 ? argument : argument.slice(0, equals);
  const spec = specs.find(({ name }) => `--${name}` === shown);
  if (spec) return { spec, shown, inline: equals < 0 ? undefined : argument.slice(equals + 1) };
  const near = nearest(shown, specs.map(({ name }) => `--${name}`));
  const hint = near === null ? "" : `; did you mean ${near}?`;
  throw new UsageError(`There is no option ${shown}${hint}`);
}

function wholeNumber(name: string, value: string | undefined, least: number): number | undefined {
  if (value === undefined) return undefined;
  const number = /^\d{1,15}$/.test(value) ? Number(value) : NaN;
  if (number >= least) return number;
  throw new UsageError(
    `--${name} is ${JSON.stringify(value)}; allowed: a whole number from ${least}`,
  );
}

/** Levenshtein's distance: letters to insert, remove or replace. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
