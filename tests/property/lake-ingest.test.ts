import { expect, test } from "bun:test";
import fc from "fast-check";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { Failure } from "../../src/base/failure.ts";
import type { Column } from "../../src/lake/column.ts";
import { decompress } from "../../src/lake/ingest/decompress.ts";
import type { IngestFormat } from "../../src/lake/ingest/format.ts";
import { inferColumns } from "../../src/lake/ingest/infer.ts";
import { readArrow } from "../../src/lake/ingest/arrow-rows.ts";
import type { LakeValue } from "../../src/lake/rows.ts";
import { allOf, chunksOf, cut } from "../support/byte-chunks.ts";
import { columnsOf, rowsFor } from "../support/lake-arbitrary.ts";
import { rowsOf } from "../support/lake-rows.ts";
import { arrowStream, csv, ndjson } from "../support/lake-writers.ts";

const FORMATS: readonly IngestFormat[] = ["ndjson", "json", "csv", "arrow"];

function written(
  format: IngestFormat,
  columns: readonly Column[],
  rows: LakeValue[][],
): Uint8Array {
  switch (format) {
    case "ndjson":
      return Buffer.from(ndjson(columns, rows));
    case "json":
      return Buffer.from(`[${ndjson(columns, rows).replaceAll("\n", " ,\n")}]`);
    case "csv":
      return Buffer.from(csv(columns, rows));
    case "arrow":
      return arrowStream(columns, rows);
  }
}

function has(columns: readonly Column[], type: string): boolean {
  return columns.some((column) => column.type.name === type || has(column.children, type));
}

const TABLES = columnsOf(2, 5).chain((columns) =>
  fc.record({ columns: fc.constant(columns), rows: rowsFor(columns) })
);
/** Arrow has no integer of 128 bits. */
const ARROW_TABLES = TABLES.filter(({ columns }) => !has(columns, "int128"));
const SIZES = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 6 });

for (const format of FORMATS) {
  const tables = format === "arrow" ? ARROW_TABLES : TABLES;

  test(`any rows written as ${format} are read back, in pieces of any size`, async () => {
    await fc.assert(
      fc.asyncProperty(tables, SIZES, async ({ columns, rows }, sizes) => {
        const body = cut(written(format, columns, rows), sizes);
        expect(await rowsOf(body, format, columns, 3)).toEqual(rows);
      }),
      { numRuns: 400 },
    );
  });

  test(`a damaged body of ${format} gives rows or a failure, the same for all pieces`, async () => {
    const damage = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), {
      minLength: 1,
      maxLength: 4,
    });
    await fc.assert(
      fc.asyncProperty(
        tables,
        damage,
        SIZES,
        fc.boolean(),
        async (table, changes, sizes, isCut) => {
          const whole = new Uint8Array(written(format, table.columns, table.rows));
          for (const [at, byte] of changes) whole[at % whole.length] = byte;
          const bytes = isCut ? whole.subarray(0, (changes[0]![0] % whole.length) + 1) : whole;
          const outcome = await outcomeOf(rowsOf(bytes, format, table.columns));
          expect(await outcomeOf(rowsOf(cut(bytes, sizes), format, table.columns))).toEqual(
            outcome,
          );
          await outcomeOf(inferColumns(chunksOf(bytes), format).then(() => []));
        },
      ),
      { numRuns: 1_000 },
    );
  });

  test(`any bytes as ${format} give rows or a failure`, async () => {
    const bytes = fc.oneof(fc.uint8Array({ maxLength: 60 }), textBytes());
    await fc.assert(
      fc.asyncProperty(tables, bytes, async ({ columns }, body) => {
        await outcomeOf(rowsOf(body, format, columns));
        await outcomeOf(inferColumns(chunksOf(body), format).then(() => []));
      }),
      { numRuns: 500 },
    );
  });
}

/** Rows, or the message of a failure; what else is thrown fails the test. */
async function outcomeOf(reading: Promise<LakeValue[][]>): Promise<LakeValue[][] | string> {
  try {
    return await reading;
  } catch (error) {
    if (error instanceof Failure) return error.message;
    throw error;
  }
}

function textBytes(): fc.Arbitrary<Uint8Array> {
  const part = fc.constantFrom(
    "{",
    "}",
    "[",
    "]",
    '"',
    ",",
    ":",
    "\n",
    "\r",
    "\\",
    "a",
    "1",
    "é",
    " ",
  );
  return fc.array(part, { maxLength: 30 }).map((parts) => Buffer.from(parts.join("")));
}

test("Arrow batches that go on as Arrow have the same rows", async () => {
  await fc.assert(
    fc.asyncProperty(ARROW_TABLES, async ({ columns, rows }) => {
      const batches = await allOf(readArrow(chunksOf(arrowStream(columns, rows)), columns));
      const { RecordBatchStreamWriter } = await import("apache-arrow");
      const again = RecordBatchStreamWriter.writeAll(batches).toUint8Array(true);
      if (rows.length > 0) expect(await rowsOf(again, "arrow", columns)).toEqual(rows);
    }),
    { numRuns: 300 },
  );
});

test("the rows of a new table fit the columns that were told from them", async () => {
  const values = fc.dictionary(fc.string({ minLength: 1, maxLength: 3 }), fc.jsonValue(), {
    minKeys: 1,
  });
  await fc.assert(
    fc.asyncProperty(fc.array(values, { minLength: 1, maxLength: 5 }), async (objects) => {
      const body = objects.map((object) => JSON.stringify(object)).join("\n");
      const inferred = await inferColumns(chunksOf(body), "ndjson").catch((error) => error);
      if (inferred instanceof Failure) return;
      const columns = inferred.columns as readonly Column[];
      expect((await rowsOf(inferred.body, "ndjson", columns)).length).toBe(objects.length);
    }),
    { numRuns: 1_000 },
  );
});

test("encoded bytes come back through pieces of any size; damaged ones are a failure or bytes", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ maxLength: 3_000 }),
      SIZES,
      fc.constantFrom("gzip", "zstd"),
      fc.option(fc.tuple(fc.nat(), fc.nat({ max: 255 }))),
      async (bytes, sizes, encoding, damage) => {
        const encoded = new Uint8Array(
          encoding === "gzip" ? gzipSync(bytes) : zstdCompressSync(bytes),
        );
        if (damage !== null) encoded[damage[0] % encoded.length] = damage[1];
        const read = allOf(decompress(cut(encoded, sizes), encoding));
        const out = await outcomeOf(read.then((chunks) => [[Buffer.concat(chunks)]]));
        if (damage === null) expect(out).toEqual([[Buffer.from(bytes)]]);
      },
    ),
    { numRuns: 500 },
  );
});
