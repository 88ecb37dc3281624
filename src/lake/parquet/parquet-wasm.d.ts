/** Imported with `type: "file"`: where the module is, inside our executable too. */
declare module "parquet-wasm/esm/parquet_wasm_bg.wasm" {
  const path: string;
  export default path;
}
