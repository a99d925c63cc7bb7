import { expect, test } from "vitest";
import { merged, sameSearch, variationsOf, type Near } from "../src/studio/near.ts";
import { edited, nameOfKept, ofSeed, PLAIN } from "../src/studio/points.ts";
import type { Point, PointRecord } from "../src/studio/types.ts";
import { keptOf, knownClasses, queryOf, spelledOut, strangeIn, whereOf, type Where } from "../src/studio/where.ts";

const record: PointRecord = { model: "m", recipe: "r", fields: [], origins: [{ seed: 4 }], classes: [] };
const of = (seed: number): PointRecord => ({ ...record, origins: [{ seed }] });
const start = whereOf({}, null);

function again(where: Where): Where {
  const [, query = ""] = `?${new URLSearchParams(queryOf(where))}`.split("?");
  return whereOf(Object.fromEntries(new URLSearchParams(query)), structuredClone(keptOf(where, true)));
}

test("an address says where one is", () => {
  const look = { truncation: 0.7, classes: { "style & genre": { "Ukiyo-e": 1, Cubism: 0.25 } } };
  const places: Partial<Where>[] = [
    {},
    { view: "favourites", first: 4294967295 },
    { look, guidance: 2.5, aspect: "48x80", opened: edited(ofSeed(0, look), { warmth: -1.5 }) },
    { view: "favourites", opened: { favourite: "wave-1", edits: { warmth: 2 } } },
    { view: "variations", near: variationsOf({ seed: 3 }, [of(4), of(5)]), opened: { point: of(5) } },
  ];
  for (const place of places) expect(again({ ...start, ...place })).toEqual({ ...start, ...place });
  expect(queryOf(start)).toEqual({});
});

test("classes are mixed by the shares that sliders show", () => {
  const mixture = (parts: Record<string, number>) => ofSeed(1, { ...PLAIN, classes: { style: parts } }).classes;
  expect(mixture({ a: 1, b: 1 })).toEqual({ style: { a: 0.5, b: 0.5 } });
  expect(mixture({ a: 1, b: 0.6, c: 0.4 })).toEqual({ style: { a: 0.5, b: 0.3, c: 0.2 } });
  expect(mixture({ a: 0.3 })).toEqual({ style: "a" });
  expect(mixture({ a: 0, b: 0 })).toEqual({});
});

test("what is damaged in an address counts as not given", () => {
  const damaged = {
    view: "elsewhere",
    from: "-1",
    truncation: "-2",
    classes: '{"style": 3, "genre": {"a": "b"}}',
    guidance: "much",
    seed: "4294967296",
    edits: "{",
  };
  expect(whereOf(damaged, null)).toEqual({ ...start, look: { truncation: null, classes: { genre: {} } } });
  // Of an address that was copied the history has nothing.
  expect(whereOf({ view: "variations", point: "kept" }, null)).toEqual(start);
});

test("what no model has is left out of an address, and said", () => {
  const fields = [{ name: "style", classes: ["Ukiyo-e", "Cubism"] }];
  const classes = { style: { "Ukiyo-e": 1, Ukiyoe: 1 }, genre: { portrait: 1 } };
  expect(knownClasses(classes, fields)).toEqual({ style: { "Ukiyo-e": 1 } });
  const said = strangeIn({ classes: JSON.stringify(classes), style: "Ukiyoe", seed: "3" }, fields);
  expect(said).toContain("asks for style=Ukiyoe, genre=portrait, style=Ukiyoe, which is no class");
  const look = { truncation: 0.7, classes: { style: { Cubism: 1 } } };
  const opened = edited(ofSeed(0, look), { warmth: -1.5 });
  const every = { ...start, view: "canvas" as const, first: 9, look, guidance: 2, aspect: "48x80", opened };
  expect(strangeIn(queryOf(every), fields)).toBe("");
});

test("an address may name a class by its field", () => {
  const fields = [
    { name: "style", classes: ["Ukiyo-e", "Cubism"] },
    { name: "seed", classes: ["3"] },
  ];
  const query = spelledOut({ style: "Ukiyo-e", seed: "3", from: "9" }, fields);
  expect(strangeIn(query, fields)).toBe("");
  const { look, first, opened } = whereOf(query, null);
  expect(look.classes).toEqual({ style: { "Ukiyo-e": 1 } });
  expect([first, opened?.seed]).toEqual([9, 3]); // a setting keeps its name
  expect(spelledOut({ style: "Ukiyoe" }, fields)).toEqual({ style: "Ukiyoe" });
});

test("a picture that is kept already is known by its point", () => {
  const kept = [{ name: "wave", point: of(4) }];
  expect(nameOfKept(of(4), kept)).toBe("wave");
  expect(nameOfKept({ ...of(4), classes: [1] }, kept)).toBeUndefined();
});

test("portions of a search are put together", () => {
  const centre: Point = ofSeed(1, PLAIN);
  const begun: Near = { centre, points: [], among: 0, distances: [] };
  const first = merged(begun, { points: [of(2), of(3)], distances: [0.5, 2] }, 16);
  const both = merged(first, { points: [of(20), of(21)], distances: [0.25, 2] }, 32);
  expect(both.points.map((point) => point.origins[0]!.seed)).toEqual([20, 2, 3, 21]);
  expect(both.distances).toEqual([0.25, 0.5, 2, 2]);
  expect(both.among).toBe(32);
  expect(sameSearch(begun, both)).toBe(true);
  expect(sameSearch(both, variationsOf(centre, []))).toBe(false);
});
