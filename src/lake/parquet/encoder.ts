/** Arrow tables to Parquet files, by parquet-wasm, each at most of PARQUET_INPUT_BYTES_MAX. */
import { type Table, tableToIPC } from "apache-arrow";
import {
  Compression,
  EnabledStatistics,
  Table as WasmTable,
  writeParquet,
  WriterPropertiesBuilder,
} from "parquet-wasm/esm";
import { PARQUET_ROW_GROUP_ROWS } from "../../base/lake-limits.ts";
import { encodeColumns } from "./encoding.ts";
import { startParquet } from "./wasm.ts";

export function encodeParquet(table: Table): Uint8Array {
  startParquet();
  const builder = new WriterPropertiesBuilder()
    .setCompression(Compression.ZSTD)
    .setStatisticsEnabled(EnabledStatistics.Chunk)
    .setMaxRowGroupSize(PARQUET_ROW_GROUP_ROWS);
  // Both are given to the writer, which frees them, also when it fails.
  const properties = encodeColumns(
    builder,
    table.schema.fields,
    table.batches[0]?.data.children,
  ).build();
  return writeParquet(WasmTable.fromIPCStream(tableToIPC(table, "stream")), properties);
}
