import { inflateSync, deflateSync } from "node:zlib";
import { expect, test } from "vitest";
import { Favourites } from "../src/painting/favourites.ts";
import type { Model } from "../src/painting/model.ts";
import { pngOf, POINT_KEY, textOfPng } from "../src/painting/png.ts";
import {
  fileNameOf,
  MADE_KEY,
  madePoint,
  pointOfFavourite,
  textOfFavourite,
  textOfMade,
} from "../src/painting/made.ts";
import {
  NoPoint,
  plainLook,
  pointOfSeed,
  pointOfText,
  shortFloat,
  textOfPoint,
} from "../src/painting/points.ts";
import { walkAt } from "../src/painting/walks.ts";
import { difference, expected, floats } from "./expected.ts";

const model: Model = {
  name: "example",
  recipe: "example",
  sha256: "ab".repeat(32),
  size: [64, 64],
  latent: { size: 20, distribution: "normal" },
  levels: 2,
  reach: 18,
  labels: expected.classes.labels,
  directions: [
    {
      name: "warmth",
      how: "",
      first: -3,
      last: 3,
      latents: Array.from({ length: 20 }, (_, i) => i / 10),
      classes: [0.5, -0.5, 0, 0, 0],
    },
  ],
  about: [],
  licences: {},
};

test("points of Python's PNGs are read", async () => {
  for (const { text, latents, classes } of expected.points) {
    const point = await pointOfText(model, text);
    expect(difference(point.latents, floats(latents))).toBeLessThan(5e-7);
    expect(Array.from(point.classes)).toEqual(classes);
    expect(point.origin.seed).toBe(5);
  }
});

test("class weights are kept exactly", async () => {
  const point = await pointOfText(model, expected.points[0]!.text);
  const third = Float32Array.from([1 / 3, 2 / 3, 1e-9, -0.75, 123456.789]);
  const again = await pointOfText(model, await textOfPoint(model, { ...point, classes: third }));
  expect(again.classes).toEqual(third);
  // As few digits as do.
  expect([0.1, 1 / 3, 16777216, 0].map((value) => String(shortFloat(Math.fround(value))))).toEqual([
    "0.1",
    "0.33333334",
    "16777216",
    "0",
  ]);
});

test("texts are written as Python writes them", async () => {
  for (const { text } of expected.points) {
    const ours = JSON.parse(await textOfPoint(model, await pointOfText(model, text)));
    const theirs = JSON.parse(text);
    const values = (packed: string) => Array.from(inflateSync(Buffer.from(packed, "base64")));
    if (theirs.latents) {
      expect(values(ours.latents)).toEqual(values(theirs.latents));
      delete ours.latents;
      delete theirs.latents;
    }
    expect(ours).toEqual(theirs);
  }
});

test("what is chosen comes back from a point", async () => {
  const plain = plainLook(model);
  const mixed = [[{ class: 0, weight: 0.25 }, { class: 2, weight: 0.75 }], []];
  for (const look of [
    plain,
    { ...plain, truncation: 0.7 },
    { ...plain, edits: { warmth: -1.5 } },
    { ...plain, choice: mixed },
  ]) {
    const point = pointOfSeed(model, 11, look);
    const again = await madePoint(model, await textOfPoint(model, point), null);
    expect(difference(again.latents, point.latents)).toBe(0);
    expect(again.made).toEqual({ seed: 11, look });
  }
  // A class that decides what the seed draws in the other field comes back as both being chosen.
  const portrait = { truncation: 2, choice: [[], [{ class: 1, weight: 1 }]], edits: { warmth: 2 }, mix: null };
  const point = pointOfSeed(model, 11, portrait);
  const { made } = await madePoint(model, await textOfPoint(model, point), null);
  expect(difference(pointOfSeed(model, 11, made!.look).classes, point.classes)).toBeLessThan(1e-6);
  const moved = { ...point, latents: new Float32Array(20).fill(1) };
  expect((await madePoint(model, await textOfPoint(model, moved), null)).made).toBeUndefined();
});

