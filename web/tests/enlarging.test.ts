import { expect, test } from "vitest";
import { enlarged, FACTOR } from "../src/painting/enlarging.ts";
import type { Pixels } from "../src/painting/png.ts";

/** Each pixel becomes 16 of the mean of its neighbours within two pixels; beyond the image is black. */
async function mean(image: Float32Array, height: number, width: number): Promise<Float32Array> {
  const made = new Float32Array(image.length * FACTOR * FACTOR);
  for (let c = 0; c < 3; c++)
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++) {
        let sum = 0;
        for (let v = y - 2; v <= y + 2; v++)
          for (let u = x - 2; u <= x + 2; u++)
            sum += v < 0 || u < 0 || v >= height || u >= width ? -1 : image[(c * height + v) * width + u]!;
        for (let i = 0; i < FACTOR; i++)
          for (let k = 0; k < FACTOR; k++)
            made[(c * FACTOR * height + FACTOR * y + i) * FACTOR * width + FACTOR * x + k] = sum / 25;
      }
  return made;
}

function picture(width: number, height: number): Pixels {
  const data = new Uint8ClampedArray(4 * width * height).map((_, i) => (i % 4 === 3 ? 255 : (i * 71) % 251));
  return { width, height, data };
}

test("tiles have no seams, and all of them are told", async () => {
  for (const [width, height] of [[13, 30], [31, 9], [3, 2]] as const) {
    const given = picture(width, height);
    const whole = await enlarged(given, mean, 2, () => {}, 1000);
    expect([whole.width, whole.height]).toEqual([FACTOR * width, FACTOR * height]);
    const told: string[] = [];
    const parts = await enlarged(given, mean, 2, (done, of) => told.push(`${done}/${of}`), 12);
    expect(parts).toEqual(whole);
    expect(told.length).toBe(Number(told.at(-1)!.split("/")[1]));
  }
});

test("pixels stay where they are, and the border is mirrored", async () => {
  const given = picture(11, 6);
  const made = await enlarged(given, mean, 2, () => {}, 7);
  const at = (x: number, y: number, c: number) => {
    const inside = (place: number, length: number) =>
      place < 0 ? -place : place >= length ? 2 * (length - 1) - place : place;
    return given.data[4 * (inside(y, 6) * 11 + inside(x, 11)) + c]!;
  };
  for (const [x, y] of [[0, 0], [10, 5], [4, 3]] as const)
    for (let c = 0; c < 3; c++) {
      let sum = 0;
      for (let v = -2; v <= 2; v++) for (let u = -2; u <= 2; u++) sum += at(x + u, y + v, c);
      const found = made.data[4 * ((4 * y + 1) * 44 + 4 * x + 2) + c]!;
      expect(Math.abs(found - sum / 25)).toBeLessThanOrEqual(0.501);
    }
});
