/** What a picture was made from, a seed and settings: kept beside its point, so that controls show it again. */
import { classesOfSeed, nothingChosen, type Choice } from "./classes.ts";
import type { Model } from "./model.ts";
import {
  asciiJson,
  NoPoint,
  parsed,
  pointOfSeed,
  pointOfText,
  textOfPoint,
  type Made,
  type Mix,
  type Point,
} from "./points.ts";
import { isSeed } from "./seeds.ts";

/** The key of this text in a PNG. It is not part of the point's text, in which impasto refuses unknown names. */
export const MADE_KEY = "impasto-page";

/** The text of a seed and settings, in ASCII. */
export function textOfMade({ seed, look }: Made): string {
  const { truncation, choice, mix } = look;
  const edits = Object.entries(look.edits).filter(([, by]) => by);
  return asciiJson({ seed, truncation, choice, edits: Object.fromEntries(edits), mix });
}

/** The text of a favourite: that of its point, and what it was made from. */
export async function textOfFavourite(model: Model, point: Point): Promise<string> {
  const text = await textOfPoint(model, point);
  return point.made ? JSON.stringify({ ...JSON.parse(text), made: textOfMade(point.made) }) : text;
}

/**
 * The point of a favourite.
 *
 * @throws NoPoint it is damaged, or of another model.
 */
export function pointOfFavourite(model: Model, text: string): Promise<Point> {
  const { made } = parsed(text);
  return madePoint(model, text, typeof made === "string" ? made : null);
}

/**
 * A point with what it was made from, as far as that is known.
 *
 * @param text of the point.
 * @param made the text of what it was made from; null: there is none. It counts only if it gives this very point.
 * @throws NoPoint the point is damaged, or of another model.
 */
export async function madePoint(model: Model, text: string, made: string | null): Promise<Point> {
  const point = await pointOfText(model, text);
  for (const found of [made === null ? null : madeOfText(model, made), derived(model, point)])
    if (found && gives(model, found, point)) return { ...point, made: found };
  return point;
}

function gives(model: Model, { seed, look }: Made, point: Point): boolean {
  const again = pointOfSeed(model, seed, look);
  const same = (a: Float32Array, b: Float32Array) =>
    a.length === b.length && a.every((value, i) => Math.abs(value - b[i]!) < 1e-5);
  return same(again.latents, point.latents) && same(again.classes, point.classes);
}

/** The settings that a point's own text suggests: of a seed, with its truncation and directions. */
function derived(model: Model, point: Point): Made | null {
  const { seed, truncation, edits } = point.origin;
  if (seed === null) return null;
  const drawn = classesOfSeed(seed, model.labels, nothingChosen(model.labels));
  const plain = Array.from(point.classes);
  for (const direction of model.directions)
    direction.classes.forEach((by, i) => (plain[i]! -= by * (edits[direction.name] ?? 0)));
  const rounded = plain.map((weight) => Number(weight.toFixed(5)));
  let start = 0;
  const choice = model.labels.fields.map((field, i) => {
    const block = rounded.slice(start, (start += field.classes.length));
    const parts = block.map((weight, place) => ({ class: place, weight }));
    const asDrawn = block.every((weight, place) => weight === Number(place === drawn[i]));
    return asDrawn ? [] : parts.filter((part) => part.weight !== 0);
  });
  return { seed, look: { truncation, choice, edits, mix: null } };
}

type Unknown = Record<string, unknown>;

/** What a text says; null if it is damaged, or does not fit the model. */
function madeOfText(model: Model, text: string): Made | null {
  try {
    const found = parsed(text);
    if (!isSeed(found.seed)) return null;
    const { truncation } = found;
    if (truncation !== null && !(typeof truncation === "number" && truncation > 0)) return null;
    const choice = choiceOf(model, found.choice);
    const mix = mixOf(model, found.mix);
    if (!choice || mix === undefined) return null;
    const edits: Record<string, number> = {};
    for (const { name } of model.directions) {
      const amount = (found.edits as Unknown | null)?.[name];
      if (typeof amount === "number") edits[name] = amount;
    }
    return { seed: found.seed, look: { truncation, choice, edits, mix } };
  } catch (error) {
    if (error instanceof NoPoint) return null;
    throw error;
  }
}

function choiceOf(model: Model, value: unknown): Choice | null {
  const { fields } = model.labels;
  if (!Array.isArray(value) || value.length !== fields.length) return null;
  const choice: Choice = [];
  for (const [i, parts] of value.entries()) {
    if (!Array.isArray(parts)) return null;
    const many = fields[i]!.classes.length;
    const fits = (part: Unknown | null) =>
      Number.isInteger(part?.class) && Number(part!.class) >= 0 && Number(part!.class) < many &&
      Number.isFinite(part!.weight);
    if (!parts.every(fits) || new Set(parts.map((part) => part.class)).size < parts.length) return null;
    choice.push(parts.map((part) => ({ class: part.class, weight: part.weight })));
  }
  return choice;
}

/** Undefined if it is none. */
function mixOf(model: Model, value: unknown): Mix | null | undefined {
  if (value === null) return null;
  const { seed, at } = (typeof value === "object" ? value : {}) as Unknown;
  const inside = Number.isInteger(at) && Number(at) > 0 && Number(at) < (model.levels ?? 0);
  return isSeed(seed) && inside ? { seed, at: Number(at) } : undefined;
}

/** The name of a picture's file, without an ending. */
export function fileNameOf(point: Point): string {
  const seed = point.made?.seed ?? point.origin.seed;
  if (seed === null) return point.file?.replace(/\.png$/i, "") || "picture";
  const mix = point.origin.seed === null ? point.made?.look.mix : null;
  const edited = Object.keys(point.origin.edits).length > 0;
  // A plain seed's is that of `impasto sample`.
  if (!mix && !edited) return `seed-${String(seed).padStart(8, "0")}`;
  return `seed-${seed}${mix ? `-fine-${mix.seed}` : ""}${edited ? "-edited" : ""}`;
}