test("what a picture was made from is kept, whatever its point's text leaves out", async () => {
  const choice = [[], [{ class: 1, weight: 1 }]];
  const look = { truncation: 0.7, choice, edits: { warmth: 1.5 }, mix: { seed: 3, at: 1 } };
  const accents = { ...model, directions: [{ ...model.directions[0]!, name: "l'été 夏" }] };
  for (const [of, edits] of [[model, look.edits], [accents, { "l'été 夏": -2 }]] as const) {
    const point = pointOfSeed(of, 11, { ...look, edits: { ...edits } });
    const text = await textOfPoint(of, point);
    const made = textOfMade(point.made!);
    expect(made).toMatch(/^[\x20-\x7e]+$/);
    // impasto refuses a text of a point with a name that it does not know.
    expect(text).not.toContain("made");
    for (const again of [
      await madePoint(of, text, made),
      await pointOfFavourite(of, await textOfFavourite(of, point)),
    ]) {
      expect(again.made).toEqual(point.made);
      expect(difference(again.latents, point.latents)).toBe(0);
    }
    // Without it only the picture is known, as of favourites and PNGs of earlier pages.
    expect((await madePoint(of, text, null)).made).toBeUndefined();
    expect((await pointOfFavourite(of, text)).made).toBeUndefined();
  }
});

test("what gives another picture, or is damaged, is not what it was made from", async () => {
  const mix = { seed: 3, at: 1 };
  const point = pointOfSeed(model, 11, { ...plainLook(model), truncation: 0.7, mix });
  const text = await textOfPoint(model, point);
  const made = textOfMade(point.made!);
  const changed = [
    ["", made],
    ['"seed":11', '"seed":12'],
    ['"seed":11', '"seed":11.5'],
    ['"seed":11', '"seed":-1'],
    ["0.7", "0.8"],
    ["0.7", "-1"],
    ["0.7", '"0.7"'],
    ['"at":1', '"at":2'],
    ['"seed":3', '"seed":4'],
    [/"mix":.*/, '"mix":null}'],
    [/"mix":.*/, '"mix":3}'],
    ["[[],[]]", "[[]]"],
    ["[[],[]]", "[[null],[]]"],
    ["[[],[]]", '[[{"class":9,"weight":1}],[]]'],
    ["[[],[]]", '[[{"class":0,"weight":"1"}],[]]'],
    ["[[],[]]", "7"],
    ['"edits":{}', '"edits":{"warmth":1}'],
  ] as const;
  for (const [from, to] of changed) {
    const other = made.replace(from, to);
    expect(other).not.toBe(made);
    expect((await madePoint(model, text, other)).made, other).toBeUndefined();
  }
  for (const odd of ['{"edits":null', '{"edits":3'])
    expect((await madePoint(model, text, made.replace('"edits":{}', odd.slice(1)))).made).toEqual(point.made);
});

test("files are named by seeds, or as the file that was opened", async () => {
  const plain = plainLook(model);
  const name = (look: Partial<typeof plain>) => fileNameOf(pointOfSeed(model, 11, { ...plain, ...look }));
  const mix = { seed: 3, at: 1 };
  expect(name({ truncation: 0.7 })).toBe("seed-00000011");
  expect(name({ mix })).toBe("seed-11-fine-3");
  expect(name({ mix: { seed: 11, at: 1 } })).toBe("seed-00000011");
  expect(name({ edits: { warmth: 2 } })).toBe("seed-11-edited");
  expect(name({ mix, edits: { warmth: 2 } })).toBe("seed-11-fine-3-edited");
  const unknown = await pointOfText(model, expected.mixed.text);
  expect(fileNameOf(unknown)).toBe("picture");
  expect(fileNameOf({ ...unknown, file: "my sea.PNG" })).toBe("my sea");
});

