/**
 * The footer of a Parquet file: what each column takes, and where the bytes stand that say how a
 * column is to be understood (apache/parquet-format, src/main/thrift/parquet.thrift).
 */
import { Failure } from "../../base/failure.ts";
import { type ThriftField, ThriftReader } from "./thrift.ts";

/** "PAR1", with which a file begins and ends. */
const MAGIC = 0x31524150;
/** The footer's length and the magic, which follow the footer. */
export const FOOTER_TAIL_BYTES = 8;

/** One column without children, over all row groups. */
export interface FooterLeaf {
  /** Places for a value: nulls, and one for a list that is null or empty. */
  values: number;
  /** Compressed, with the headers of the pages. */
  bytes: number;
}

/** Where the parts of a schema element stand; undefined where it lacks the part. */
export interface FooterElement {
  fieldId: number | undefined;
  convertedTypeAt: number | undefined;
  logicalTypeAt: number | undefined;
  /** The byte that ends the element. */
  endAt: number;
}

export interface Footer {
  /** Where it begins and, without its tail, ends. */
  readonly begin: number;
  readonly end: number;
  readonly rows: number;
  /** In the order of the schema, depth first. */
  readonly leaves: readonly FooterLeaf[];
  readonly elements: readonly FooterElement[];
  /** The pairs of names and values, with the header of their field; undefined where there are none. */
  readonly pairs: { readonly begin: number; readonly end: number } | undefined;
}

/** Of a whole file in memory. Throws `corrupt`. */
export function readFooter(file: Uint8Array): Footer {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const end = file.length - FOOTER_TAIL_BYTES;
  if (end < 4 || view.getUint32(end + 4, true) !== MAGIC) {
    throw new Failure("corrupt", `Cannot read a Parquet file of ${file.length} bytes: no PAR1`);
  }
  const begin = end - view.getUint32(end, true);
  if (begin < 4) {
    throw new Failure("corrupt", `Cannot read a Parquet file of ${file.length} bytes: its footer`);
  }
  const reader = new ThriftReader(file, begin);
  const leaves: FooterLeaf[] = [];
  const elements: FooterElement[] = [];
  let rows = 0;
  let pairs: Footer["pairs"];
  // FileMetaData: 2 schema, 3 num_rows, 4 row_groups, 5 key_value_metadata.
  reader.struct((field) => {
    if (field.id === 2) reader.list(() => elements.push(readElement(reader)));
    else if (field.id === 3) rows = reader.integer();
    else if (field.id === 4) reader.list(() => readRowGroup(reader, leaves));
    else if (field.id === 5) pairs = readPairs(reader, field);
    else return false;
    return true;
  });
  return { begin, end, rows, leaves, elements, pairs };
}

/** SchemaElement: 6 converted_type, 9 field_id, 10 logicalType. */
function readElement(reader: ThriftReader): FooterElement {
  const element: FooterElement = {
    fieldId: undefined,
    convertedTypeAt: undefined,
    logicalTypeAt: undefined,
    endAt: 0,
  };
  reader.struct((field) => {
    if (field.id === 6) element.convertedTypeAt = reader.at;
    if (field.id === 10) element.logicalTypeAt = reader.at;
    if (field.id !== 9) return false;
    element.fieldId = reader.integer();
    return true;
  });
  element.endAt = reader.at;
  reader.at += 1;
  return element;
}

/** RowGroup: 1 columns. ColumnChunk: 3 meta_data. */
function readRowGroup(reader: ThriftReader, leaves: FooterLeaf[]): void {
  reader.wholeStruct((group) => {
    if (group.id !== 1) return false;
    reader.list((index) => {
      const leaf = leaves[index] ??= { values: 0, bytes: 0 };
      reader.wholeStruct((chunk) => {
        if (chunk.id !== 3) return false;
        readChunk(reader, leaf);
        return true;
      });
    });
    return true;
  });
}

/** ColumnMetaData: 5 num_values, 7 total_compressed_size. */
function readChunk(reader: ThriftReader, leaf: FooterLeaf): void {
  reader.wholeStruct((field) => {
    if (field.id === 5) leaf.values += reader.integer();
    else if (field.id === 7) leaf.bytes += reader.integer();
    else return false;
    return true;
  });
}

function readPairs(reader: ThriftReader, field: ThriftField): Footer["pairs"] {
  reader.list(() => reader.wholeStruct(() => false));
  return { begin: field.at, end: reader.at };
}
