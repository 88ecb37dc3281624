/**
 * parquet-wasm's WebAssembly module, embedded as a file in our executable and instantiated when it is
 * first used. WebAssembly's memory never shrinks; what one file takes is bounded by its limits, and
 * all of it is free when a call returns.
 */
import { readFileSync } from "node:fs";
import { initSync } from "parquet-wasm/esm";
import modulePath from "parquet-wasm/esm/parquet_wasm_bg.wasm" with { type: "file" };

/** Undefined until the first file is written or read. */
let memory: WebAssembly.Memory | undefined;

export function startParquet(): void {
  memory ??= initSync({ module: readFileSync(modulePath) }).memory;
}

/** What WebAssembly has of this process's memory, for metrics. */
export function parquetMemoryBytes(): number {
  return memory?.buffer.byteLength ?? 0;
}
