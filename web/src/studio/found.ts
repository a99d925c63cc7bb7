/** What a dropped PNG was made from: a seed, settings and directions, so that the page's controls show it. */
import { fromBase64, unpacked } from "../painting/bytes.ts";
import { post } from "./api.ts";
import type { How } from "./painter.ts";
import { edited, ofSeed, type Look } from "./points.ts";
import type { Point, PointRecord } from "./types.ts";

/** What floats that were added up in another order may differ by. */
const ROUNDING = 1e-5;
const LONGEST = 2 ** 22;

export interface Made {
  seed: number;
  look: Look;
  edits: Record<string, number>;
}

/** The seed and the settings of a point, if they give this very point; null: it is of none that is known. */
export async function madeFrom(how: How, record: PointRecord): Promise<Made | null> {
  const origin = record.origins[0];
  if (origin?.seed == null) return null;
  const { seed, truncation = null, edits = {} } = origin;
  const back = Object.fromEntries(Object.entries(edits).map(([name, by]) => [name, -by]));
  const ask = async (points: Point[]) =>
    (await post<{ points: PointRecord[] }>("gallery/points", { ...how, points })).points;
  const [plain] = await ask([{ point: record, edits: back }]);
  // Where the seed draws these very classes, none was chosen.
  const looks: Look[] = [{}, classesIn(plain!)].map((classes) => ({ truncation, classes }));
  const made = await ask(looks.map((look) => edited(ofSeed(seed, look), edits)));
  for (const [i, look] of looks.entries()) if (await same(made[i]!, record)) return { seed, look, edits };
  return null;
}

/** The class weights by name. */
function classesIn(record: PointRecord): Record<string, Record<string, number>> {
  let start = 0;
  const found: Record<string, Record<string, number>> = {};
  for (const [field, names] of record.fields) {
    const weights = record.classes.slice(start, (start += names.length)).map((each) => Number(each.toFixed(5)));
    const parts = names.map((name, i) => [name, weights[i]!] as const).filter(([, weight]) => weight);
    if (parts.length) found[field] = Object.fromEntries(parts);
  }
  return found;
}

async function same(a: PointRecord, b: PointRecord): Promise<boolean> {
  const near = (x: ArrayLike<number>, y: ArrayLike<number>) =>
    x.length === y.length && Array.from(x).every((value, i) => Math.abs(value - y[i]!) < ROUNDING);
  return near(a.classes, b.classes) && near(await latentsOf(a), await latentsOf(b));
}

async function latentsOf(record: PointRecord): Promise<Float32Array> {
  if (!record.latents) return new Float32Array(0);
  return new Float32Array((await unpacked(fromBase64(record.latents), "deflate", LONGEST)).buffer);
}
