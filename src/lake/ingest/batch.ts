/** Rows on their way into batches, a list of values a column. */
import { INGEST_BATCH_CHARACTERS } from "../../base/lake-limits.ts";
import type { Column } from "../column.ts";
import type { LakeValue, RowBatch } from "../rows.ts";

export class BatchBuilder {
  readonly #columns: readonly Column[];
  readonly #rowsMax: number;
  #vectors: LakeValue[][];
  #rows = 0;
  #characters = 0;
  #full: RowBatch[] = [];

  constructor(columns: readonly Column[], rowsMax: number) {
    this.#columns = columns;
    this.#rowsMax = rowsMax;
    this.#vectors = columns.map(() => []);
  }

  readonly take = (index: number, value: LakeValue): void => {
    this.#vectors[index]?.push(value);
  };

  /** `characters` is what the row's text had. */
  endRow(characters: number): void {
    this.#rows += 1;
    this.#characters += characters;
    if (this.#rows >= this.#rowsMax || this.#characters >= INGEST_BATCH_CHARACTERS) this.#finish();
  }

  /** The batches that are full since the last call. */
  takeFull(): readonly RowBatch[] {
    const full = this.#full;
    this.#full = [];
    return full;
  }

  /** What is left at the end. */
  takeLast(): readonly RowBatch[] {
    if (this.#rows > 0) this.#finish();
    return this.takeFull();
  }

  #finish(): void {
    this.#full.push({ columns: this.#columns, rows: this.#rows, vectors: this.#vectors });
    this.#vectors = this.#columns.map(() => []);
    this.#rows = 0;
    this.#characters = 0;
  }
}
