import { expect, test } from "vitest";
import { classesOfSeed, inWords, weightsOfSeed } from "../src/painting/classes.ts";
import { erf, erfc, erfinv } from "../src/painting/normal.ts";
import { pixelsOf } from "../src/painting/pixels.ts";
import { firstShare } from "../src/painting/random.ts";
import { latentOfSeed, noSeed, seedOfText } from "../src/painting/seeds.ts";
import { difference, expected, floats } from "./expected.ts";

test("latents of seeds are those of torch", () => {
  for (const { seed, latent, truncation, values } of expected.latents) {
    if (truncation !== null && latent.distribution === "normal") continue;
    const found = latentOfSeed(seed, latent, truncation);
    expect(found, `seed ${seed}, ${latent.size} values`).toEqual(floats(values));
  }
});

test("truncated latents differ from those of torch by rounding only", () => {
  const cases = expected.latents.filter((each) => each.truncation && each.latent.distribution === "normal");
  expect(cases.length).toBeGreaterThan(20);
  for (const { seed, latent, truncation, values } of cases) {
    expect(difference(latentOfSeed(seed, latent, truncation), floats(values))).toBeLessThan(5e-7);
  }
});

test("a seed is a whole number from 0 to 4294967295", () => {
  const typed = ["0", " 17 ", "4294967295", "1e3"];
  expect(typed.map(seedOfText)).toEqual([0, 17, 4294967295, 1000]);
  for (const text of ["", " ", "1.5", "-3", "5000000000", "4294967296", "NaN", "Infinity", "seven"])
    expect(seedOfText(text), text).toBeNull();
  expect(noSeed("1.5")).toBe("1.5 is no seed: a seed is a whole number from 0 to 4294967295.");
  expect(noSeed("")).toBe("A seed is a whole number from 0 to 4294967295.");
});

test("the error function and its inverse", () => {
  // Abramowitz and Stegun 1964, table 7.1, to its ten digits.
  expect(erf(0.5)).toBeCloseTo(0.5204998778, 10);
  expect(erf(-1)).toBeCloseTo(-0.8427007929, 10);
  expect(erf(2)).toBeCloseTo(0.995322265, 10);
  expect(erfc(3) / 2.209049699858544e-5).toBeCloseTo(1, 12);
  expect(erf(2.4999999999999996)).toBeCloseTo(erf(2.5), 15);
  for (let x = -4; x <= 4; x += 0.125) expect(erfinv(erf(x))).toBeCloseTo(x, 7);
  expect(erfinv(1)).toBe(Infinity);
});

test("seeds draw the classes that they draw in Python", () => {
  const { labels, seeds, cases, shares } = expected.classes;
  for (const [seed, share] of shares) expect(firstShare([seed, 1])).toBe(share);
  for (const { choice, weights } of cases) {
    const found = seeds.map((seed) => Array.from(weightsOfSeed(seed, labels, choice)));
    expect(found).toEqual(weights);
  }
});

test("what no training picture has is chosen all the same", () => {
  const labels = { fields: [{ name: "style", classes: ["a", "b"] }], rows: [[0]], counts: [3] };
  expect(classesOfSeed(4, labels, [[{ class: 1, weight: 1 }]])).toEqual([1]);
});

test("classes in words", () => {
  const fields = expected.classes.labels.fields;
  expect(inWords(fields, [1, 0, 0, 0, 0])).toBe("style Ukiyo-e");
  expect(inWords(fields, [0.6, 0.4, 0, 0, 1])).toBe(
    "style 60% Ukiyo-e + 40% Cubism, genre paysage marin à l'été",
  );
  expect(inWords(fields, [1.75, -0.75, 0, 0, 0])).toBe("style 175% Ukiyo-e − 75% Cubism");
  expect(inWords(fields, [-0.25, 0.004, 0, 0, 0])).toBe("style −25% Ukiyo-e + 0.4% Cubism");
});

test("levels are rounded as in Python", () => {
  const { size, image, levels } = expected.pixels;
  const { data } = pixelsOf(floats(image), size[0], size[1]);
  expect(Array.from(data).filter((_, i) => i % 4 < 3)).toEqual(levels);
});
