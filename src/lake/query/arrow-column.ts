/** Columns of a chunk as Arrow's, whatever their type; those without children are in `arrow-flat.ts`. */
import {
  DuckDBArrayType,
  type DuckDBArrayValue,
  DuckDBDecimalType,
  type DuckDBDecimalValue,
  DuckDBListType,
  type DuckDBListValue,
  DuckDBMapType,
  type DuckDBMapValue,
  DuckDBStructType,
  type DuckDBStructValue,
  type DuckDBType,
  type DuckDBValue,
} from "@duckdb/node-api";
import * as arrow from "apache-arrow";
import {
  type ArrowColumn,
  decimalColumn,
  flatColumn,
  type FlatColumns,
  isNull,
  textColumn,
  validity,
} from "./arrow-flat.ts";
import { checkNames } from "./json-value.ts";

/** `flat` knows the types without children or parameters, at any depth. */
export function arrowColumn(type: DuckDBType, flat: FlatColumns = flatColumn): ArrowColumn {
  if (type instanceof DuckDBListType || type instanceof DuckDBArrayType) {
    return listColumn(arrowColumn(type.valueType, flat));
  }
  if (type instanceof DuckDBStructType) return structColumn(type, flat);
  if (type instanceof DuckDBMapType) {
    return mapColumn(arrowColumn(type.keyType, flat), arrowColumn(type.valueType, flat));
  }
  if (type instanceof DuckDBDecimalType) {
    return decimalColumn(type.width, type.scale, (value) => (value as DuckDBDecimalValue).value);
  }
  return flat(type) ?? textColumn(type);
}

/** Where each list ends among the items of all, and these items. */
function flattened<Item>(
  values: readonly DuckDBValue[],
  of: (value: DuckDBValue) => readonly Item[],
): { valueOffsets: Int32Array; items: Item[] } {
  const valueOffsets = new Int32Array(values.length + 1);
  const items: Item[] = [];
  for (let row = 0; row < values.length; row++) {
    const value = values[row];
    if (!isNull(value)) { for (const item of of(value)) items.push(item); }
    valueOffsets[row + 1] = items.length;
  }
  return { valueOffsets, items };
}

function listColumn(item: ArrowColumn): ArrowColumn {
  const type = new arrow.List(new arrow.Field("item", item.type, true));
  const itemsOf = (value: DuckDBValue) => (value as DuckDBListValue | DuckDBArrayValue).items;
  return {
    type,
    data: (values) => {
      const { valueOffsets, items } = flattened(values, itemsOf);
      const child = item.data(items);
      return arrow.makeData({ type, ...validity(values), valueOffsets, child });
    },
  };
}

function structColumn(
  { entryNames, entryTypes }: DuckDBStructType,
  flat: FlatColumns,
): ArrowColumn {
  checkNames(entryNames);
  const fields = entryTypes.map((type, at) => ({
    name: entryNames[at] ?? "",
    ...arrowColumn(type, flat),
  }));
  const type = new arrow.Struct(fields.map(({ name, type }) => new arrow.Field(name, type, true)));
  return {
    type,
    data: (values) => {
      const children = fields.map(({ name, data }) =>
        data(values.map((value) => (value as DuckDBStructValue | null)?.entries[name] ?? null))
      );
      return arrow.makeData({ type, ...validity(values), children });
    },
  };
}

function mapColumn(key: ArrowColumn, item: ArrowColumn): ArrowColumn {
  const entries = new arrow.Struct<{ key: arrow.DataType; value: arrow.DataType }>([
    new arrow.Field("key", key.type, false),
    new arrow.Field("value", item.type, true),
  ]);
  const type = new arrow.Map_(new arrow.Field("entries", entries, false));
  return {
    type,
    data: (values) => {
      const { valueOffsets, items } = flattened(
        values,
        (value) => (value as DuckDBMapValue).entries,
      );
      const children = [
        key.data(items.map((entry) => entry.key)),
        item.data(items.map((entry) => entry.value)),
      ];
      const child = arrow.makeData({ type: entries, length: items.length, nullCount: 0, children });
      return arrow.makeData({ type, ...validity(values), valueOffsets, child });
    },
  };
}
