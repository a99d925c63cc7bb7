import { expect, test } from "vitest";
import { addressOf, joined } from "../src/studio/pictures.ts";
import type { Pictures } from "../src/studio/types.ts";

const some = (hash: string, ...numbers: number[]): Pictures => ({
  total: 9,
  hash,
  rows: numbers.map((index) => ({ index, heldout: false, classes: {}, source: { path: `${index}.png` } })),
});

test("the address of a picture changes with the collection", () => {
  expect(addressOf("a b", "12ab", 5)).toBe("api/collections/a%20b/picture/5?side=128&hash=12ab");
  expect(addressOf("a b", "34cd", 5)).not.toBe(addressOf("a b", "12ab", 5));
  expect(addressOf("a b", "12ab", 5, "excluded")).toContain("/excluded/5?");
});

test("parts of the list are joined only if they are of the same collection", () => {
  const numbers = (list?: Pictures) => list?.rows.map((row) => row.index);
  expect(numbers(joined(some("1", 0, 1), some("1", 2)))).toEqual([0, 1, 2]);
  expect(joined(some("1", 0, 1), some("2", 2))).toBeUndefined();
  expect(numbers(joined(some(""), some("2", 0)))).toEqual([0]);
});
