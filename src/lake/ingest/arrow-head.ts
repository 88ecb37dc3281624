/** The head of a message of an Arrow stream, checked before anything reads it. */
import { Message, MessageHeader } from "apache-arrow";
import { ARROW_BATCH_ROWS_MAX, ARROW_MESSAGE_BYTES_MAX } from "../../base/lake-limits.ts";
import { checkFlatbuffer, type FieldShape, type Shape } from "./flatbuffer.ts";

/** The tables of Message.fbs and Schema.fbs (Arrow columnar format 1.5). */
const TEXT: FieldShape = { string: true };
const LONG: FieldShape = { scalar: 8 };
const SHORT: FieldShape = { scalar: 2 };
const BYTE: FieldShape = { scalar: 1 };
const WORD: FieldShape = { scalar: 4 };

const keyValue: Shape = () => ({ 0: TEXT, 1: TEXT });
const integer: Shape = () => ({ 0: WORD, 1: BYTE });
const dictionary: Shape = () => ({ 0: LONG, 1: { table: integer }, 2: BYTE, 3: SHORT });
/** Types without parts, and those with numbers alone; reading one that is absent is harmless. */
const plainType: Shape = () => ({});
const decimal: Shape = () => ({ 0: WORD, 1: WORD, 2: WORD });
const sized: Shape = () => ({ 0: WORD });
const united: Shape = () => ({ 0: SHORT, 1: WORD });
const timestamp: Shape = () => ({ 0: SHORT, 1: TEXT });

/** By the number of the type in Schema.fbs. What is not here is refused once it has been read. */
const TYPES: Readonly<Record<number, Shape>> = {
  1: plainType,
  2: integer,
  3: () => ({ 0: SHORT }),
  4: plainType,
  5: plainType,
  6: plainType,
  7: decimal,
  8: () => ({ 0: SHORT }),
  9: united,
  10: timestamp,
  12: plainType,
  13: plainType,
  15: sized,
  16: sized,
  17: () => ({ 0: BYTE }),
  19: plainType,
  20: plainType,
};

const field: Shape = () => ({
  0: TEXT,
  1: BYTE,
  2: BYTE,
  3: { union: typeShape },
  4: { table: dictionary },
  5: { tables: field },
  6: { tables: keyValue },
});

function typeShape(kind: number): Shape {
  const shape = TYPES[kind];
  if (shape === undefined) throw new UnknownType(kind);
  return shape;
}

const schema: Shape = () => ({
  // Little-endian, as everything that reads the buffers takes for granted.
  0: { scalar: 2, zero: true },
  1: { tables: field },
  2: { tables: keyValue },
  3: { items: 8 },
});
const compression: Shape = () => ({ 0: BYTE, 1: BYTE });
const recordBatch: Shape = () => ({
  0: LONG,
  1: { items: 16 },
  2: { items: 16 },
  3: { table: compression },
  4: { items: 8 },
});
const dictionaryBatch: Shape = () => ({ 0: LONG, 1: { table: recordBatch }, 2: BYTE });
const HEADERS: Readonly<Record<number, Shape>> = {
  [MessageHeader.Schema]: schema,
  [MessageHeader.DictionaryBatch]: dictionaryBatch,
  [MessageHeader.RecordBatch]: recordBatch,
};

const message: Shape = () => ({
  0: SHORT,
  1: BYTE,
  2: { union: headerShape },
  3: LONG,
  4: { tables: keyValue },
});

function headerShape(kind: number): Shape {
  const shape = HEADERS[kind];
  if (shape === undefined) throw new RangeError(`a message is of kind ${kind}`);
  return shape;
}

/** Types that no column has: unions, intervals, durations, 64-bit lists, views, run ends. */
class UnknownType extends Error {
  constructor(kind: number) {
    super(`a field is of Arrow's type ${TYPE_NAMES[kind] ?? kind}, which no column can have`);
  }
}

const TYPE_NAMES: Readonly<Record<number, string>> = {
  11: "Interval",
  14: "Union",
  18: "Duration",
  21: "LargeList",
  22: "RunEndEncoded",
  23: "BinaryView",
  24: "Utf8View",
  25: "ListView",
  26: "LargeListView",
};

/** The bytes of the message's body. Throws an Error that says what is wrong with the head. */
export function checkHead(bytes: Uint8Array): number {
  checkFlatbuffer(bytes, message);
  const { bodyLength, headerType, header } = read(bytes);
  if (!(bodyLength >= 0 && bodyLength <= ARROW_MESSAGE_BYTES_MAX)) {
    throw new Error(`a message has ${bodyLength} bytes; allowed: ${ARROW_MESSAGE_BYTES_MAX}`);
  }
  if (headerType === MessageHeader.Schema) return bodyLength;
  const batch = header as BatchHead | { readonly data: BatchHead };
  checkBatch("data" in batch ? batch.data : batch, bodyLength);
  return bodyLength;
}

/** What apache-arrow makes of the head of a batch. */
interface BatchHead {
  readonly length: number;
  readonly nodes: readonly { readonly length: number; readonly nullCount: number }[];
  readonly buffers: readonly { readonly offset: number; readonly length: number }[];
  readonly compression: unknown;
}

function read(bytes: Uint8Array) {
  const decoded = Message.decode(bytes);
  const { bodyLength, headerType } = decoded;
  return { bodyLength, headerType, header: decoded.header() as unknown };
}

function checkBatch({ length, nodes, buffers, compression }: BatchHead, bodyBytes: number): void {
  if (compression !== null && compression !== undefined) {
    throw new Error("its buffers are compressed; compress the whole body (Content-Encoding)");
  }
  if (!(length >= 0 && length <= ARROW_BATCH_ROWS_MAX)) {
    throw new Error(`a batch has ${length} rows; allowed: ${ARROW_BATCH_ROWS_MAX}`);
  }
  // No value has less than a bit, but for types that have no buffer at all.
  const valuesMax = Math.max(length, bodyBytes * 8);
  for (const node of nodes) {
    const { nullCount } = node;
    if (
      node.length >= 0 && node.length <= valuesMax && nullCount >= 0 && nullCount <= node.length
    ) {
      continue;
    }
    throw new Error(
      `a column has ${node.length} values and ${nullCount} nulls in ${bodyBytes} bytes`,
    );
  }
  for (const { offset, length: bytes } of buffers) {
    if (offset >= 0 && bytes >= 0 && offset + bytes <= bodyBytes) continue;
    throw new Error(`a buffer is outside of its message`);
  }
}
