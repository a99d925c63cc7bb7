import { expect, test } from "vitest";
import { changeKept, MOST_KEPT, readKept, type Kept } from "../src/studio/keeping.ts";

class Shelf {
  text: string | null = null;
  getItem = () => this.text;
  setItem = (_: string, text: string) => {
    if (text.length > 10_000) throw new Error("full");
    this.text = text;
  };
}

const mix = (key: string, body: unknown = {}): Kept => ({
  key,
  title: "mixed",
  file: "mixed.webp",
  model: "masters",
  weights: "w",
  from: { path: "gallery/mix", body },
});

test("what was made is found again by another page, the newest ones", () => {
  const shelf = new Shelf();
  expect(readKept(shelf)).toEqual([]);
  for (let i = 0; i < MOST_KEPT + 3; i++) changeKept(shelf, (all) => [mix(String(i)), ...all]);
  const kept = readKept(shelf);
  expect(kept).toHaveLength(MOST_KEPT);
  expect(kept[0]).toEqual(mix(String(MOST_KEPT + 2)));
  changeKept(shelf, (all) => all.filter(({ key }) => key !== kept[0]!.key));
  expect(readKept(shelf)).toEqual(kept.slice(1));
});

test("a full or damaged shelf is no error", () => {
  const shelf = new Shelf();
  changeKept(shelf, () => [mix("a")]);
  changeKept(shelf, (all) => [mix("b", "x".repeat(20_000)), ...all]);
  expect(readKept(shelf)).toEqual([mix("a")]);
  shelf.text = JSON.stringify([{ ...mix("a"), from: null }, 3, null, { key: "b" }, { ...mix("c"), from: "api/x" }]);
  expect(readKept(shelf)).toEqual([{ ...mix("c"), from: "api/x" }]);
  shelf.text = "[";
  expect(readKept(shelf)).toEqual([]);
});
