/**
 * Whether bytes are a flatbuffer of a given shape (FlatBuffers, "Internals"). Who reads one follows
 * offsets and counts without a look at where they lead, so a damaged one makes it read anywhere,
 * or for ever.
 */

/** What stands in one field of a table: bytes of a scalar, or what its offset leads to. */
export type FieldShape =
  | { readonly scalar: 1 | 2 | 4 | 8 }
  /** Two bytes that must be 0. */
  | { readonly scalar: 2; readonly zero: true }
  | { readonly string: true }
  | { readonly table: Shape }
  /** A vector of scalars or of structs of so many bytes. */
  | { readonly items: number }
  | { readonly tables: Shape }
  /** A table whose shape is told by the byte in the field before it. */
  | { readonly union: (kind: number) => Shape };

type Target = Exclude<FieldShape, { readonly scalar: number } | { readonly union: unknown }>;

/** The fields of a table by their ids; a function where a shape is within itself. */
export type Shape = () => Readonly<Record<number, FieldShape>>;

/** Tables may share parts, so that few bytes can be a great many tables. */
const TABLES_MAX = 20_000;
const DEPTH_MAX = 64;

/** Throws a RangeError for bytes that are no flatbuffer whose root is a table of this shape. */
export function checkFlatbuffer(bytes: Uint8Array, shape: Shape): void {
  const checker = new Checker(bytes);
  checker.table(checker.follow(0), shape, 0);
}

class Checker {
  readonly #view: DataView;
  #tables = 0;

  constructor(bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Where an offset leads to. DataView throws a RangeError beyond its end, as all of this does. */
  follow(at: number): number {
    return at + this.#view.getUint32(at, true);
  }

  table(at: number, shape: Shape, depth: number): void {
    this.#tables += 1;
    if (this.#tables > TABLES_MAX || depth > DEPTH_MAX) {
      throw new RangeError("it has too many parts");
    }
    const fields = at - this.#view.getInt32(at, true);
    const fieldsBytes = this.#view.getUint16(fields, true);
    const tableBytes = this.#view.getUint16(fields + 2, true);
    this.#within(fields, fieldsBytes);
    this.#within(at, tableBytes);
    for (const [id, field] of Object.entries(shape())) {
      const entry = 4 + 2 * Number(id);
      if (entry + 2 > fieldsBytes) continue;
      const offset = this.#view.getUint16(fields + entry, true);
      if (offset === 0) continue;
      const bytes = "scalar" in field ? field.scalar : 4;
      if (offset + bytes > tableBytes) throw new RangeError("a field is outside of its table");
      if ("zero" in field && this.#view.getUint16(at + offset, true) !== 0) {
        throw new RangeError(`field ${id} must be 0`);
      }
      if ("scalar" in field) continue;
      const target = this.follow(at + offset);
      if ("union" in field) {
        this.table(target, field.union(this.#kind(at, fields, entry)), depth + 1);
      } else this.#target(target, field, depth);
    }
  }

  /** The byte in the field before the one of this entry, which its own check has found in place. */
  #kind(at: number, fields: number, entry: number): number {
    const offset = this.#view.getUint16(fields + entry - 2, true);
    return offset === 0 ? 0 : this.#view.getUint8(at + offset);
  }

  #target(at: number, field: Target, depth: number): void {
    if ("table" in field) return this.table(at, field.table, depth + 1);
    const count = this.#view.getUint32(at, true);
    const itemBytes = "string" in field ? 1 : "items" in field ? field.items : 4;
    this.#within(at + 4, count * itemBytes);
    if (!("tables" in field)) return;
    for (let item = 0; item < count; item++) {
      this.table(this.follow(at + 4 + 4 * item), field.tables, depth + 1);
    }
  }

  #within(at: number, bytes: number): void {
    if (at >= 0 && at + bytes <= this.#view.byteLength) return;
    throw new RangeError("an offset leads out of it");
  }
}