test("coarse levels of a seed and fine ones of another are those of Python", async () => {
  const { coarse, fine, at, text, latents } = expected.mixed;
  const theirs = await pointOfText(model, text);
  expect(difference(theirs.latents, floats(latents))).toBe(0);
  const mix = { seed: fine, at };
  const ours = pointOfSeed(model, coarse, { ...plainLook(model), mix });
  expect(difference(ours.latents, floats(latents))).toBeLessThan(5e-7);
  expect(ours.origin).toEqual({ seed: null, truncation: null, edits: {} });
  expect(ours.made).toEqual({ seed: coarse, look: { ...plainLook(model), mix } });
  const again = await pointOfText(model, await textOfPoint(model, ours));
  expect(difference(again.latents, ours.latents)).toBe(0);
  await expect(pointOfText({ ...model, levels: 4 }, text)).rejects.toThrow(NoPoint);
  await expect(pointOfText({ ...model, levels: null }, text)).rejects.toThrow(NoPoint);
  // Directions move all levels; the seed's own fine levels are the seed.
  const moved = pointOfSeed(model, coarse, { ...plainLook(model), mix, edits: { warmth: 2 } });
  const by = model.directions[0]!.latents.map((value) => 2 * value);
  expect(difference(moved.latents, ours.latents.map((value, i) => value + by[i % 20]!))).toBeLessThan(5e-7);
  expect(pointOfSeed(model, fine, { ...plainLook(model), mix }).origin.seed).toBe(fine);
});

test("a damaged text is refused, and so is that of another model", async () => {
  const text = await textOfPoint(model, pointOfSeed(model, 3, plainLook(model)));
  const bomb = deflateSync(Buffer.alloc(10_000_000)).toString("base64");
  const hostile = [
    "",
    "[]",
    "null",
    '{"model": 3}',
    text.replace("abab", "cdcd"),
    text.replace('"seed":3', '"seed":-3'),
    text.replace('"seed":3', '"seed":1e30'),
    text.replace('"classes":[', '"classes":[1,'),
    text.replace('"classes":[', '"classes":["1",'),
    text.replace('"format":1', `"latents":"${bomb}"`),
    text.replace('"format":1', '"latents":"!"'),
    text.replace('"format":1', '"latents":""'),
    text.replace('"format":1', '"levels":2'),
  ];
  for (const each of hostile) await expect(pointOfText(model, each), each).rejects.toThrow(NoPoint);
});

test("a PNG has the pixels and the text", async () => {
  const data = new Uint8ClampedArray(4 * 3 * 2).map((_, i) => (i % 4 === 3 ? 255 : 10 * i));
  const text = '{"a": "\\u00e9"}';
  const blob = await pngOf({ width: 3, height: 2, data }, { [POINT_KEY]: text, [MADE_KEY]: "{}" });
  const bytes = new Uint8Array(await blob.arrayBuffer());
  expect(await textOfPng(bytes)).toBe(text);
  expect(await textOfPng(bytes, MADE_KEY)).toBe("{}");
  expect(await textOfPng(bytes, "other")).toBeNull();
  const at = Buffer.from(bytes).indexOf("IDAT");
  const size = new DataView(bytes.buffer).getUint32(at - 4);
  const rows = inflateSync(bytes.subarray(at + 4, at + 4 + size));
  const colours = Array.from(data).filter((_, i) => i % 4 < 3);
  expect(Array.from(rows)).toEqual([0, ...colours.slice(0, 9), 0, ...colours.slice(9)]);
  expect(await textOfPng(bytes.slice(1))).toBeNull();
  expect(await textOfPng(bytes.slice(0, 40))).toBeNull();
});

test("walks are those of Python", () => {
  for (const { distribution, points, places, values } of expected.walks) {
    const through = points.map((text) => ({
      latents: floats(text),
      classes: new Float32Array(0),
      origin: { seed: 1, truncation: null, edits: {} },
    }));
    places.forEach((place, i) => {
      const found = walkAt(through, place, { size: 20, distribution });
      expect(difference(found.latents, floats(values[i]!)), `${distribution} ${place}`).toBeLessThan(1e-6);
    });
  }
});

test("favourites are kept for each model, and damaged ones are left out", () => {
  const kept = new Map<string, string>();
  const storage = {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => void kept.set(key, value),
  } as unknown as Storage;
  const favourites = new Favourites(model, storage);
  expect(favourites.read()).toEqual([]);
  expect(favourites.write(["a", "b"])).toBe(true);
  expect(favourites.read()).toEqual(["a", "b"]);
  expect(new Favourites({ ...model, sha256: "cd" }, storage).read()).toEqual([]);
  kept.set([...kept.keys()][0]!, '["a", 3, {}]');
  expect(favourites.read()).toEqual(["a"]);
  kept.set([...kept.keys()][0]!, "{");
  expect(favourites.read()).toEqual([]);
  expect(new Favourites(model, null).write([])).toBe(false);
});
