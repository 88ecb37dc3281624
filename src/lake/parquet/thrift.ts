/**
 * Reads Thrift's compact protocol, in which a Parquet file's footer is written, as far as that needs:
 * fields are visited or skipped, nothing is built
 * (apache/thrift, doc/specs/thrift-compact-protocol.md).
 */
import { Failure } from "../../base/failure.ts";

/** Types of fields and of the elements of lists. */
export const THRIFT = {
  true: 1,
  false: 2,
  byte: 3,
  i16: 4,
  i32: 5,
  i64: 6,
  double: 7,
  binary: 8,
  list: 9,
  set: 10,
  map: 11,
  struct: 12,
} as const;

export interface ThriftField {
  readonly id: number;
  readonly type: number;
  /** Where its header begins, which says the id as a difference to that of the field before. */
  readonly at: number;
}

export class ThriftReader {
  readonly #bytes: Uint8Array;
  at: number;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.at = at;
  }

  /** A signed integer of any width. Beyond 2^53 it is not exact. */
  integer(): number {
    const value = this.#varint();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  /**
   * Calls `visit` for each field of the struct that begins here, and ends on the byte that ends it.
   * `visit` returns true when it has read the value; else the value is skipped.
   */
  struct(visit: (field: ThriftField) => boolean): void {
    let id = 0;
    for (;;) {
      const at = this.at;
      const header = this.#byte();
      if (header === 0) {
        this.at = at;
        return;
      }
      const type = header & 15;
      const difference = header >> 4;
      id = difference === 0 ? this.integer() : id + difference;
      if (!visit({ id, type, at })) this.skip(type);
    }
  }

  /** Past the struct that begins here. */
  wholeStruct(visit: (field: ThriftField) => boolean): void {
    this.struct(visit);
    this.at += 1;
  }

  /** Calls `visit`, which reads the element, for each one of the list that begins here. */
  list(visit: (index: number) => void): void {
    const { length } = this.#listHeader();
    for (let index = 0; index < length; index++) visit(index);
  }

  /** The bytes that were read since `begin`. */
  since(begin: number): Uint8Array {
    return this.#bytes.subarray(begin, this.at);
  }

  #listHeader(): { readonly length: number; readonly type: number } {
    const header = this.#byte();
    const length = header >> 4;
    return { length: length === 15 ? this.#varint() : length, type: header & 15 };
  }

  /** Past the value of this type that begins here. */
  skip(type: number): void {
    switch (type) {
      case THRIFT.true:
      case THRIFT.false:
        return;
      case THRIFT.byte:
        this.at += 1;
        return;
      case THRIFT.i16:
      case THRIFT.i32:
      case THRIFT.i64:
        this.#varint();
        return;
      case THRIFT.double:
        this.at += 8;
        return;
      case THRIFT.binary: {
        const length = this.#varint();
        this.at += length;
        return;
      }
      case THRIFT.list:
      case THRIFT.set:
        return this.#skipList();
      case THRIFT.struct:
        return this.wholeStruct(() => false);
      default:
        throw this.#corrupt(`a field of type ${type}`);
    }
  }

  #skipList(): void {
    const { length, type } = this.#listHeader();
    // Booleans have no byte of their own as fields, but one each in lists.
    const elementType = type === THRIFT.true || type === THRIFT.false ? THRIFT.byte : type;
    for (let index = 0; index < length; index++) this.skip(elementType);
  }

  #varint(): number {
    let value = 0;
    let factor = 1;
    for (;;) {
      const byte = this.#byte();
      value += (byte & 127) * factor;
      if (byte < 128) return value;
      factor *= 128;
    }
  }

  #byte(): number {
    const byte = this.#bytes[this.at];
    if (byte === undefined) throw this.#corrupt("it ends there");
    this.at += 1;
    return byte;
  }

  #corrupt(why: string): Failure {
    return new Failure("corrupt", `Cannot read a Parquet footer: at byte ${this.at}: ${why}`);
  }
}
