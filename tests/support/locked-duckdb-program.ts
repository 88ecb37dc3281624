/**
 * Runs statements in a locked DuckDB without the gate before it, to show what the lock alone holds.
 * Arguments: a folder to work in, a Parquet file; on standard input statements as a JSON list, on
 * standard output what each gave, in the same order.
 */
import { column, table } from "./lake-queries.ts";
import { LockedDuckdb } from "../../src/lake/query/locked-duckdb.ts";

const [folder = "", file = ""] = Bun.argv.slice(2);
const statements = JSON.parse(await Bun.stdin.text()) as string[];
process.chdir(folder);
const said: string[] = [];
for (const sql of statements) {
  const duckdb = await LockedDuckdb.open({ memoryBytesMax: 256 * 1024 * 1024, threads: 1 });
  await duckdb.lock([{ ...table("t", [column(1, "a", "int32")], [file]), initialDefaults: {} }]);
  try {
    const reader = await duckdb.connection.runAndReadAll(sql);
    said.push(JSON.stringify(reader.getRowsJson()));
  } catch (error) {
    said.push(`failed: ${String(error)}`);
  }
  duckdb.close();
}
console.log(JSON.stringify(said));
