/** Latents of seeds, as `impasto sample` draws them. */
import { erf, erfinv } from "./normal.ts";
import { MersenneTwister, normals, uniform } from "./random.ts";

export const MAX_SEED = 2 ** 32 - 1;

export function isSeed(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 0 && Number(value) <= MAX_SEED;
}

/** The seed that was typed; null if it is none. */
export function seedOfText(text: string): number | null {
  const number = text.trim() ? Number(text) : NaN;
  return isSeed(number) ? number : null;
}

/** What is said of a text that is no seed; of none where a browser does not tell what was typed. */
export function noSeed(text: string): string {
  const rule = `a seed is a whole number from 0 to ${MAX_SEED}`;
  return text.trim() ? `${text.trim()} is no seed: ${rule}.` : `${rule[0]!.toUpperCase()}${rule.slice(1)}.`;
}

export interface Latent {
  size: number;
  distribution: "normal" | "uniform";
}

/**
 * The latent of a seed, float32.
 *
 * @param truncation values are restricted to +-truncation by the distribution's quantiles; null: not.
 */
export function latentOfSeed(seed: number, latent: Latent, truncation: number | null): Float32Array {
  const random = new MersenneTwister(seed);
  if (latent.distribution === "uniform") {
    const width = Math.min(truncation ?? 1, 1);
    return Float32Array.from({ length: latent.size }, () => (uniform(random) * 2 - 1) * width);
  }
  const values = normals(random, latent.size);
  if (truncation === null) return Float32Array.from(values);
  const within = erf(truncation / Math.SQRT2);
  return Float32Array.from(values, (value) => {
    const squeezed = erfinv(erf(value / Math.SQRT2) * within) * Math.SQRT2;
    return Math.min(Math.max(squeezed, -truncation), truncation);
  });
}
