/** Points: latents and class weights, and their text, as in `sampling/points.py`. */
import { fromBase64, packed, toBase64, unpacked } from "./bytes.ts";
import { nothingChosen, weightsOfSeed, type Choice } from "./classes.ts";
import { classCount, type Model } from "./model.ts";
import { isSeed, latentOfSeed } from "./seeds.ts";

export interface Origin {
  seed: number | null;
  truncation: number | null;
  /** Directions that it was moved along, and how far. */
  edits: Record<string, number>;
}

/** A picture with the coarse levels of one seed and the fine levels of another. */
export interface Mix {
  /** Of the fine levels. */
  seed: number;
  /** The first fine level. */
  at: number;
}

export interface Point {
  /** [Z], or [L, Z] with one for each level of the generator. */
  latents: Float32Array;
  classes: Float32Array;
  origin: Origin;
  /** What it was made from, if that is known; not part of its text. */
  made?: Made;
  /** The name of the file that it was read from. */
  file?: string;
}

/** A seed, and the settings that gave its picture. */
export interface Made {
  seed: number;
  look: Look;
}

/** What all pictures of the page share. */
export interface Look {
  truncation: number | null;
  choice: Choice;
  edits: Record<string, number>;
  /** Fine levels that all have in place of their own. */
  mix: Mix | null;
}

export function plainLook(model: Model): Look {
  return { truncation: null, choice: nothingChosen(model.labels), edits: {}, mix: null };
}

/** Latents of this shape: those [Z] of one picture at each of its levels, if it has several. */
export function atLevels(latents: Float32Array, shape: number[]): Float32Array<ArrayBuffer> {
  const values = new Float32Array(shape.reduce((product, side) => product * side, 1));
  for (let at = 0; at < values.length; at += latents.length) values.set(latents, at);
  return values;
}

export function pointOfSeed(model: Model, seed: number, look: Look): Point {
  let latents = latentOfSeed(seed, model.latent, look.truncation);
  const classes = weightsOfSeed(seed, model.labels, look.choice);
  const mix = model.levels !== null && look.mix?.seed !== seed ? look.mix : null;
  if (mix) {
    const fine = latentOfSeed(mix.seed, model.latent, look.truncation);
    const levels = Array.from({ length: model.levels! }, (_, level) => (level < mix.at ? latents : fine));
    latents = Float32Array.from(levels.flatMap((each) => [...each]));
  }
  const edits: Record<string, number> = {};
  for (const direction of model.directions) {
    const amount = look.edits[direction.name] ?? 0;
    if (!amount) continue;
    edits[direction.name] = amount;
    for (let i = 0; i < latents.length; i++) latents[i]! += amount * direction.latents[i % model.latent.size]!;
    for (let i = 0; i < classes.length; i++) classes[i]! += amount * direction.classes[i]!;
  }
  // Of a mixed picture no seed is the origin, as in `exploring/mixing.py`.
  const origin = mix ? { seed: null, truncation: null, edits } : { seed, truncation: look.truncation, edits };
  return { latents, classes, origin, made: { seed, look } };
}

/** The text of a point that a PNG carries, in ASCII. A latent that a seed has is left out. */
export async function textOfPoint(model: Model, point: Point): Promise<string> {
  const { seed, truncation, edits } = point.origin;
  const origin: Record<string, unknown> = { edits };
  if (seed !== null) origin.seed = seed;
  if (truncation !== null) origin.truncation = truncation;
  const named = seed !== null && !Object.keys(edits).length;
  const record: Record<string, unknown> = {
    format: 1,
    model: model.sha256,
    recipe: model.recipe,
    fields: model.labels.fields.map((field) => [field.name, field.classes]),
    origins: [origin],
    classes: Array.from(point.classes, shortFloat),
  };
  if (point.latents.length > model.latent.size) record.levels = model.levels;
  if (!named) {
    const bytes = new Uint8Array(Float32Array.from(point.latents).buffer);
    record.latents = toBase64(await packed(bytes));
  }
  return asciiJson(record);
}

/** A float32 with as few digits as give the same float32 again. */
export function shortFloat(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return Number(value.toPrecision(9)); // which always do
}

export function asciiJson(value: unknown): string {
  const escaped = (letter: string) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return JSON.stringify(value).replace(/[^\x20-\x7e]/g, escaped);
}

/** A text that is no point of this model; its message says why. */
export class NoPoint extends Error {}

/**
 * The point in a text.
 *
 * @throws NoPoint it is damaged, or of another model.
 */
export async function pointOfText(model: Model, text: string): Promise<Point> {
  const record = parsed(text);
  if (record.model !== model.sha256) throw new NoPoint("it was painted by another model");
  const classes = Float32Array.from(numbers(record.classes));
  const levels = record.levels ?? null;
  if (classes.length !== classCount(model) || (levels !== null && levels !== model.levels))
    throw new NoPoint("it does not fit this model");
  const origin = originOf(Array.isArray(record.origins) ? record.origins[0] : null);
  const size = model.latent.size * (levels === null ? 1 : model.levels!);
  let latents: Float32Array;
  if (typeof record.latents === "string") {
    latents = new Float32Array(await bytesOf(record.latents, 4 * size));
  } else if (origin.seed !== null && levels === null) {
    latents = latentOfSeed(origin.seed, model.latent, origin.truncation);
  } else {
    throw new NoPoint("it has neither a seed nor a latent");
  }
  const finite = [...latents, ...classes].every(Number.isFinite);
  if (latents.length !== size || !finite) throw new NoPoint("it is damaged");
  return { latents, classes, origin };
}

/** @throws NoPoint it is no JSON object. */
export function parsed(text: string): Record<string, unknown> {
  let found: unknown = null;
  try {
    found = JSON.parse(text);
  } catch {
    // said below
  }
  if (typeof found !== "object" || found === null) throw new NoPoint("it is damaged");
  return found as Record<string, unknown>;
}

function numbers(value: unknown): number[] {
  if (value === undefined) return [];
  if (Array.isArray(value) && value.every((each) => typeof each === "number")) return value;
  throw new NoPoint("it is damaged");
}

function originOf(value: unknown): Origin {
  const found = (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
  const { seed, truncation } = found;
  const edits = Object.entries(typeof found.edits === "object" && found.edits ? found.edits : {});
  const known = edits.filter((each): each is [string, number] => Number.isFinite(each[1]));
  return {
    seed: isSeed(seed) ? seed : null,
    truncation: typeof truncation === "number" && truncation > 0 ? truncation : null,
    edits: Object.fromEntries(known),
  };
}

async function bytesOf(text: string, size: number): Promise<ArrayBuffer> {
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = await unpacked(fromBase64(text), "deflate", size);
  } catch {
    throw new NoPoint("it is damaged");
  }
  if (bytes.length !== size) throw new NoPoint("it does not fit this model");
  return bytes.buffer;
}
