/**
 * Times in a catalog: `2024-01-15 12:30:00.123+00`. The real DuckLake writes its session's offset,
 * with or without minutes, and leaves out zeros at the end, so times are compared as milliseconds.
 */

/** SQL for milliseconds since 1970 of such a text; null for null. */
export function timeMs(column: string): string {
  // SQLite wants the minutes of an offset.
  const text = `CASE WHEN substr(${column}, -3, 1) IN ('+', '-') ` +
    `THEN ${column} || ':00' ELSE ${column} END`;
  return `CAST(round(unixepoch(${text}, 'subsec') * 1000) AS INTEGER)`;
}

/** SQL for the text of milliseconds since 1970. */
export function timeText(ms: string): string {
  return `strftime('%Y-%m-%d %H:%M:%f+00', ${ms} / 1000.0, 'unixepoch')`;
}
