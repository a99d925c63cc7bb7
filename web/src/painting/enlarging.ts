/** Pictures four times as large by a network, in tiles whose seams cannot be seen, as in `enlarging/tiles.py`. */
import type { Pixels } from "./png.ts";

export const FACTOR = 4;
/** Side of a tile in pixels of the picture, which takes about a second. */
const TILE = 100;
/** Pixels that are mirrored beyond the picture's border, so that zeros are not seen in it. */
const BORDER = 8;

/** A network from an image [3, h, w] in [-1, 1] to one [3, 4 h, 4 w]. */
export type Network = (image: Float32Array<ArrayBuffer>, height: number, width: number) => Promise<Float32Array>;

/** Beginnings and ends of parts of about the same length, together `length`. */
function spans(length: number, most: number): [number, number][] {
  const count = Math.ceil(length / most);
  const end = (number: number) => Math.floor((length * number) / count);
  return Array.from({ length: count }, (_, i) => [end(i), end(i + 1)]);
}

const mirrored = (at: number, length: number) =>
  at < 0 ? -at : at >= length ? 2 * (length - 1) - at : at;

/**
 * A picture four times as large.
 *
 * @param reach pixels, in each direction, that a pixel of the network's output depends on.
 * @param progress is told how many tiles of how many are done.
 */
export async function enlarged(
  pixels: Pixels,
  network: Network,
  reach: number,
  progress: (done: number, of: number) => void,
  tile = TILE,
): Promise<Pixels> {
  const border = Math.min(BORDER, pixels.width - 1, pixels.height - 1);
  const [height, width] = [pixels.height + 2 * border, pixels.width + 2 * border];
  const size = { width: FACTOR * pixels.width, height: FACTOR * pixels.height };
  const made = { ...size, data: new Uint8ClampedArray(4 * size.width * size.height).fill(255) };
  const columns = spans(width, tile);
  const tiles = spans(height, tile).flatMap((rows) => columns.map((each) => [rows, each] as const));
  for (const [number, [[top, bottom], [left, right]]] of tiles.entries()) {
    const [above, before] = [Math.max(0, top - reach), Math.max(0, left - reach)];
    const [h, w] = [Math.min(height, bottom + reach) - above, Math.min(width, right + reach) - before];
    const image = new Float32Array(3 * h * w);
    for (let y = 0; y < h; y++)
      for (let x = 0; x < w; x++) {
        const row = mirrored(above + y - border, pixels.height);
        const at = 4 * (row * pixels.width + mirrored(before + x - border, pixels.width));
        for (let c = 0; c < 3; c++) image[(c * h + y) * w + x] = pixels.data[at + c]! / 127.5 - 1;
      }
    const large = await network(image, h, w);
    // What the tile shows of the picture itself, without its border.
    const rows = [Math.max(top, border), Math.min(bottom, height - border)] as const;
    const seen = [Math.max(left, border), Math.min(right, width - border)] as const;
    for (let y = FACTOR * rows[0]; y < FACTOR * rows[1]; y++)
      for (let x = FACTOR * seen[0]; x < FACTOR * seen[1]; x++) {
        const to = 4 * ((y - FACTOR * border) * made.width + x - FACTOR * border);
        const from = (y - FACTOR * above) * FACTOR * w + x - FACTOR * before;
        for (let c = 0; c < 3; c++)
          made.data[to + c] = Math.fround((large[c * FACTOR * FACTOR * h * w + from]! + 1) * 127.5);
      }
    progress(number + 1, tiles.length);
  }
  return made;
}
