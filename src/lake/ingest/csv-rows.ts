/** CSV to batches: the header names the columns, in any order; rows are counted after it. */
import { Failure, type FailureKind } from "../../base/failure.ts";
import { shown } from "../../base/shown.ts";
import type { Column } from "../column.ts";
import type { LakeValue, RowBatch } from "../rows.ts";
import { BatchBuilder } from "./batch.ts";
import { type CsvField, CsvRecords } from "./csv-records.ts";
import { parseExactly } from "./exact-json.ts";
import { unknownColumn } from "./json-nested.ts";
import { jsonReader } from "./json-values.ts";
import { Misfit, misfit, rowFailure, rowFault } from "./misfit.ts";
import { rowBlocks } from "./row-blocks.ts";
import { textValuesOf } from "./text-values.ts";

export async function* readCsvRows(
  body: AsyncIterable<Uint8Array>,
  columns: readonly Column[],
  batchRows: number,
): AsyncGenerator<RowBatch> {
  const batch = new BatchBuilder(columns, batchRows);
  let readers: readonly FieldReader[] = [];
  const begin = (header: readonly string[]) => {
    readers = fieldReaders(columns, header);
  };
  for await (const records of csvRecords(body, begin)) {
    records((fields) => {
      let characters = 0;
      for (let index = 0; index < readers.length; index++) {
        const reader = readers[index];
        if (reader === undefined) break;
        const { at, read } = reader;
        const field = at < 0 ? null : fields[at] ?? null;
        characters += field === null ? 0 : field.length;
        batch.take(index, read(field));
      }
      batch.endRow(characters);
    });
    yield* batch.takeFull();
  }
  yield* batch.takeLast();
}

/** Calls for each record of a block. What the call throws becomes the failure of its row. */
export type EachRecord = (call: (fields: readonly CsvField[]) => void) => void;

/** The records of one block after another, each as long as the header, which `begin` gets first. */
export async function* csvRecords(
  body: AsyncIterable<Uint8Array>,
  begin: (header: readonly string[]) => void,
): AsyncGenerator<EachRecord> {
  let header: readonly string[] | null = null;
  let row = 0;
  for await (const { text, fault } of rowBlocks(body, "records")) {
    if (text !== null) {
      const records = new CsvRecords(text);
      if (header === null) {
        header = headerOf(records);
        begin(header);
      }
      const length = header.length;
      yield (call) => {
        row = forEachRecord(records, row, (fields) => {
          if (fields.length === length) return call(fields);
          throw new Misfit(null, `it has ${fields.length} fields, the header has ${length}`);
        });
      };
    }
    if (fault === null) continue;
    if (header === null) throw wrongHeader(fault.reason, fault.kind);
    throw rowFault(row + 1, fault.reason, fault.kind);
  }
  if (header === null) throw wrongHeader("the body is empty");
}

function forEachRecord(
  records: CsvRecords,
  before: number,
  call: (fields: readonly CsvField[]) => void,
): number {
  let row = before;
  try {
    while (!records.done) {
      row += 1;
      call(records.next());
    }
  } catch (error) {
    throw rowFailure(row, error);
  }
  return row;
}

function headerOf(records: CsvRecords): readonly string[] {
  let fields: readonly CsvField[];
  try {
    fields = records.next();
  } catch (error) {
    if (error instanceof Misfit) throw wrongHeader(error.message);
    throw error;
  }
  const names = fields.map((field) => field ?? "");
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice === undefined) return names;
  throw wrongHeader(`column ${shown(twice)} is there twice`);
}

function wrongHeader(reason: string, kind: FailureKind = "invalid"): Failure {
  return new Failure(kind, `Cannot take the header of the CSV: ${reason}`);
}

interface FieldReader {
  /** Of the field in its record; −1 where the header lacks the column. */
  readonly at: number;
  readonly read: (field: CsvField) => LakeValue;
}

function fieldReaders(columns: readonly Column[], header: readonly string[]): FieldReader[] {
  const names = columns.map((column) => column.name);
  const unknown = header.find((name) => !names.includes(name));
  if (unknown !== undefined) throw wrongHeader(unknownColumn(unknown, names).message);
  return columns.map((column) => ({ at: header.indexOf(column.name), read: fieldReader(column) }));
}

function fieldReader(column: Column): (field: CsvField) => LakeValue {
  const { name, nullable } = column;
  const read = valueReader(column);
  return (field) => {
    if (field !== null) return read(field);
    if (nullable) return null;
    const reason = `column ${JSON.stringify(name)} is empty and must have a value`;
    throw new Misfit(name, reason);
  };
}

function valueReader(column: Column): (text: string) => LakeValue {
  const { name } = column;
  const texts = textValuesOf(column);
  if (texts === null) {
    const read = jsonReader(column);
    return (text) => read(parseExactly(text, name));
  }
  return (text) => {
    const value = texts.read(text);
    if (value === null) throw misfit(name, text, texts.allowed);
    return value;
  };
}
