/** What the page knows of a model: its record, without the weights. */
import type { Labels } from "./classes.ts";
import type { Latent } from "./seeds.ts";

export interface Direction {
  name: string;
  how: string;
  first: number;
  last: number;
  /** What an amount of 1 adds to a latent, and to class weights. */
  latents: number[];
  classes: number[];
}

export interface Model {
  name: string;
  recipe: string;
  /** SHA-256 of the generator's weights, to which points belong. */
  sha256: string;
  /** Width and height of a picture. */
  size: [number, number];
  latent: Latent;
  /** Latents that it takes, one for each level of the generator; null: one for all. */
  levels: number | null;
  /** Pixels, in each direction, that a pixel of what the enlarging network makes depends on. */
  reach: number;
  labels: Labels;
  directions: Direction[];
  /** Sentences on the model and on whom it learned from. */
  about: string[];
  /** Texts of the licences of the software in the page, by name. */
  licences: Record<string, string>;
}

export function classCount(model: Model): number {
  return model.labels.fields.reduce((sum, field) => sum + field.classes.length, 0);
}
