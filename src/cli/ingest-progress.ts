/** How far an ingestion is: one line that changes on a terminal, else a line now and then. */
import type { Surroundings } from "../server/surroundings.ts";

const TERMINAL_MS = 250;
const LOG_MS = 10_000;
/** Back to the beginning of the line, which is emptied. */
const OVER = "\r\x1b[K";

export class IngestProgress {
  readonly #around: Surroundings;
  /** Of all files as they are stored; null where that is not known. */
  readonly #totalBytes: number | null;
  readonly #beganMs: number;
  #cancel: () => void = () => {};
  #readBytes = 0;
  #rows = 0;
  #bytes = 0;

  constructor(around: Surroundings, totalBytes: number | null) {
    this.#around = around;
    this.#totalBytes = totalBytes;
    this.#beganMs = around.clock.monotonicMs();
    this.#again();
  }

  /** Bytes of a file, compressed where it is. */
  read(bytes: number): void {
    this.#readBytes += bytes;
  }

  /** Rows, and the bytes that they were sent in. */
  stored(rows: number, bytes: number): void {
    this.#rows += rows;
    this.#bytes += bytes;
  }

  get seconds(): number {
    return (this.#around.clock.monotonicMs() - this.#beganMs) / 1000;
  }

  get rowsPerSecond(): number {
    return Math.round(this.#rows / Math.max(this.seconds, 0.001));
  }

  get bytes(): number {
    return this.#bytes;
  }

  end(): void {
    this.#cancel();
    if (this.#around.errorIsTerminal) this.#around.writeError(OVER);
  }

  #again(): void {
    const { clock, errorIsTerminal, writeError } = this.#around;
    this.#cancel = clock.after(errorIsTerminal ? TERMINAL_MS : LOG_MS, () => {
      writeError(errorIsTerminal ? `${OVER}${this.#text()}` : `${this.#text()}\n`);
      this.#again();
    });
  }

  #text(): string {
    const speed = this.#bytes / 1e6 / Math.max(this.seconds, 0.001);
    const total = this.#totalBytes ?? 0;
    const percent = total > 0 ? `, ${Math.floor((100 * this.#readBytes) / total)} % read` : "";
    return `${this.#rows} rows, ${this.rowsPerSecond} rows/s, ${speed.toFixed(1)} MB/s${percent}`;
  }
}
