/** What a database holds besides the machinery's own tables. */
import type { Image } from "../database/image.ts";

/** True when no client has left anything in it. */
export async function isEmptyDatabase(image: Image): Promise<boolean> {
  return await image.read((database) => {
    const objects = database.query(
      "SELECT count(*) FROM sqlite_schema WHERE tbl_name NOT LIKE '\\_headgate\\_%' ESCAPE '\\'",
    ).values()[0]?.[0];
    const numbers = ["user_version", "application_id"].map((pragma) =>
      database.query(`SELECT * FROM pragma_${pragma}`).values()[0]?.[0]
    );
    return [objects, ...numbers].every((value) => Number(value) === 0);
  });
}
