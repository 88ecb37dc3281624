/** Arrow's types as columns, exactly, and which of them fit a column that is there. */
import { DataType, type Field, Type } from "apache-arrow";
import { Failure } from "../../base/failure.ts";
import type { Column, ColumnType, ColumnWish, PlainType } from "../column.ts";
import { INTEGER_RANGES, isIntegerType } from "./digits.ts";

const DECIMAL_DIGITS_MAX = 38;
const UUID_BYTES = 16;
const TIMESTAMPS = ["timestamp_s", "timestamp_ms", "timestamp", "timestamp_ns"] as const;
const FLOATS = ["float32", "float32", "float64"] as const;

/**
 * The column that a field is. Dictionaries are columns of their values, a column of nulls alone is
 * a varchar. Throws `invalid` for types that no column has.
 */
export function wishOfField(field: Field, parent?: string): ColumnWish {
  // A schema may leave a name out, whatever apache-arrow's types say.
  const name = field.name ?? "";
  const path = parent === undefined ? name : `${parent}.${name}`;
  const type = valueType(field.type);
  const plain: ColumnType | null = isUuid(field) ? { name: "uuid" } : plainType(type);
  if (plain !== null) {
    return { name, type: plain, nullable: field.nullable, children: [] };
  }
  if (DataType.isMap(type)) {
    const [key, value] = childFields(type);
    if (key === undefined || value === undefined) throw unsupported(path, type);
    const inner = [renamed(key, "key", path), renamed(value, "value", path)];
    return nested(field, "map", [{ ...at(inner, 0), nullable: false }, at(inner, 1)]);
  }
  const [element] = childFields(type);
  if ((DataType.isList(type) || DataType.isFixedSizeList(type)) && element !== undefined) {
    return nested(field, "list", [renamed(element, "element", path)]);
  }
  if (DataType.isStruct(type) && element !== undefined) {
    const fields = childFields(type).map((child) => wishOfField(child, path));
    return nested(field, "struct", fields);
  }
  throw unsupported(path, type);
}

/** The type of the values, which a dictionary has elsewhere. */
export function valueType(type: DataType): DataType {
  return DataType.isDictionary(type) ? type.dictionary : type;
}

export function isUuid(field: Field): boolean {
  const sixteen = DataType.isFixedSizeBinary(field.type) && field.type.byteWidth === UUID_BYTES;
  return sixteen && field.metadata.get("ARROW:extension:name") === "arrow.uuid";
}

/** `exact`: the bytes are those of the column. `fits`: every value is one of the column's. */
export type Fit = "exact" | "fits";

/** Null when the values of a field are not all values of the column, by their types. */
export function fitOf(column: Column, field: Field): Fit | null {
  if (DataType.isNull(field.type)) return "fits";
  const wish = wishOfField(field);
  const stored = storedAsIs(field);
  if (column.children.length > 0 || wish.children.length > 0) {
    if (column.type.name !== wish.type.name) return null;
    return fitOfChildren(column, valueType(field.type), stored);
  }
  if (isSame(column.type, wish.type)) return stored ? "exact" : "fits";
  return widens(wish.type, column.type) ? "fits" : null;
}

function fitOfChildren(column: Column, type: DataType, stored: boolean): Fit | null {
  const fields = childFields(type);
  const byName = DataType.isStruct(type);
  const fits = column.children.map((child, index) => {
    const field = byName ? fields.find(({ name }) => name === child.name) : fields[index];
    if (field === undefined) return child.nullable ? "fits" : null;
    const fit = fitOf(child, field);
    return fit === "exact" && byName && fields[index] !== field ? "fits" : fit;
  });
  if (fits.includes(null)) return null;
  if (byName && fields.some(({ name }) => column.children.every((child) => child.name !== name))) {
    return null;
  }
  return stored && fits.every((fit) => fit === "exact") ? "exact" : "fits";
}

/** The fields of a list, a struct, or a map: its key and its value. */
export function childFields(type: DataType): readonly Field[] {
  const children = (type.children ?? []) as readonly Field[];
  return DataType.isMap(type) ? (children[0]?.type.children ?? []) as readonly Field[] : children;
}

