/** `version`: what exactly this binary is. */
import { Database } from "bun:sqlite";
import { COMMIT, VERSION } from "../base/version.ts";
import type { Surroundings } from "../server/surroundings.ts";
import type { ParsedArguments } from "./arguments.ts";

export function runVersion(args: ParsedArguments, around: Surroundings): Promise<number> {
  const database = new Database(":memory:");
  const row = database.query<{ version: string }, []>("SELECT sqlite_version() AS version").get();
  database.close();
  const facts = {
    version: VERSION,
    commit: COMMIT,
    bun: Bun.version,
    sqlite: row?.version ?? "unknown",
    platform: `${process.platform}-${process.arch}`,
  };
  around.write(
    args.has("json")
      ? `${JSON.stringify(facts)}\n`
      : `headgate ${facts.version} (${facts.commit}), Bun ${facts.bun}, SQLite ${facts.sqlite}, ` +
        `${facts.platform}\n`,
  );
  return Promise.resolve(0);
}
