import { inflateSync, deflateSync } from "node:zlib";
import { expect, test } from "vitest";
import { Favourites } from "../src/painting/favourites.ts";
import type { Model } from "../src/painting/model.ts";
import { pngOf, textOfPng } from "../src/painting/png.ts";
import {
  lookOf,
  NoPoint,
  plainLook,
  pointOfSeed,
  pointOfText,
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
    const again = await pointOfText(model, await textOfPoint(model, point));
    expect(difference(again.latents, point.latents)).toBe(0);
    expect(lookOf(model, again)).toEqual(look);
  }
  // A class that decides what the seed draws in the other field comes back as both being chosen.
  const portrait = { truncation: 2, choice: [[], [{ class: 1, weight: 1 }]], edits: { warmth: 2 }, mix: null };
  const point = pointOfSeed(model, 11, portrait);
  const found = lookOf(model, point)!;
  expect(difference(pointOfSeed(model, 11, found).classes, point.classes)).toBeLessThan(1e-6);
  const moved = { ...pointOfSeed(model, 11, plain), latents: new Float32Array(20).fill(1) };
  expect(lookOf(model, moved)).toBeNull();
});

test("coarse levels of a seed and fine ones of another are those of Python", async () => {
  const { coarse, fine, at, text, latents } = expected.mixed;
  const theirs = await pointOfText(model, text);
  expect(difference(theirs.latents, floats(latents))).toBe(0);
  const mix = { seed: fine, at };
  const ours = pointOfSeed(model, coarse, { ...plainLook(model), mix });
  expect(difference(ours.latents, floats(latents))).toBeLessThan(5e-7);
  expect(ours.origin).toEqual({ seed: null, truncation: null, edits: {} });
  expect(ours.mixed).toEqual({ ...mix, coarse });
  expect(lookOf(model, ours)).toBeNull();
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
  const blob = await pngOf({ width: 3, height: 2, data }, text);
  const bytes = new Uint8Array(await blob.arrayBuffer());
  expect(await textOfPng(bytes)).toBe(text);
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
