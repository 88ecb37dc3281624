/**
 * One Parquet file out of several of one row group each, made while they come: the pages of each go
 * out as they are, and only the footer is kept, which says where they stand now
 * (apache/parquet-format, src/main/thrift/parquet.thrift). The page indexes of the files are left
 * out. All files have the same schema.
 */
import { assert } from "../../base/assert.ts";
import { readFooter } from "./footer.ts";
import { THRIFT, ThriftReader } from "./thrift.ts";
import { copyStruct, encodeInteger, encodeList } from "./thrift-copy.ts";

/** "PAR1", with which a file begins and ends. */
const MAGIC = Buffer.from("PAR1");
const MAGIC_BYTES = MAGIC.length;

export class JoinedParquet {
  /** Footer of the first file without its row group: the schema, and who wrote it. */
  #first: Uint8Array | null = null;
  readonly #groups: Uint8Array[] = [];
  #footerBytes = 0;
  #rows = 0;
  /** Where the next pages will stand. */
  #at = MAGIC_BYTES;

  get groups(): number {
    return this.#groups.length;
  }

  /** Of the row groups in the footer. */
  get footerBytes(): number {
    return this.#footerBytes;
  }

  /** Takes the row group of a whole file; gives the bytes that the joined file goes on with. */
  add(file: Uint8Array): Uint8Array {
    const { begin, rows } = readFooter(file);
    const reader = new ThriftReader(file, begin);
    const change = new GroupChange(this.#groups.length, this.#at - MAGIC_BYTES);
    const groups: Uint8Array[] = [];
    const rest = copyStruct(reader, ({ id }) => {
      if (id !== 4) return "copied";
      reader.list(() => groups.push(change.group(reader)));
      return encodeList(THRIFT.struct, []);
    });
    const [group] = groups;
    assert(group !== undefined && groups.length === 1, `one row group, not ${groups.length}`);
    assert(change.pagesEnd <= begin, "pages stand before the footer");
    const from = this.#first === null ? 0 : MAGIC_BYTES;
    this.#first ??= rest;
    this.#groups.push(group);
    this.#footerBytes += group.length;
    this.#rows += rows;
    this.#at += change.pagesEnd - MAGIC_BYTES;
    return file.subarray(from, change.pagesEnd);
  }

  /** The rest of the file, which has one row group at least. */
  end(): Uint8Array {
    assert(this.#first !== null, "a joined file has a row group");
    const reader = new ThriftReader(this.#first, 0);
    // FileMetaData: 3 num_rows, 4 row_groups.
    const footer = copyStruct(reader, ({ id, type }) => {
      if (id !== 3 && id !== 4) return "copied";
      reader.skip(type);
      return id === 3 ? encodeInteger(this.#rows) : encodeList(THRIFT.struct, this.#groups);
    });
    const length = Buffer.alloc(4);
    length.writeUInt32LE(footer.length);
    return Buffer.concat([footer, length, MAGIC]);
  }
}

/** A row group of a file of its own, as the `ordinal`th of another file, `shift` bytes later. */
class GroupChange {
  readonly #ordinal: number;
  readonly #shift: number;
  /** In its own file. */
  pagesEnd = MAGIC_BYTES;

  constructor(ordinal: number, shift: number) {
    this.#ordinal = ordinal;
    this.#shift = shift;
  }

  /** RowGroup: 1 columns, 5 file_offset, 7 ordinal. */
  group(reader: ThriftReader): Uint8Array {
    return copyStruct(reader, ({ id }) => {
      if (id === 5) return this.#moved(reader);
      if (id === 7) {
        reader.integer();
        return encodeInteger(this.#ordinal);
      }
      if (id !== 1) return "copied";
      const chunks: Uint8Array[] = [];
      reader.list(() => chunks.push(this.#chunk(reader)));
      return encodeList(THRIFT.struct, chunks);
    });
  }

  /**
   * ColumnChunk: 2 file_offset, which is 0 since it is deprecated, 3 meta_data, 4 to 7 where its
   * part of the page indexes stands.
   */
  #chunk(reader: ThriftReader): Uint8Array {
    return copyStruct(reader, ({ id }) => {
      if (id === 3) return this.#metadata(reader);
      if (id >= 4 && id <= 7) return "dropped";
      assert(id === 2, `a column chunk has no field ${id}`);
      return "copied";
    });
  }

  /**
   * ColumnMetaData: 7 total_compressed_size, 9 data_page_offset, 11 dictionary_page_offset. There
   * are no index pages (10) and no Bloom filters (14, 15).
   */
  #metadata(reader: ThriftReader): Uint8Array {
    let bytes = 0;
    let pagesBegin = Infinity;
    const copy = copyStruct(reader, ({ id }) => {
      if (id === 7) {
        bytes = reader.integer();
        return encodeInteger(bytes);
      }
      if (id !== 9 && id !== 11) {
        assert(id < 10 || id === 12 || id === 13 || id > 15, `a column has no field ${id}`);
        return "copied";
      }
      const at = reader.integer();
      pagesBegin = Math.min(pagesBegin, at);
      return encodeInteger(at + this.#shift);
    });
    assert(pagesBegin === this.pagesEnd, "the pages of a column follow those of the one before");
    this.pagesEnd += bytes;
    return copy;
  }

  #moved(reader: ThriftReader): Uint8Array {
    return encodeInteger(reader.integer() + this.#shift);
  }
}
