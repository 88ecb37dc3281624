/**
 * The content of an older catalog before it becomes the newest. A file that it says is condemned may
 * have been in use since, and such an epoch can be restored as well: so its time begins again.
 */
import { Database } from "bun:sqlite";
import { UNDATE_ALL } from "./catalog/condemned.ts";
import { CONDEMNED_TABLE } from "./catalog/tables.ts";

/** Changes the SQLite file, which is nobody else's; one without a lake's tables stays as it is. */
export function undateCondemned(path: string): void {
  const database = new Database(path);
  try {
    const found = database.query("SELECT 1 FROM sqlite_schema WHERE name = ?").get(CONDEMNED_TABLE);
    if (found !== null) database.run(UNDATE_ALL);
  } finally {
    database.close();
  }
}
