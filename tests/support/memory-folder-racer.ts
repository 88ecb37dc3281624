/** A process that takes and leaves folders of memory: BASE NAME COUNT. Prints what went wrong, as JSON. */
import { existsSync } from "node:fs";
import { createLog } from "../../src/base/log.ts";
import { openMemoryFolder } from "../../src/server/memory-folder.ts";

const [base = "", name = "", count = "0"] = process.argv.slice(2);
const log = createLog({ level: "error", format: "text", nowMs: () => 0, write: () => {} });
const problems = new Set<string>();
for (let index = 0; index < Number(count); index++) {
  try {
    const folder = openMemoryFolder(base, `${name}-${index}`, log);
    Bun.sleepSync(0.2);
    if (!existsSync(folder.path)) problems.add("the folder is gone while it is in use");
    // Every other one is left behind with its lock held, as by a process that goes on.
    if (index % 2 === 0) folder.remove();
  } catch (error) {
    problems.add(String(error).replaceAll(/\d+/g, "N"));
  }
}
console.log(JSON.stringify([...problems]));
process.exit(0);
