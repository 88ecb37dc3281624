/** A token for an admin, made by the command line from the bucket alone. */
import { join } from "node:path";

export async function mintedByBucket(store: string): Promise<string> {
  const binary = process.env["HEADGATE_BINARY"];
  const program = binary ? [binary] : [process.execPath, join(import.meta.dir, "../../main.ts")];
  const child = Bun.spawn([...program, "token", "create", "--store", store], {
    cwd: "/",
    stdout: "pipe",
    stderr: "inherit",
  });
  const text = await new Response(child.stdout).text();
  if ((await child.exited) !== 0) throw new Error(`no token from ${store}`);
  return text.trim();
}