/** False where a column's bytes differ from Arrow's, though every value is the same. */
function storedAsIs({ type }: Field): boolean {
  if (DataType.isFixedSizeBinary(type) || DataType.isFixedSizeList(type)) return false;
  if (DataType.isDictionary(type) || type.typeId === Type.Null) return false;
  if (DataType.isDate(type)) return type.unit === 0;
  if (DataType.isTime(type)) return type.unit === 2;
  if (DataType.isTimestamp(type) && type.timezone) return type.unit === 2;
  return !(DataType.isFloat(type) && type.precision === 0);
}

function isSame(one: ColumnType, other: ColumnType): boolean {
  if (one.name === "decimal" && other.name === "decimal") {
    return one.precision === other.precision && one.scale === other.scale;
  }
  return one.name === other.name;
}

/** Texts are checked one by one, whether they are what the column takes. */
const WIDENS: Readonly<Partial<Record<PlainType, readonly string[]>>> = {
  float32: ["float64"],
  timestamp_s: ["timestamp_ms", "timestamp"],
  timestamp_ms: ["timestamp"],
  varchar: ["json", "uuid"],
};

function widens(from: ColumnType, to: ColumnType): boolean {
  if (from.name === "decimal" && to.name === "decimal") {
    return to.scale >= from.scale && to.precision - to.scale >= from.precision - from.scale;
  }
  if (isIntegerType(from.name) && isIntegerType(to.name)) {
    const [narrow, wide] = [INTEGER_RANGES[from.name], INTEGER_RANGES[to.name]];
    return narrow.min >= wide.min && narrow.max <= wide.max;
  }
  return WIDENS[from.name as PlainType]?.includes(to.name) === true;
}

function plainType(type: DataType): ColumnType | null {
  if (DataType.isDecimal(type)) {
    const { precision, scale, bitWidth } = type;
    const fits = bitWidth === 128 && scale >= 0 && scale <= precision && precision > 0;
    return fits && precision <= DECIMAL_DIGITS_MAX ? { name: "decimal", precision, scale } : null;
  }
  const name = nameOf(type);
  return name === null ? null : { name };
}

function nameOf(type: DataType): PlainType | null {
  if (DataType.isNull(type) || DataType.isUtf8(type) || DataType.isLargeUtf8(type)) {
    return "varchar";
  }
  if (DataType.isBinary(type) || DataType.isLargeBinary(type)) return "blob";
  if (DataType.isFixedSizeBinary(type)) return type.byteWidth > 0 ? "blob" : null;
  if (DataType.isBool(type)) return "boolean";
  if (DataType.isFloat(type)) return FLOATS[type.precision] ?? null;
  if (DataType.isDate(type)) return "date";
  // Nanoseconds of a day are more than a column keeps.
  if (DataType.isTime(type)) return type.unit <= 2 ? "time" : null;
  if (DataType.isTimestamp(type)) {
    if (!type.timezone) return TIMESTAMPS[type.unit] ?? null;
    return type.unit <= 3 ? "timestamptz" : null;
  }
  if (!DataType.isInt(type)) return null;
  const name = `${type.isSigned ? "int" : "uint"}${type.bitWidth}`;
  return isIntegerType(name) ? name : null;
}

function nested(field: Field, name: "list" | "struct" | "map", children: readonly ColumnWish[]) {
  return { name: field.name ?? "", type: { name }, nullable: field.nullable, children };
}

/** Arrow leaves the names of these to the writer; a table has always the same. */
function renamed(field: Field, name: string, path: string): ColumnWish {
  return { ...wishOfField(field, path), name };
}

function at(wishes: readonly ColumnWish[], index: number): ColumnWish {
  const wish = wishes[index];
  if (wish === undefined) throw new RangeError(`no column ${index}`);
  return wish;
}

function unsupported(path: string, type: DataType): Failure {
  const message = `Cannot take column ${JSON.stringify(path)}: no column has Arrow's type ${
    typeText(type)
  }`;
  return new Failure("invalid", message, { details: { column: path } });
}

/** The type for a message. Nested ones by their name alone: a damaged schema may lack their parts. */
export function typeText(type: DataType): string {
  const { typeId } = valueType(type);
  return NESTED.includes(typeId) ? Type[typeId] ?? "" : `${valueType(type)}`;
}

const NESTED: readonly Type[] = [
  Type.List,
  Type.Struct,
  Type.Map,
  Type.FixedSizeList,
  Type.Dictionary,
];
