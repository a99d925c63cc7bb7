/** The normal distribution: the error function and its inverse, in float64. */

const ROOT = 2 / Math.sqrt(Math.PI);

/** erf(x) for |x| below 2.5, by its power series with terms of one sign. */
function series(x: number): number {
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return ROOT * Math.exp(-x * x) * sum;
}

/** 1 - erf(x) for x from 2.5, by the continued fraction of Laplace. */
function tail(x: number): number {
  let below = x;
  for (let n = 80; n > 0; n--) below = x + n / 2 / below;
  return (ROOT / 2) * (Math.exp(-x * x) / below);
}

export function erf(x: number): number {
  if (x < 0) return -erf(-x);
  return x < 2.5 ? series(x) : 1 - tail(x);
}

/** 1 - erf(x), exact for large x too. */
export function erfc(x: number): number {
  return x < 2.5 ? 1 - erf(x) : tail(x);
}

/** The x with erf(x) = y, for y in (-1, 1); infinite at its ends. */
export function erfinv(y: number): number {
  if (y < 0) return -erfinv(-y);
  if (y >= 1) return Infinity;
  if (y === 0) return y;
  // Winitzki's approximation, then Halley's steps.
  const log = Math.log1p(-y * y);
  const part = 2 / (Math.PI * 0.147) + log / 2;
  let x = Math.sqrt(Math.sqrt(part * part - log / 0.147) - part);
  const rest = 1 - y;
  for (let n = 0; n < 3; n++) {
    const error = y < 0.5 ? erf(x) - y : rest - erfc(x);
    const step = error / (ROOT * Math.exp(-x * x));
    x -= step / (1 + x * step);
  }
  return x;
}
