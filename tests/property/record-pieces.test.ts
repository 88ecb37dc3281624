import { expect, test } from "bun:test";
import fc from "fast-check";
import { isFailure } from "../../src/base/failure.ts";
import {
  type CutOptions,
  lastLine,
  lineOfRow,
  type Piece,
  recordPieces,
} from "../../src/cli/record-pieces.ts";
import { CsvRecords } from "../../src/lake/ingest/csv-records.ts";
import { allOf, cut, thrownBy } from "../support/byte-chunks.ts";

const SIZES = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 6 });
const PIECE_BYTES = fc.integer({ min: 1, max: 60 });
const LAST = fc.constantFrom("", "\n");

const NDJSON = fc.record({
  rows: fc.array(fc.constantFrom("{}", '{"a":"é\\n\\""}', "", " \r", '{"b":[1,2,3]}')),
  last: LAST,
}).map(({ rows, last }) => ({ text: rows.join("\n") + last, ends: "lines" as const }));

const FIELD = fc.constantFrom("", "a", '"x\ny"', '"""\n""\r\n"', '"é,"', "long plain text");
const CSV = fc.record({
  records: fc.array(fc.tuple(FIELD, FIELD), { minLength: 1 }),
  feed: fc.constantFrom("\n", "\r\n"),
  last: LAST,
}).map(({ records, feed, last }) => ({
  text: records.map((fields) => fields.join(",")).join(feed) + (last && feed),
  ends: "records" as const,
}));

const TEXTS = fc.oneof(NDJSON, CSV);

function cutting(
  text: string,
  sizes: readonly number[],
  options: Pick<CutOptions, "ends" | "pieceBytes"> & Partial<CutOptions>,
): AsyncGenerator<Piece> {
  const all = { recordBytesMax: 1_000_000, hasHeader: false, name: "a file", ...options };
  return recordPieces(cut(Buffer.from(text), sizes), all);
}

/** The text of each record, its line feed included. */
function recordsIn(text: string, ends: CutOptions["ends"]): string[] {
  if (ends === "lines") return text.split(/(?<=\n)/).filter((line) => line !== "");
  const records: string[] = [];
  for (const part of text.split(/(?<=\n)/).filter((line) => line !== "")) {
    const open = records.at(-1) ?? "";
    const isOpen = (open.match(/"/g)?.length ?? 0) % 2 === 1;
    if (isOpen) records[records.length - 1] = open + part;
    else records.push(part);
  }
  return records;
}

test("all pieces together are the file, and each is whole records", async () => {
  await fc.assert(
    fc.asyncProperty(TEXTS, SIZES, PIECE_BYTES, async ({ text, ends }, sizes, pieceBytes) => {
      const pieces = await allOf(cutting(text, sizes, { ends, pieceBytes }));
      expect(Buffer.concat(pieces.map(({ bytes }) => bytes)).toString()).toBe(text);
      const records = pieces.flatMap(({ bytes }) => recordsIn(Buffer.from(bytes).toString(), ends));
      expect(records).toEqual(recordsIn(text, ends));
      // No piece goes on where it could have ended.
      for (const { bytes } of pieces) {
        const last = recordsIn(Buffer.from(bytes).toString(), ends).at(-1) ?? "";
        expect(bytes.length - Buffer.byteLength(last)).toBeLessThan(pieceBytes);
      }
    }),
    { numRuns: 2_000 },
  );
});

test("the cuts are the same for all chunks in which a file is read", async () => {
  await fc.assert(
    fc.asyncProperty(TEXTS, SIZES, PIECE_BYTES, fc.boolean(), async (...given) => {
      const [{ text, ends }, sizes, pieceBytes, hasHeader] = given;
      const options = { ends, pieceBytes, hasHeader };
      const whole = await allOf(cutting(text, [text.length + 1], options));
      expect(await allOf(cutting(text, sizes, options))).toEqual(whole);
    }),
    { numRuns: 2_000 },
  );
});

test("a CSV in pieces, the header before each, has the records of the file", async () => {
  await fc.assert(
    fc.asyncProperty(CSV, SIZES, PIECE_BYTES, async ({ text, ends }, sizes, pieceBytes) => {
      const [header, ...pieces] = await allOf(
        cutting(text, sizes, { ends, pieceBytes, hasHeader: true }),
      );
      const records = pieces.flatMap(({ bytes }) => {
        const [first, ...rest] = parsed(Buffer.concat([header!.bytes, bytes]).toString());
        expect(first).toEqual(parsed(text)[0]!);
        return rest;
      });
      expect(records).toEqual(parsed(text).slice(1));
    }),
    { numRuns: 2_000 },
  );
});

test("a row of a piece is on the line of the file that is named for it", async () => {
  await fc.assert(
    fc.asyncProperty(TEXTS, SIZES, PIECE_BYTES, async ({ text, ends }, sizes, pieceBytes) => {
      const pieces = await allOf(cutting(text, sizes, { ends, pieceBytes }));
      const isRow = (record: string) => ends === "records" || record.trim() !== "";
      const found = pieces.flatMap((piece) => {
        const rows = recordsIn(Buffer.from(piece.bytes).toString(), ends).filter(isRow);
        return rows.map((_, index) => lineOfRow(piece, ends, index + 1));
      });
      let line = 1;
      const expected = recordsIn(text, ends).flatMap((record) => {
        const at = line;
        line += record.split("\n").length - 1;
        return isRow(record) ? [at] : [];
      });
      expect(found).toEqual(expected);
      for (const [index, piece] of pieces.entries()) {
        expect(lastLine(piece) + 1).toBe(pieces[index + 1]?.line ?? lastLine(piece) + 1);
      }
    }),
    { numRuns: 2_000 },
  );
});

test("a row that never ends is refused with its line before it is all read", async () => {
  await fc.assert(
    fc.asyncProperty(SIZES, fc.nat({ max: 5 }), async (sizes, before) => {
      let read = 0;
      const endless = async function* () {
        yield Buffer.from("a\n".repeat(before));
        while (read < 10_000) {
          const size = sizes[read % sizes.length] ?? 1;
          read += size;
          yield Buffer.from('"'.padEnd(size, "x").slice(read === size ? 0 : 1).padEnd(size, "\n"));
        }
      };
      const options = { ends: "records", pieceBytes: 50, recordBytesMax: 200 } as const;
      const error = await thrownBy(
        recordPieces(endless(), { ...options, hasHeader: false, name: "a.csv" }),
      );
      expect(isFailure(error, "too_large")).toBe(true);
      expect(String(error)).toContain(`line ${before + 1} of a.csv`);
      expect(read).toBeLessThan(50 + 200 + 40 + 40);
    }),
    { numRuns: 300 },
  );
});

function parsed(text: string) {
  const records = new CsvRecords(text.replace(/\r?\n$/, ""));
  const all = [];
  while (!records.done) all.push(records.next());
  return all;
}
