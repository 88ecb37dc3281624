/**
 * Arrow tables to Parquet files, by parquet-wasm. Its WebAssembly module is embedded as a file in
 * our executable and instantiated when it is first used. WebAssembly's memory never shrinks; what
 * one file takes is bounded by PARQUET_INPUT_BYTES_MAX, and all of it is free when a call returns.
 */
import { readFileSync } from "node:fs";
import { type Table, tableToIPC } from "apache-arrow";
import {
  Compression,
  EnabledStatistics,
  initSync,
  Table as WasmTable,
  writeParquet,
  WriterPropertiesBuilder,
} from "parquet-wasm/esm";
import modulePath from "parquet-wasm/esm/parquet_wasm_bg.wasm" with { type: "file" };
import { PARQUET_ROW_GROUP_ROWS } from "../../base/lake-limits.ts";
import type { Column } from "../column.ts";
import { encodeColumns } from "./encoding.ts";

/** Undefined until the first file is written. */
let memory: WebAssembly.Memory | undefined;

export function encodeParquet(table: Table, columns: readonly Column[]): Uint8Array {
  memory ??= initSync({ module: readFileSync(modulePath) }).memory;
  const builder = new WriterPropertiesBuilder()
    .setCompression(Compression.ZSTD)
    .setStatisticsEnabled(EnabledStatistics.Chunk)
    .setMaxRowGroupSize(PARQUET_ROW_GROUP_ROWS);
  // Both are given to the writer, which frees them, also when it fails.
  const properties = encodeColumns(builder, columns, table.batches[0]?.data.children).build();
  return writeParquet(WasmTable.fromIPCStream(tableToIPC(table, "stream")), properties);
}

/** What WebAssembly has of this process's memory, for metrics. */
export function encoderMemoryBytes(): number {
  return memory?.buffer.byteLength ?? 0;
}
