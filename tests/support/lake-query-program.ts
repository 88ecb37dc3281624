/**
 * A program that queries: compiled as the product is, it shows that DuckDB comes out of the
 * executable. Arguments: a folder, a statement, how many such programs' worth of queries at once.
 */
import { join } from "node:path";
import { systemClock } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import { runChild } from "../../src/database/child-main.ts";
import { createChildren } from "../../src/database/child-process.ts";
import { nativeBinding } from "../../src/lake/query/native-binding.ts";
import { LakeQueries } from "../../src/lake/query/queries.ts";

if (Bun.argv[2] === "__child") {
  await runChild(Bun.argv[3], Bun.argv[4], {
    query: () => import("../../src/lake/query/query-child.ts"),
  });
} else {
  const [folder = "", sql = ""] = Bun.argv.slice(2);
  const children = createChildren({
    command: [process.execPath],
    clock: systemClock,
    log: silentLog,
    directory: join(folder, "children"),
  });
  const queries = new LakeQueries({
    children,
    clock: systemClock,
    folder: join(folder, "queries"),
    binding: nativeBinding(String(process.pid)),
  });
  try {
    const deadlineMs = systemClock.monotonicMs() + 30_000;
    const { body } = await queries.query({ sql, tables: [], format: "json", deadlineMs });
    for await (const piece of body) process.stdout.write(piece);
  } catch (error) {
    console.log(String(error));
  }
  await queries.close();
  await children.close();
  process.exit(0);
}
