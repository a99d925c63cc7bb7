/** What torch and NumPy computed; see `tools/web/expected.py`. */
import { fromBase64 } from "../src/painting/bytes.ts";
import type { Choice, Labels } from "../src/painting/classes.ts";
import type { Latent } from "../src/painting/seeds.ts";
import file from "./expected.json" with { type: "json" };

interface Expected {
  latents: { seed: number; latent: Latent; truncation: number | null; values: string }[];
  classes: {
    labels: Labels;
    seeds: number[];
    cases: { choice: Choice; weights: number[][] }[];
    shares: [number, number][];
  };
  walks: {
    distribution: "normal" | "uniform";
    points: string[];
    places: number[];
    values: string[];
  }[];
  mixed: { coarse: number; fine: number; at: number; text: string; latents: string };
  points: { text: string; latents: string; classes: number[] }[];
  pixels: { size: [number, number]; image: string; levels: number[] };
}

export const expected = file as unknown as Expected;

export function floats(text: string): Float32Array {
  return new Float32Array(fromBase64(text).buffer);
}

/** The largest difference; NaN if the lengths differ. */
export function difference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return NaN;
  return Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
}
