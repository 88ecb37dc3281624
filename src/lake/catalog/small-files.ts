/** A first look at what may be merged, which is cheap however many files there are. */
import { MERGE_FILES_MIN, MERGE_GROWTH, MERGE_SMALL_BYTES } from "../../base/lake-limits.ts";
import { type CatalogQuery, whole } from "./query.ts";

/** Ids of tables with so many files that are not large. */
export function tablesToMerge(): CatalogQuery<ReadonlySet<number>> {
  return {
    sql: "SELECT table_id FROM ducklake_data_file WHERE end_snapshot IS NULL " +
      "AND file_size_bytes < :bytes GROUP BY table_id HAVING count(*) >= :count",
    params: { bytes: MERGE_SMALL_BYTES / MERGE_GROWTH, count: MERGE_FILES_MIN },
    decode: (rows) => new Set(rows.map(([table]) => whole(table))),
  };
}
