/** The classes of pictures: drawn by the seed as often as in the collection, chosen, or mixed. */
import { firstShare } from "./random.ts";

export interface Field {
  name: string;
  classes: string[];
}

/** What is known of the training pictures' classes. */
export interface Labels {
  fields: Field[];
  /** Combinations of classes that occur, one a field; -1: unknown. */
  rows: number[][];
  /** How many training pictures have each combination. */
  counts: number[];
}

export interface Part {
  class: number;
  weight: number;
}

/** For each field, the classes that are chosen with their weights; none: drawn by the seed. */
export type Choice = Part[][];

export function nothingChosen(labels: Labels): Choice {
  return labels.fields.map(() => []);
}

/** The classes, one a field, that a seed draws among the combinations with the chosen ones. */
export function classesOfSeed(seed: number, labels: Labels, choice: Choice): number[] {
  const single = choice.map((parts) => (parts.length === 1 ? parts[0]!.class : null));
  const fits = labels.rows.map((row) => single.every((one, field) => one === null || row[field] === one));
  const all = !fits.includes(true);
  const rows = labels.rows.filter((_, i) => all || fits[i]);
  const counts = labels.counts.filter((_, i) => all || fits[i]);
  const total = counts.reduce((sum, count) => sum + count, 0);
  const share = firstShare([seed, 1]);
  let sum = 0;
  let place = counts.findIndex((count) => (sum += count / total) >= share);
  if (place < 0) place = rows.length - 1;
  return rows[place]!.map((drawn, field) => single[field] ?? drawn);
}

/** Class weights of a seed, one field after another: [K1 + K2 + ...]. */
export function weightsOfSeed(seed: number, labels: Labels, choice: Choice): Float32Array {
  if (!labels.fields.length) return new Float32Array(0);
  const drawn = classesOfSeed(seed, labels, choice);
  const blocks = labels.fields.map((field, i) => {
    const block = new Array<number>(field.classes.length).fill(0);
    const parts = choice[i]!;
    const sum = parts.reduce((total, part) => total + part.weight, 0);
    if (parts.length > 1) for (const part of parts) block[part.class] = sum ? part.weight / sum : 0;
    else if (drawn[i]! >= 0) block[drawn[i]!] = 1;
    return block;
  });
  return Float32Array.from(blocks.flat());
}

function percent(weight: number): string {
  const rounded = Math.round(100 * weight);
  return rounded ? `${rounded}%` : `${(100 * weight).toFixed(1)}%`;
}

/**
 * The classes of a picture in words, such as `style Ukiyo-e`, `style 60% Ukiyo-e + 40% Cubism` or
 * `style 175% Ukiyo-e − 75% Cubism`.
 */
export function inWords(fields: Field[], weights: ArrayLike<number>): string {
  let start = 0;
  const found: string[] = [];
  for (const field of fields) {
    const named = field.classes
      .map((name, i) => ({ name, weight: weights[start + i]! }))
      .filter((each) => Math.abs(each.weight) > 0.0005);
    start += field.classes.length;
    const alone = named.length === 1 && Math.abs(named[0]!.weight - 1) < 0.0005;
    const parts = named.map(({ name, weight }, i) => {
      const sign = i ? (weight < 0 ? " − " : " + ") : weight < 0 ? "−" : "";
      return `${sign}${percent(Math.abs(weight))} ${name}`;
    });
    if (named.length) found.push(`${field.name} ${alone ? named[0]!.name : parts.join("")}`);
  }
  return found.join(", ");
}
