/**
 * The reader process: executes batches of reads, in order, and sends what is ready every few
 * milliseconds. It keeps no state that a kill could lose. Process entry code: it reads the clock to
 * know when to send.
 */
import { assert } from "../base/assert.ts";
import { READER_IMAGES_MAX } from "../base/limits.ts";
import type { ParentPort } from "./child.ts";
import { IN_MEMORY, ReaderImage } from "./reader-image.ts";
import {
  type BatchRead,
  type FromReader,
  type ReadBatch,
  type Result,
  resultPath,
  type ToReader,
} from "./reader-message.ts";
import { ResultText } from "./reader-result.ts";
import { SharedWords } from "./shared-words.ts";
import { sqlFailure } from "./sql-error.ts";

/** Results wait for company this long. */
const SEND_MS = 2;
/** Rows between two looks at the clock. */
const ROWS_PER_LOOK = 64;

export function main(port: ParentPort): void {
  let reader: Reader | null = null;
  const send = (message: FromReader) => port.send(message);
  port.onMessage((received) => {
    const message = received as ToReader;
    if (message[0] === "open") reader = new Reader(send, message[1], message[2]);
    assert(reader !== null, "a reader is opened first");
    if (message[0] === "read") reader.run(message[1]);
    if (message[0] === "forget") {
      reader.forget(message[1]);
      send(["forgotten", message[1]]);
    }
  });
  warmUp();
  send(["ready"]);
}

/** Loads what the first read would wait for. */
function warmUp(): void {
  const image = new ReaderImage(IN_MEMORY);
  image.begin();
  const text = new ResultText({ byLine: false, bytesMax: 1_000, epoch: 0, file: () => "" });
  image.query("SELECT ? AS a", [1], (columns) => text.begin(columns), (row) => text.row(row));
  text.end();
  image.end();
  image.close();
}

class Reader {
  readonly #send: (message: FromReader) => void;
  readonly #words: SharedWords;
  /** Where large results go. */
  readonly #place: string;
  /** The one used last at the end. */
  readonly #images = new Map<string, ReaderImage>();
  #results: Result[] = [];
  #sent = 0;
  #sentMs = 0;
  #files = 0;

  constructor(send: (message: FromReader) => void, words: string, place: string) {
    this.#send = send;
    this.#words = new SharedWords(words, false);
    this.#place = place;
  }

  run(batch: ReadBatch): void {
    const words = this.#words;
    words.startedBatch = batch.id;
    this.#sent = 0;
    this.#sentMs = performance.now();
    let image: ReaderImage | null = null;
    for (let at = 0; at < batch.reads.length && words.abandonedBatch < batch.id; at++) {
      words.runningRead = batch.first + at;
      try {
        image ??= this.#begin(batch.path);
        this.#results.push(this.#read(image, batch, batch.reads[at]));
      } catch (error) {
        this.#results.push({ failure: sqlFailure(error, "Cannot run this query") });
      }
      this.#sendNowAndThen(batch.id);
    }
    words.runningRead = 0;
    // The lock is free before the pool hears of it.
    image?.end();
    this.#sendResults(batch.id, 1);
  }

  forget(path: string): void {
    this.#images.get(path)?.close();
    this.#images.delete(path);
  }

  #begin(path: string): ReaderImage {
    let image = this.#images.get(path);
    this.#images.delete(path);
    image ??= new ReaderImage(path);
    this.#images.set(path, image);
    for (const [oldest] of this.#images) {
      if (this.#images.size <= READER_IMAGES_MAX) break;
      this.forget(oldest);
    }
    image.begin();
    return image;
  }

  #read(image: ReaderImage, batch: ReadBatch, read: BatchRead | undefined): Result {
    assert(read !== undefined, "a batch has no holes");
    const [sql, params, byLine, bytesMax] = read;
    const text = new ResultText({
      byLine: byLine === 1,
      bytesMax,
      epoch: batch.epoch,
      file: () => resultPath(this.#place, this.#files++),
    });
    let rows = 0;
    try {
      image.query(batch.sql[sql] ?? "", params, (columns) => text.begin(columns), (values) => {
        text.row(values);
        // The results of others do not wait for a long read's end.
        if (++rows % ROWS_PER_LOOK === 0) this.#sendNowAndThen(batch.id);
      });
      return text.end();
    } catch (error) {
      text.abandon();
      throw error;
    }
  }

  #sendNowAndThen(batch: number): void {
    if (this.#results.length > 0 && performance.now() - this.#sentMs >= SEND_MS) {
      this.#sendResults(batch, 0);
    }
  }

  #sendResults(batch: number, last: 0 | 1): void {
    const results = this.#results;
    this.#results = [];
    this.#send(["results", batch, this.#sent, results, last]);
    this.#sent += results.length;
    this.#sentMs = performance.now();
  }
}
