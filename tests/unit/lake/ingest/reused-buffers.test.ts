import { expect, test } from "bun:test";
import * as arrow from "apache-arrow";
import type { IngestFormat } from "../../../../src/lake/ingest/format.ts";
import { inferColumns } from "../../../../src/lake/ingest/infer.ts";
import { allOf } from "../../../support/byte-chunks.ts";
import { column } from "../../../support/lake-columns.ts";
import { rowsOf } from "../../../support/lake-rows.ts";

/** Gives the same buffer again and again, as a reader of sockets may. */
async function* reusing(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(size);
  for (let at = 0; at < bytes.length; at += size) {
    const part = bytes.subarray(at, at + size);
    buffer.set(part);
    yield buffer.subarray(0, part.length);
    buffer.fill(0x78);
  }
}

const NAMES = ["first", "second", "third"];
const BODIES: Readonly<Record<IngestFormat, Uint8Array>> = {
  ndjson: Buffer.from(NAMES.map((name) => JSON.stringify({ name })).join("\n")),
  json: Buffer.from(JSON.stringify(NAMES.map((name) => ({ name })))),
  csv: Buffer.from(["name", ...NAMES].join("\n")),
  arrow: arrow.tableToIPC(
    new arrow.Table({ name: arrow.vectorFromArray(NAMES, new arrow.Utf8()) }),
    "stream",
  ),
};

for (const [format, bytes] of Object.entries(BODIES) as [IngestFormat, Uint8Array][]) {
  test(`a body of ${format} may reuse its buffer once the next chunk is asked for`, async () => {
    const rows = await rowsOf(reusing(bytes, 7), format, [column("name", "varchar")]);
    expect(rows).toEqual(NAMES.map((name) => [name]));
  });

  test(`the beginning of ${format} is kept while columns are told from it`, async () => {
    const { body } = await inferColumns(reusing(bytes, 7), format);
    expect(Buffer.concat((await allOf(body)).map((chunk) => chunk.slice())).length).toBe(
      bytes.length,
    );
    const again = await inferColumns(reusing(bytes, 7), format);
    const rows = await rowsOf(again.body, format, [column("name", "varchar")]);
    expect(rows).toEqual(NAMES.map((name) => [name]));
  });
}
