/** NDJSON to batches: a line a row, each read by readers that are compiled once. */
import { shown } from "../../base/shown.ts";
import type { Column } from "../column.ts";
import type { RowBatch } from "../rows.ts";
import { BatchBuilder } from "./batch.ts";
import { mayHaveLong, parseExactly } from "./exact-json.ts";
import { fieldsOf, isObject, type JsonObject, readFields } from "./json-nested.ts";
import { Misfit, rowFailure, rowFault } from "./misfit.ts";
import { rowBlocks } from "./row-blocks.ts";

/** `batchRows` is how many rows a batch has at most. Throws the failure of the first bad row. */
export async function* readJsonRows(
  lines: AsyncIterable<Uint8Array>,
  columns: readonly Column[],
  batchRows: number,
): AsyncGenerator<RowBatch> {
  const fields = fieldsOf(columns);
  const batch = new BatchBuilder(columns, batchRows);
  for await (const objects of jsonObjects(lines)) {
    objects((object, characters) => {
      readFields(object, fields, batch.take);
      batch.endRow(characters);
    });
    yield* batch.takeFull();
  }
  yield* batch.takeLast();
}

/** Calls for each row of a block. What the call throws becomes the failure of its row. */
export type EachObject = (call: (object: JsonObject, characters: number) => void) => void;

/** `long` is false where no line of the block has a long number. */
export type ParseLine = (line: string, long: boolean) => unknown;

const parseExact: ParseLine = (line, long) => parseExactly(line, null, long && mayHaveLong(line));

/** The rows of one block after another. Lines of nothing but white space are no rows. */
export async function* jsonObjects(
  lines: AsyncIterable<Uint8Array>,
  parse: ParseLine = parseExact,
): AsyncGenerator<EachObject> {
  let row = 0;
  for await (const { text, fault } of rowBlocks(lines, "lines")) {
    if (text !== null && NOT_BLANK.test(text)) {
      yield (call) => {
        row = forEachObject(text, row, parse, call);
      };
    }
    if (fault !== null) throw rowFault(row + 1, fault.reason, fault.kind);
  }
}

/** A body may be megabytes of nothing, and they go faster at once than line by line. */
const NOT_BLANK = /[^ \t\r\n]/;

/** The number of the last row. A loop without generators: this is where the time is spent. */
function forEachObject(
  text: string,
  before: number,
  parse: ParseLine,
  call: Parameters<EachObject>[0],
): number {
  const long = mayHaveLong(text);
  let row = before;
  try {
    for (const line of text.split("\n")) {
      if (isBlank(line)) continue;
      row += 1;
      call(objectOf(parse(line, long)), line.length);
    }
  } catch (error) {
    throw rowFailure(row, error);
  }
  return row;
}

function objectOf(value: unknown): JsonObject {
  if (isObject(value)) return value;
  throw new Misfit(null, `it is ${shown(value)}; allowed: an object, a field a column`);
}

const BRACE = 123;

function isBlank(line: string): boolean {
  return line.charCodeAt(0) !== BRACE && /^[ \t\r]*$/.test(line);
}
