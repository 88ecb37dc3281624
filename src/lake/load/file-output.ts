/** Rows on their way into Parquet files: as vectors until there are enough of them for a file. */
import type { Data } from "apache-arrow";
import { rmSync, writeFileSync } from "node:fs";
import { LOAD_FILE_BYTES_MAX, PARQUET_ROWS_MAX } from "../../base/lake-limits.ts";
import type { DataFile } from "../catalog/data-files.ts";
import { statisticsRows } from "../catalog/statistics.ts";
import type { Column } from "../column.ts";
import { sizeOf, writeVectors } from "../parquet/write.ts";
import type { LoadedFile, Output } from "./message.ts";

/** A place in the output, to come back to. */
export interface Mark {
  readonly files: number;
  readonly batches: number;
}

export class FileOutput {
  readonly #columns: readonly Column[];
  readonly #output: Output;
  readonly #batches: { readonly vectors: readonly Data[]; readonly bytes: number }[] = [];
  readonly #written: { readonly loaded: LoadedFile; readonly data: DataFile }[] = [];
  #files = 0;

  constructor(columns: readonly Column[], output: Output) {
    this.#columns = columns;
    this.#output = output;
  }

  /** Throws `too_large` for a batch that no file can hold. */
  add(vectors: readonly Data[]): void {
    const bytes = sizeOf(vectors);
    const { rows, size } = this.#waiting();
    const isFull = rows + lengthOf(vectors) > PARQUET_ROWS_MAX ||
      size + bytes > LOAD_FILE_BYTES_MAX;
    if (rows > 0 && isFull) this.#write();
    this.#batches.push({ vectors, bytes });
  }

  mark(): Mark {
    return { files: this.#files, batches: this.#batches.length };
  }

  /** False when some of what came after the mark is in a file already. */
  backTo(mark: Mark): boolean {
    if (mark.files !== this.#files) return false;
    this.#batches.length = mark.batches;
    return true;
  }

  /** All files; none where there are no rows. */
  finish(): { readonly loaded: readonly LoadedFile[]; readonly data: readonly DataFile[] } {
    if (this.#batches.length > 0) this.#write();
    return {
      loaded: this.#written.map(({ loaded }) => loaded),
      data: this.#written.map(({ data }) => data),
    };
  }

  discard(): void {
    for (const { loaded } of this.#written) rmSync(loaded.path, { force: true });
  }

  #waiting(): { readonly rows: number; readonly size: number } {
    return this.#batches.reduce(
      (sum, { vectors, bytes }) => ({
        rows: sum.rows + lengthOf(vectors),
        size: sum.size + bytes,
      }),
      { rows: 0, size: 0 },
    );
  }

  #write(): void {
    const batches = this.#batches.splice(0).map(({ vectors }) => vectors);
    const { bytes, rows, footerBytes, statistics } = writeVectors(this.#columns, batches);
    const suffix = `-${++this.#files}`;
    const path = `${this.#output.path}${suffix}`;
    const name = `${this.#output.name}${suffix}.parquet`;
    writeFileSync(path, bytes, { flag: "wx", mode: 0o600 });
    const size = bytes.length;
    this.#written.push({
      loaded: {
        ...{ path, name, rows, bytes: size, footerBytes },
        statistics: statisticsRows(statistics, this.#columns),
      },
      data: { path: name, rows, bytes: size, footerBytes, statistics },
    });
  }
}

function lengthOf(vectors: readonly Data[]): number {
  return vectors[0]?.length ?? 0;
}
