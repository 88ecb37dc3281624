/**
 * Arrow streams to rows, or to Arrow batches that are just as a table's columns are. Columns are
 * matched by name; their types must fit by what they can hold, not by what they happen to hold.
 */
import {
  type Data,
  DataType,
  type Field,
  makeData,
  RecordBatch,
  RecordBatchReader,
  Schema,
  Struct,
} from "apache-arrow";
import { Failure, isFailure } from "../../base/failure.ts";
import { shown } from "../../base/shown.ts";
import type { Column, ColumnWish } from "../column.ts";
import type { LakeValue, RowBatch } from "../rows.ts";
import { arrowData, arrowField, retyped } from "./arrow-build.ts";
import { arrowMessages, damaged } from "./arrow-messages.ts";
import { checkSound, Unsound } from "./arrow-sound.ts";
import { type Fit, fitOf, typeText, wishOfField } from "./arrow-types.ts";
import { type ArrowReader, arrowReader } from "./arrow-values.ts";
import { unknownColumn } from "./json-nested.ts";
import { Misfit, rowFailure, rowFault } from "./misfit.ts";

/** Exactly the columns that the stream's schema says; not checked whether a table may have them. */
export async function arrowColumns(body: AsyncIterable<Uint8Array>): Promise<ColumnWish[]> {
  const { fields, close } = await opened(body);
  try {
    return fields.map((field) => wishOfField(field));
  } finally {
    await close();
  }
}

/** Rows in batches of at most `batchRows`. Throws like `readRows`. */
export async function* readArrowRows(
  body: AsyncIterable<Uint8Array>,
  columns: readonly Column[],
  batchRows: number,
): AsyncGenerator<RowBatch> {
  for await (const { batch, places, before } of checkedBatches(body, columns)) {
    const readers = readersOf(columns, batch, places);
    for (let from = 0; from < batch.numRows; from += batchRows) {
      const rows = Math.min(batchRows, batch.numRows - from);
      const vectors = vectorsOf(readers, from, rows, before);
      yield { columns, rows, vectors };
    }
  }
}

/**
 * The stream's batches with the table's columns in their order: columns of the same type with
 * the buffers that came, others converted, those that the stream lacks filled with nulls. `int128` is Arrow's
 * decimal(38, 0), `uuid` its fixed-size binary, `json` its text. Throws like `readRows`.
 */
export async function* readArrow(
  body: AsyncIterable<Uint8Array>,
  columns: readonly Column[],
): AsyncGenerator<RecordBatch> {
  const schema = new Schema(columns.map(arrowField));
  const type = new Struct(schema.fields);
  for await (const { batch, places, before } of checkedBatches(body, columns)) {
    const readers = readersOf(columns, batch, places);
    const children = columns.map((column, index): Data => {
      const { at, fit } = places[index] ?? ABSENT;
      const data = batch.data.children[at];
      if (fit === "exact" && data !== undefined) return retyped(column, data);
      const values = vectorsOf(readers.slice(index, index + 1), 0, batch.numRows, before)[0] ?? [];
      return arrowData(column, values);
    });
    const data = makeData({ type, length: batch.numRows, nullCount: 0, children });
    yield new RecordBatch(schema, data);
  }
}

interface Place {
  /** Of the stream's column; −1 where it has none. */
  readonly at: number;
  readonly fit: Fit;
}

interface CheckedBatch {
  readonly batch: RecordBatch;
  readonly places: readonly Place[];
  /** Rows of the batches before. */
  readonly before: number;
}

const ABSENT: Place = { at: -1, fit: "fits" };

/** Batches whose every value is sound and, where there must be one, not null. */
async function* checkedBatches(
  body: AsyncIterable<Uint8Array>,
  columns: readonly Column[],
): AsyncGenerator<CheckedBatch> {
  const { fields, next, close } = await opened(body);
  try {
    const places = placesOf(columns, fields);
    let before = 0;
    for (let batch = await next(); batch !== null; batch = await next()) {
      if (batch.numRows === 0) continue;
      checkBatch(batch, fields, before);
      checkPresent(batch, columns, places, before);
      yield { batch, places, before };
      before += batch.numRows;
    }
  } finally {
    await close();
  }
}

interface Opened {
  readonly fields: readonly Field[];
  /** The next batch, null after the last. */
  readonly next: () => Promise<RecordBatch | null>;
  /** To be called in the end: apache-arrow leaves the body open. */
  readonly close: () => Promise<unknown>;
}

