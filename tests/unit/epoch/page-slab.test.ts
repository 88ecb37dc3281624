import { expect, test } from "bun:test";
import { PageSlab } from "../../../src/epoch/page-slab.ts";

test("memory is given out once until it is reset, and then the same again", () => {
  const slab = new PageSlab();
  const take = () => Array.from({ length: 40 }, () => slab.take(65_536));
  const first = take();
  first.forEach((bytes, index) => bytes.fill(index));
  expect(first.every((bytes, index) => bytes.every((byte) => byte === index))).toBe(true);
  expect(first.map(({ length }) => length)).toEqual(Array(40).fill(65_536));
  slab.reset();
  const second = take();
  expect(second.map(({ buffer }) => buffer)).toEqual(first.map(({ buffer }) => buffer));
  expect(new Set(second.map(({ buffer }) => buffer)).size).toBe(3);
});

test("pages of different sizes do not overlap", () => {
  const slab = new PageSlab();
  const sizes = Array.from({ length: 900 }, (_, index) => 512 << (index % 8));
  const pages = sizes.map((size) => slab.take(size));
  pages.forEach((bytes, index) => bytes.fill(index % 251));
  pages.forEach((bytes, index) => {
    if (bytes.length !== sizes[index]) throw new Error(`page ${index} has ${bytes.length} bytes`);
    if (bytes.some((byte) => byte !== index % 251)) {
      throw new Error(`page ${index} was overwritten`);
    }
  });
});
