/** The command line as operators use it: the compiled binary where there is one, else the sources. */
import { join } from "node:path";

const root = join(import.meta.dir, "../..");

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export function commandLine(args: readonly string[]): string[] {
  const binary = process.env["HEADGATE_BINARY"];
  return [...(binary ? [binary] : [process.execPath, join(root, "main.ts")]), ...args];
}

/** Runs a command to its end. */
export async function headgate(
  args: readonly string[],
  environment: Record<string, string> = {},
): Promise<Ran> {
  const { HEADGATE_TOKEN: _, HEADGATE_URL: __, ...rest } = process.env;
  const child = Bun.spawn(commandLine(args), {
    env: { ...rest, ...environment },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, out, err };
}
