/** Pixels of what a generator makes. */
import type { Pixels } from "./png.ts";

/**
 * An image [3, H, W] in [-1, 1] as pixels of 256 levels, rounded as `to_uint8` of `sampling/model.py` rounds:
 * in float32, halves to the even level (as a Uint8ClampedArray does).
 */
export function pixelsOf(image: Float32Array, height: number, width: number): Pixels {
  const data = new Uint8ClampedArray(4 * height * width);
  const plane = height * width;
  const half = Math.fround(127.5);
  for (let i = 0; i < plane; i++) {
    for (let c = 0; c < 3; c++)
      data[4 * i + c] = Math.fround(Math.fround(image[c * plane + i]! * half) + half);
    data[4 * i + 3] = 255;
  }
  return { width, height, data };
}
