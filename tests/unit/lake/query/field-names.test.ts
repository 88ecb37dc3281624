import { expect, test } from "bun:test";
import {
  asToday,
  isAbsent,
  structFields,
  typeInFile,
} from "../../../../src/lake/query/field-names.ts";
import { column, nested } from "../../../support/lake-queries.ts";

const point = nested(1, "point", "struct", [column(2, "x", "int32"), column(3, "y", "float64")]);
const points = nested(4, "points", "list", [
  nested(5, "element", "struct", [column(6, "x", "int32")]),
]);

test("fields of structs are found at any depth, elements and keys are none", () => {
  const inMap = nested(7, "m", "map", [column(8, "key", "varchar"), point]);
  expect(structFields([inMap, points, column(9, "a", "int32")]).map(({ id }) => id))
    .toEqual([2, 3, 6]);
});

test("a file whose names are today's is read as it is", () => {
  const names = new Map([[2, "x"], [3, "y"]]);
  expect(asToday(point, '"point"', names)).toBe('"point"');
  expect(typeInFile(point, names)).toBe('STRUCT("x" INTEGER, "y" DOUBLE)');
});

test("an older name is read, a later field is null, and a null struct stays one", () => {
  const names = new Map([[2, "old"]]);
  expect(typeInFile(point, names)).toBe('STRUCT("old" INTEGER)');
  expect(asToday(point, '"point"', names)).toBe(
    'CASE WHEN "point" IS NULL THEN NULL ELSE ' +
      'struct_pack("x" := "point"."old", "y" := NULL::DOUBLE) END',
  );
});

test("structs in lists are made anew one by one", () => {
  expect(asToday(points, '"points"', new Map([[6, "old"]]))).toBe(
    'CASE WHEN "points" IS NULL THEN NULL ELSE list_transform("points", lambda item0: ' +
      'CASE WHEN item0 IS NULL THEN NULL ELSE struct_pack("x" := item0."old") END) END',
  );
});

test("a column of which a file has no field is absent from it", () => {
  expect(isAbsent(point, new Map())).toBe(true);
  expect(isAbsent(points, new Map([[2, "x"]]))).toBe(true);
  expect(isAbsent(points, new Map([[6, "x"]]))).toBe(false);
  expect(isAbsent(column(9, "a", "int32"), new Map())).toBe(false);
});