async function opened(body: AsyncIterable<Uint8Array>): Promise<Opened> {
  const messages = arrowMessages(body);
  const close = () => messages.return(undefined);
  try {
    const reader = await guarded(async () => (await RecordBatchReader.from(messages)).open());
    if (reader.schema === undefined) throw damaged("it has no schema");
    const next = async () => {
      const { done, value } = await guarded(async () => await reader.next());
      return done === true ? null : value;
    };
    return { fields: reader.schema.fields, next, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** What apache-arrow throws of a stream that our checks let pass is the stream's fault too. */
async function guarded<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (isFailure(error)) throw error;
    throw damaged(error instanceof Error ? error.message : String(error), "invalid", error);
  }
}

function placesOf(columns: readonly Column[], fields: readonly Field[]): readonly Place[] {
  const names = columns.map(({ name }) => name);
  for (const [at, { name }] of fields.entries()) {
    if (!names.includes(name)) throw refused(unknownColumn(name ?? "", names));
    if (fields.findIndex((field) => field.name === name) === at) continue;
    throw refused(new Misfit(name, `column ${shown(name)} is there twice`));
  }
  return columns.map((column) => {
    const at = fields.findIndex(({ name }) => name === column.name);
    const field = fields[at];
    if (field === undefined) {
      if (column.nullable) return ABSENT;
      throw refused(
        new Misfit(column.name, `column ${shown(column.name)} is missing and must have a value`),
      );
    }
    const fit = fitOf(column, field);
    if (fit !== null) return { at, fit };
    const wanted = columnText(column);
    const reason = `column ${shown(column.name)} is ${
      typeText(field.type)
    }; allowed: what fits ${wanted}`;
    throw refused(new Misfit(column.name, reason));
  });
}

function columnText({ type, children }: Column): string {
  if (type.name === "decimal") return `decimal(${type.precision},${type.scale})`;
  return children.length === 0 ? type.name : `${type.name}(${children.map(columnText).join(", ")})`;
}

function refused({ message, column }: Misfit): Failure {
  return new Failure("invalid", `Cannot take the Arrow stream: ${message}`, {
    details: { column },
  });
}

function checkBatch(batch: RecordBatch, fields: readonly Field[], before: number): void {
  for (const [at, data] of batch.data.children.entries()) {
    const name = fields[at]?.name ?? "";
    try {
      if (data.length !== batch.numRows) {
        throw new Unsound(0, `there are ${data.length} values in ${batch.numRows} rows`);
      }
      checkSound(data);
    } catch (error) {
      if (!(error instanceof Unsound)) throw error;
      const reason = `column ${shown(name)}: ${error.message}`;
      throw rowFault(before + error.index + 1, reason, "invalid", name);
    }
  }
}

/** Only where a value must be is every row looked at: the rest is in Arrow's own count of nulls. */
function checkPresent(
  batch: RecordBatch,
  columns: readonly Column[],
  places: readonly Place[],
  before: number,
): void {
  for (const [index, column] of columns.entries()) {
    const data = batch.data.children[places[index]?.at ?? -1];
    if (data === undefined || !demands(column)) continue;
    if (column.children.length === 0 && data.nullCount === 0 && !hidesNulls(data)) continue;
    vectorsOf([arrowReader(column, data)], 0, batch.numRows, before);
  }
}

/** Nulls may be where the count of nulls does not say it. */
function hidesNulls({ type }: Data): boolean {
  return DataType.isNull(type) || DataType.isDictionary(type);
}

function demands({ nullable, children }: Column): boolean {
  return !nullable || children.some(demands);
}

function readersOf(
  columns: readonly Column[],
  batch: RecordBatch,
  places: readonly Place[],
): readonly ArrowReader[] {
  return columns.map((column, index) =>
    arrowReader(column, batch.data.children[places[index]?.at ?? -1])
  );
}

/** Row by row, so that the failure is the first row's. */
function vectorsOf(
  readers: readonly ArrowReader[],
  from: number,
  rows: number,
  before: number,
): LakeValue[][] {
  const vectors: LakeValue[][] = readers.map(() => []);
  let row = from;
  try {
    for (; row < from + rows; row++) {
      for (let index = 0; index < readers.length; index++) {
        vectors[index]?.push(readers[index]?.(row) ?? null);
      }
    }
  } catch (error) {
    throw rowFailure(before + row + 1, error);
  }
  return vectors;
}
