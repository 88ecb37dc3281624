/**
 * The columns of a new table, from the first rows of a body.
 *
 * | JSON                                         | column                                         |
 * |----------------------------------------------|------------------------------------------------|
 * | integers                                     | int64; int128 beyond it; float64 beyond that   |
 * | a number with a point or an exponent, a mix  | float64                                        |
 * | true, false                                  | boolean                                        |
 * | strings that are all dates                   | date                                           |
 * | … all timestamps, without or with an offset  | timestamp, timestamptz                         |
 * | other strings, UUIDs too                     | varchar                                        |
 * | arrays                                       | list of what takes all of their elements       |
 * | objects                                      | struct of all of their fields; json where it   |
 * |                                              | has none, or names that columns cannot have    |
 * | nothing but null                             | varchar                                        |
 * | any other mix                                | json                                           |
 *
 * UUIDs stay varchar since the type would change their texts (their case) and refuse the first id
 * of another form. CSV is the same from its texts, except that there are no lists and structs, that
 * any other mix is varchar, and so is an integer beyond 128 bits or one with leading zeros ("007").
 * Arrow has a schema, and its columns are exactly those.
 */
import { INGEST_SAMPLE_BYTES, INGEST_SAMPLE_ROWS } from "../../base/lake-limits.ts";
import type { ColumnWish } from "../column.ts";
import { checkColumns } from "./column-names.ts";
import { csvRecords } from "./csv-rows.ts";
import { parseWithNumberTexts } from "./exact-json.ts";
import type { IngestFormat } from "./format.ts";
import { type Guess, guessOfJson, guessOfText, joined, NOTHING, wishOf } from "./guess.ts";
import { jsonBodyLines } from "./json-body.ts";
import { jsonObjects } from "./json-rows.ts";
import { Sampling } from "./sampling.ts";

export interface Inferred {
  readonly columns: readonly ColumnWish[];
  /** The whole body, to be read in place of the one that was given. */
  readonly body: AsyncIterable<Uint8Array>;
}

/**
 * Reads all of a small body and INGEST_SAMPLE_ROWS or INGEST_SAMPLE_BYTES of a large one; whether
 * the rest fits is for `readRows` to say. Throws `invalid` for a bad row among those, for names
 * that columns cannot have, and when there are no columns.
 */
export async function inferColumns(
  body: AsyncIterable<Uint8Array>,
  format: IngestFormat,
): Promise<Inferred> {
  const sampling = new Sampling(body);
  try {
    const columns = await columnsOf(sampling, format);
    checkColumns(columns);
    return { columns, body: sampling.whole() };
  } catch (error) {
    await sampling.close();
    throw error;
  }
}

function columnsOf(sampling: Sampling, format: IngestFormat): Promise<readonly ColumnWish[]> {
  switch (format) {
    case "ndjson":
      return jsonColumns(sampling, sampling.sample());
    case "json":
      return jsonColumns(sampling, jsonBodyLines(sampling.sample()));
    case "csv":
      return csvColumns(sampling);
    case "arrow":
      return arrowColumns(sampling);
  }
}

/** Arrow's library is loaded when the first such body comes. */
async function arrowColumns(sampling: Sampling): Promise<readonly ColumnWish[]> {
  const arrow = await import("./arrow-rows.ts");
  return await arrow.arrowColumns(sampling.sample());
}

async function jsonColumns(
  sampling: Sampling,
  lines: AsyncIterable<Uint8Array>,
): Promise<readonly ColumnWish[]> {
  const guesses = new Map<string, Guess>();
  let rows = 0;
  for await (const objects of jsonObjects(lines, parseWithNumberTexts)) {
    objects((object) => {
      if (++rows > INGEST_SAMPLE_ROWS) return;
      for (const [name, value] of Object.entries(object)) {
        guesses.set(name, joined(guesses.get(name) ?? NOTHING, guessOfJson(value), "json"));
      }
    });
    if (isEnough(rows, sampling)) break;
  }
  return wishes(guesses);
}

async function csvColumns(sampling: Sampling): Promise<readonly ColumnWish[]> {
  const names: string[] = [];
  let guesses: Guess[] = [];
  let rows = 0;
  const begin = (header: readonly string[]) => {
    names.push(...header);
    guesses = header.map(() => NOTHING);
  };
  for await (const records of csvRecords(sampling.sample(), begin)) {
    records((fields) => {
      if (++rows > INGEST_SAMPLE_ROWS) return;
      guesses = guesses.map((guess, index) => {
        const field = fields[index] ?? null;
        return field === null ? guess : joined(guess, guessOfText(field), "varchar");
      });
    });
    if (isEnough(rows, sampling)) break;
  }
  return names.map((name, index) => wishOf(name, guesses[index] ?? NOTHING));
}

function isEnough(rows: number, sampling: Sampling): boolean {
  return rows >= INGEST_SAMPLE_ROWS || (rows > 0 && sampling.bytes >= INGEST_SAMPLE_BYTES);
}

function wishes(guesses: ReadonlyMap<string, Guess>): readonly ColumnWish[] {
  return [...guesses].map(([name, guess]) => wishOf(name, guess));
}
