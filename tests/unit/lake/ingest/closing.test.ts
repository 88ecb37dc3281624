import { expect, test } from "bun:test";
import * as arrow from "apache-arrow";
import { gzipSync } from "node:zlib";
import { readArrow } from "../../../../src/lake/ingest/arrow-rows.ts";
import { decompress } from "../../../../src/lake/ingest/decompress.ts";
import type { IngestFormat } from "../../../../src/lake/ingest/format.ts";
import { inferColumns } from "../../../../src/lake/ingest/infer.ts";
import { readRows } from "../../../../src/lake/ingest/read-rows.ts";
import { column } from "../../../support/lake-columns.ts";
import { thrownBy } from "../../../support/byte-chunks.ts";

/** A body that has more to give than is asked of it, and knows when nobody will ask any more. */
class Watched {
  closed = false;
  readonly #first: Uint8Array;
  readonly #more: Uint8Array;

  constructor(first: Uint8Array, more: Uint8Array = new Uint8Array(100)) {
    this.#first = first;
    this.#more = more;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    try {
      yield this.#first;
      for (;;) yield this.#more;
    } finally {
      this.closed = true;
    }
  }
}

const ARROW = arrow.tableToIPC(
  new arrow.Table({ x: arrow.vectorFromArray(["a"], new arrow.Utf8()) }),
);
/** The schema and a batch, without the mark of the end. */
const UNENDED = ARROW.subarray(0, ARROW.length - 8);
/** The batch alone. */
const BATCH = UNENDED.subarray(
  8 + new DataView(UNENDED.buffer, UNENDED.byteOffset).getUint32(4, true),
);
const BAD: readonly (readonly [IngestFormat, Uint8Array])[] = [
  ["ndjson", Buffer.from('{"x":"a"}\n{"id":2}\n')],
  ["json", Buffer.from('[{"x":"a"},{"id":2}')],
  ["csv", Buffer.from("x\na\n")],
  ["arrow", UNENDED],
];
const OPTIONS = { columns: [column("id", "int64")], batchRows: 10 };

for (const [format, first] of BAD) {
  test(`a body of ${format} is closed when a row does not fit`, async () => {
    const body = new Watched(first, format === "arrow" ? BATCH : undefined);
    expect(await thrownBy(readRows(body, { format, ...OPTIONS }))).toMatchObject({
      kind: "invalid",
    });
    expect(body.closed).toBe(true);
  });

  test(`a body of ${format} is closed when whoever reads it stops`, async () => {
    const body = new Watched(first, format === "arrow" ? BATCH : undefined);
    const columns = [column("x", "varchar"), column("id", "int64")];
    for await (const _ of readRows(body, { format, columns, batchRows: 1 })) break;
    expect(body.closed).toBe(true);
  });
}

test("a body is closed when its schema does not fit, its encoding is damaged, or it has no columns", async () => {
  const stream = new Watched(UNENDED);
  await thrownBy(readArrow(stream, OPTIONS.columns));
  const encoded = new Watched(gzipSync("x").subarray(0, 10));
  await thrownBy(decompress(encoded, "gzip"));
  const unnamed = new Watched(Buffer.from('{"":1}\n{'));
  await inferColumns(unnamed, "ndjson").catch(() => {});
  expect([stream.closed, encoded.closed, unnamed.closed]).toEqual([true, true, true]);
});
